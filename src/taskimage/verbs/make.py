"""Layers: the store's own where it has them, made from their inputs where not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.events import Done, Moved, Started, Warned, counted
from taskimage.model.lock import CondaPin, PlatformLock, WheelPin
from taskimage.model.oci import LAYER_GZIP, Descriptor
from taskimage.model.user import User
from taskimage.transform.assemble import LAYER_KEY, Layer
from taskimage.transform.deb.layout import Layout
from taskimage.transform.entry import Entry
from taskimage.transform.layer import write_layer
from taskimage.transform.overlap import merged
from taskimage.transform.plan import LayerPlan
from taskimage.transform.runtime import CONDA, PREFIX
from taskimage.transform.venv import given_away, venv_entries
from taskimage.transform.whiteout import opaque
from taskimage.verbs.compile import Bytecode
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.overlap import check_overlaps
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.verbs.base import Base

__all__ = ["Maker", "known_layer", "write"]


def known_layer(tools: Tools, plan: LayerPlan) -> Layer | None:
    """The layer of ``plan``, when the store has it."""
    record = tools.store.record("layers", plan.key)
    if record is None:
        return None
    descriptor = Descriptor.from_dict(record["descriptor"])
    if not tools.store.blob_path(descriptor.digest).exists():
        return None
    return Layer(descriptor=descriptor, diff_id=Digest.parse(record["diff_id"]), origin=plan.origin)


def write(
    tools: Tools, plan: LayerPlan, fragments: Iterable[Sequence[Entry]], *, tick: Callable[[], object] = int
) -> Layer:
    """The layer of ``plan``, made of ``fragments``, which the store knows from now on; ``tick`` may end it early."""
    store = tools.store
    with store.pending_blob() as pending:

        def put(data: bytes) -> None:
            tick()
            pending.write(data)

        diff_id = write_layer(fragments, put)
    descriptor = Descriptor(
        media_type=LAYER_GZIP,
        digest=pending.digest,
        size=pending.size,
        annotations={LAYER_KEY: str(plan.key)},
    )
    store.keep_record("layers", plan.key, {"descriptor": descriptor.to_dict(), "diff_id": str(diff_id)})
    return Layer(descriptor=descriptor, diff_id=diff_id, origin=plan.origin)


class Maker:
    """Makes the layers of one image, from inputs that are fetched when they are needed.

    Args:
        tools: The adapters of this run.
        lock: The inputs of the image.
        asked: What was asked of package indexes, which says where its packages are.
        users: Who the image has an account and a home for.
        files: What is copied into it.
        bytecode: Whether Python sources are compiled.
        waived: Debian packages whose scripts do not matter.
        authorities: Files of certificates that the image trusts as well.
        writable: Whether the image's user may write to the environment.
        base: The image that it stands on.
        others: The inputs of the same image for other platforms.
        anew: Compile again what is kept compiled.
    """

    def __init__(
        self,
        tools: Tools,
        lock: PlatformLock,
        *,
        asked: Asked,
        users: Sequence[User],
        files: Sequence[Entry],
        bytecode: bool,
        waived: Sequence[str],
        authorities: Sequence[Entry] = (),
        writable: bool = False,
        base: Base | None = None,
        others: Sequence[PlatformLock] = (),
        anew: bool = False,
    ) -> None:
        self._tools = tools
        self._lock = lock
        self._asked = asked
        self._users = users
        self._files = files
        self._bytecode = bytecode
        self._waived = waived
        self._authorities = authorities
        self._writable = writable
        self._base = base
        self._others = others
        self._anew = anew

    def make(self, plans: Iterable[LayerPlan]) -> dict[LayerPlan, Layer]:
        """A layer for each of ``plans``, which the store has afterwards."""
        wanted = list(plans)
        if not wanted:
            return {}
        tools, lock = self._tools, self._lock
        with (
            Inputs(
                tools, asked=self._asked, python=lock.python.minor, prefix=PREFIX, base=self._base
            ) as inputs,
            Bytecode(tools, inputs, lock, others=self._others, base=self._base, anew=self._anew) as compiler,
            _advised(),
        ):
            making = _Making(
                tools=tools, lock=lock, inputs=inputs, compiler=compiler if self._bytecode else None,
                users=self._users, files=self._files, waived=self._waived, base=self._base,
                authorities=self._authorities, writable=self._writable,
            )  # fmt: skip
            inputs.fetch(
                (pin for plan in wanted for pin in plan.debs),
                (pin for plan in wanted for pin in plan.wheels),
                lock.python if any(plan.kind == "interpreter" for plan in wanted) else None,
                conda=(pin for plan in wanted for pin in plan.conda),
            )
            if any(plan.conda for plan in wanted):
                check_overlaps(tools, inputs, lock.conda)
            if any(plan.wheels for plan in wanted):
                check_overlaps(tools, inputs, lock.wheels)
            return self._made(making, wanted)

    def _made(self, making: _Making, plans: Sequence[LayerPlan]) -> dict[LayerPlan, Layer]:
        tell = self._tools.listener
        names = counted(len(plans), "layer")
        tell(Started("layers", f"Making {names}", sum(plan.size for plan in plans)))
        # The largest first, so that none is left over at the end.
        order = sorted(plans, key=lambda plan: -plan.size)
        # Twice as many threads as processors: half of them wait for the compiling processes.
        with ThreadPoolExecutor(2 * self._tools.workers, thread_name_prefix="layer") as pool:
            try:
                made = dict(zip(order, pool.map(making.make, order), strict=True))
            except BaseException:
                making.stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        size = sum(layer.descriptor.size for layer in made.values())
        tell(Done("layers", f"Made {names}, {size / 1e6:.1f} MB"))
        return made


@contextlib.contextmanager
def _advised() -> Iterator[None]:
    """In the block, an error about what a package holds says what to do."""
    try:
        yield
    except IntegrityError as error:
        error.hint = error.hint or "it was published like this: choose another version, or leave it out"
        raise


def _placed(entry: Entry, layout: Layout) -> Entry:
    """``entry`` where the links of a base lead; what is no folder itself takes the place of a link of its name."""
    place = layout.folder if entry.kind == "dir" else layout.place
    return replace(entry, path=place(entry.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """Makes one layer at a time, in any number of threads, while its inputs are open."""

    tools: Tools
    lock: PlatformLock
    inputs: Inputs
    compiler: Bytecode | None
    users: Sequence[User]
    files: Sequence[Entry]
    waived: Sequence[str]
    authorities: Sequence[Entry]
    writable: bool
    base: Base | None
    stopped: threading.Event = field(default_factory=threading.Event)

    def make(self, plan: LayerPlan) -> Layer:
        """The layer of ``plan``, which the store has from now on; CancelledError once ``stopped`` is set."""
        layer = write(self.tools, plan, self._fragments(plan), tick=self._expect_wanted)
        self.tools.listener(Moved("layers", plan.size))
        return layer

    def _expect_wanted(self) -> None:
        if self.stopped.is_set():
            raise CancelledError

    def _fragments(self, plan: LayerPlan) -> Iterable[Sequence[Entry]]:
        links = dict(link.split(" ", 1) for link in self.lock.image.links) if self.lock.image else {}
        # What is of Debian's packages follows all links of the base already.
        if not links or plan.kind in ("debs", "effects"):
            return self._entries(plan)
        layout = Layout(links)
        return ([_placed(entry, layout) for entry in fragment] for fragment in self._entries(plan))

    def _entries(self, plan: LayerPlan) -> Iterable[Sequence[Entry]]:
        makers: dict[str, Callable[[LayerPlan], Iterable[Sequence[Entry]]]] = {
            "debs": self._debs,
            "interpreter": self._interpreter,
            "bytecode": self._bytecode,
            "effects": self._effects,
            "conda": self._conda,
            "environment": self._environment,
            "wheels": self._wheels,
            "files": lambda _: [self.files],
        }
        fragments = makers[plan.kind](plan)
        if self.writable and plan.kind in ("environment", "wheels"):
            user = self.users[0]
            return (
                given_away(fragment, PREFIX.strip("/"), uid=user.uid, gid=user.gid) for fragment in fragments
            )
        return fragments

    def _debs(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        return (self.inputs.deb(pin).entries for pin in plan.debs)

    def _interpreter(self, _plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        yield self.inputs.interpreter(self.lock.python)
        if self.compiler:
            yield self.compiler.of_interpreter()

    def _bytecode(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        if self.compiler:
            yield self.compiler.of_debs(plan.debs)

    def _environment(self, _plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        python, image, prefix = self.lock.python, self.lock.image, PREFIX.strip("/")
        entries = venv_entries(
            prefix, python=python.executable, version=python.version, system_site=python.brings_packages
        )
        yield entries
        if image is not None and image.environment_hidden:
            yield [opaque(prefix)]
        elif image is not None and image.replaced and self.base is not None:
            from taskimage.transform.base import uninstalled

            names = {row.partition(" ")[0] for row in image.replaced}
            with self.base.tree() as tree:
                yield uninstalled(tree, names, prefix=prefix, minor=python.minor, above=entries)
        if self.lock.conda:
            # By this file conda's tools know that a folder is an environment.
            yield [Entry.file(f"{CONDA.strip('/')}/conda-meta/history", b"")]

    def _conda(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        return merged(map(self._conda_package, plan.conda), python=self.lock.python.minor)

    def _conda_package(self, pin: CondaPin) -> tuple[Sequence[Entry], Sequence[Entry]]:
        package = self.inputs.conda(pin)
        if package.scripts and pin.name not in self.waived:
            self._warn_of_conda(pin.name, package.scripts)
        return package.entries, self.compiler.of_conda(pin) if self.compiler else ()

    def _warn_of_conda(self, name: str, scripts: Sequence[str]) -> None:
        names = ", ".join(f"/{path}" for path in scripts)
        hint = (
            f"if the image works without, say so: builder_options: {{taskimage: {{waive_scripts: [{name}]}}}}"
        )
        self.tools.listener(Warned(f"{name}: conda would run {names}, which is not done", hint))

    def _wheels(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        return merged(map(self._wheel, plan.wheels), python=self.lock.python.minor)

    def _wheel(self, pin: WheelPin) -> tuple[Sequence[Entry], Sequence[Entry]]:
        return self.inputs.wheel(pin).entries, self.compiler.of_wheel(pin) if self.compiler else ()

    def _effects(self, plan: LayerPlan) -> Iterator[Sequence[Entry]]:
        from taskimage.transform.effects.emulation import effects, effects_before

        debs = [self.inputs.deb(pin) for pin in plan.debs]
        with self.base.tree() if self.base else contextlib.nullcontext() as tree:
            below = tree.entries if tree else ()
            follow = partial(
                effects, debs, platform=self.lock.platform, users=self.users, below=below,
                authorities=self.authorities,
            )  # fmt: skip
            found = effects_before(follow, waived=self.waived)
            if not found.unknown:
                yield found.entries
                return
            from taskimage.verbs.scripts import Scripts

            scripts = Scripts(
                tools=self.tools, platform=self.lock.platform, debs=debs, unfollowed=found.unknown,
                waived=self.waived, stopped=self.stopped.is_set,
            )  # fmt: skip
            there = {entry.path for entries in (below, *(deb.entries for deb in debs)) for entry in entries}
            blobs = self.base.blobs() if self.base else ()
            # A layer is written when all of its entries are known.
            yield self.inputs.enter_context(scripts.run(blobs, there, found.entries))
