"""`vendor`: a folder with all that a build of a locked spec fetches: a store that has the inputs and no more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from taskimage.adapters.images.store import StoreTarget, store_source
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Done, Listener, Started, Warned, counted, ignore
from taskimage.transform.runtime import PREFIX
from taskimage.verbs.base import Base
from taskimage.verbs.build import build_ordered
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.prepare import Order, load_spec, order
from taskimage.verbs.sdists import rebuild
from taskimage.verbs.standin import StandIns, inputs_of, this_machine
from taskimage.verbs.tools import Tools
from taskimage.verbs.transfer import transfer

__all__ = ["vendor"]

_CHUNK = 1 << 20


def vendor(
    path: Path,
    folder: Path,
    *,
    root: Path | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> None:
    """Make ``folder`` a store with every input that the lock of the spec in the YAML file ``path`` names.

    That is: packages of Python, Debian and conda, standalone interpreters, and base images with what is known of them,
    for every platform, and the interpreter that compiles for those that this machine does not run. What the store of this machine has is not fetched, and what ``folder`` has, of this spec or
    another, is left alone. With TASKIMAGE_HOME set to it, ``build --offline`` gives the same image anywhere.

    Raises BadInput where there is no lock, StaleLock, and what fetching raises.
    """
    settings = settings or Settings.load()
    loaded = load_spec(path, root=root, platform=None, registry=None, settings=settings)
    here = Tools.of(loaded, settings=settings, listener=listener)
    _vendor(here, Store(folder), order(here, loaded, locked=True, tag=None), listener)


def _vendor(here: Tools, there: Store, wanted: Order, listener: Listener) -> None:
    if wanted.base is not None:
        # What stands on it is known of its files: it is made here, as another base image is fetched.
        _vendor(here, there, wanted.base, listener)
        build_ordered(here, wanted.base, push=False)
    platforms = wanted.lock.platforms if wanted.lock else ()
    for lock in platforms:
        base = Base(here, lock.image, lock.platform) if lock.image else None
        asked = Asked.of(wanted.loaded.spec, wanted.files.requirements)
        rebuild(here, wanted.loaded.spec, asked, lock, lock.wheels)
        with Inputs(here, asked=asked, python=lock.python.minor, prefix=PREFIX, base=base) as inputs:
            python = lock.python if lock.python.digest else None
            inputs.fetch((*lock.base, *lock.apt), lock.wheels, python, conda=lock.conda)
            _copy_inputs(here.store, there, inputs_of(lock), listener)
            if base is not None:
                _copy_base(base, here.store, there, listener)
            if wanted.loaded.spec.options.bytecode:
                stand_ins = StandIns(tools=here, lock=lock, others=platforms, base=base, here=this_machine())
                _copy_stand_in(stand_ins, inputs, there)


def _copy_stand_in(stand_ins: StandIns, inputs: Inputs, target: Store) -> None:
    """``target`` has what compiles on machines like this one; without it the image's own kind of machine builds."""
    tools = stand_ins.tools
    if not stand_ins.is_needed:
        return
    try:
        found = stand_ins.find()
    except CannotBuild as error:
        tools.listener(Warned(error.message, error.hint))
        return
    with inputs.on(None) as its_inputs:
        its_inputs.fetch(found.base, interpreter=found.python if found.python.digest else None)
    _copy_inputs(tools.store, target, inputs_of(found), tools.listener)
    stand_ins.keep(found, target)


def _copy_inputs(store: Store, target: Store, inputs: Iterable[Digest], listener: Listener) -> None:
    missing = sorted({digest for digest in inputs if not target.input_path(digest).exists()}, key=str)
    if not missing:
        return
    listener(Started("vendor", f"Copying {counted(len(missing), 'file')} to {target.home}"))
    for digest in missing:
        path = store.input_path(digest)
        with path.open("rb") as file, target.pending_input(digest, None, where=str(path)) as pending:
            while chunk := file.read(_CHUNK):
                pending.write(chunk)
    listener(Done("vendor", f"Copied {counted(len(missing), 'file')} to {target.home}"))


def _copy_base(base: Base, store: Store, target: Store, listener: Listener) -> None:
    """``target`` has the image ``base``, and what is known of its files."""
    base.fetch()
    transfer(store_source(store), StoreTarget(target), base.image.raw, listener=listener)
    target.keep_record("bases", base.manifest, base.facts.to_dict())
