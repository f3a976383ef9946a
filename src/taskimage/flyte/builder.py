"""The image builder of flytekit 1.x: from what a spec is called there to the image's digest.

flytekit computes an image's name anew where a task runs, and asks nobody there: so the image is under that tag, and
tasks are registered with its digest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskimage.adapters.settings import Settings, flag
from taskimage.adapters.specfiles.projectlocks import project_of
from taskimage.cli.progress import progress
from taskimage.flyte.command import is_local, root_filled_in
from taskimage.flyte.locks import check_not_edited
from taskimage.flyte.naming import Names, names_of
from taskimage.flyte.specs import spec_from_flytekit
from taskimage.model.errors import BadInput, NotFound, TaskImageError
from taskimage.model.events import Event, Listener, Notice, ignore
from taskimage.model.oci import RawManifest
from taskimage.model.value import dataclass
from taskimage.verbs.fingerprint import lock_file
from taskimage.verbs.prepare import Order, load_spec, order, prepare
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from flytekit.image_spec.image_spec import ImageSpec as FlytekitSpec

    from taskimage.verbs.build import Built
    from taskimage.verbs.destination import Destination
    from taskimage.verbs.existence import Existing

__all__ = ["Builder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One image that flytekit asks for: what it is called there, what goes into it, and what is to be done."""

    names: Names
    order: Order
    tools: Tools
    force: bool
    push: bool

    @property
    def destination(self) -> Destination | None:
        """The repository that it goes to; None where nothing names a registry."""
        if not self.order.loaded.registry:
            return None
        from taskimage.verbs.destination import Destination

        return Destination(self.tools, self.order.fqn)

    def check_place(self) -> None:
        """Raises BadInput when tasks would be registered with an image that is nowhere for them."""
        if is_local():
            return
        if not self.order.loaded.registry:
            raise BadInput(
                f"tasks cannot be registered with image {self.names.name!r}, which is for no registry",
                hint="name one: ImageSpec(registry=…), TASKIMAGE_REGISTRY, or registry in config.toml",
            )
        if not self.push:
            raise BadInput(
                f"{self.names.name!r} is not there, and FLYTE_PUSH_IMAGE_SPEC says that nothing is pushed",
                hint="unset it, or push the image first",
            )


class Builder:
    """Builds one image at a time, whichever thread asks; what was read for one serves the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._show: Listener = ignore
        self._tools: dict[Tools, Tools] = {}
        self._asked: tuple[FlytekitSpec, _Wanted] | None = None
        # What flytekit calls an image that is there -> its names, and what it is to us: what may become a base image.
        self._there: dict[str, tuple[Names, str]] = {}

    def should_build(self, theirs: FlytekitSpec) -> bool:
        """Whether there is no such image yet. Where there is, tasks are registered with its digest.

        Raises ClickException when nobody can tell, and when the image would be nowhere for the tasks.
        """
        with self._working():
            wanted = self._wanted(theirs)
            destination = None if wanted.force else wanted.destination
            found = self._existing(wanted, destination) if destination else None
            if destination is None or found is None:
                wanted.check_place()
                return True
            image = self._published(wanted, destination, found.raw)
            # flytekit keeps what `build_image` gives, and nothing otherwise.
            from flytekit.image_spec.image_spec import ImageBuildEngine

            ImageBuildEngine._IMAGE_NAME_TO_REAL_NAME[wanted.names.name] = image  # noqa: SLF001
            self._tell(Notice(f"nothing to do: the registry has {image}"))
            return False

    def build_image(self, theirs: FlytekitSpec) -> str | None:
        """``name@digest`` of the image, which is built and published; None where it stays on this machine.

        Raises ClickException for whatever keeps it from being there.
        """
        from taskimage.verbs.build import build_ordered

        with self._working():
            wanted = self._wanted(theirs)
            self._asked = None  # what is asked for again is read again
            wanted.check_place()
            push = None if wanted.push else False
            built = build_ordered(wanted.tools, wanted.order, force=wanted.force, push=push)
            if built.published and (destination := wanted.destination):
                image = self._published(wanted, destination, built.root)
                self._tell(Notice(f"built {image}"))
                return image
            self._there[wanted.names.name] = wanted.names, built.image.full
            self._tell(Notice(f"built {built.reference}, in the store"))
            self._load(built, wanted.tools)
            return None

    def _wanted(self, theirs: FlytekitSpec) -> _Wanted:
        """What is wanted for a spec, whose files are read once: flytekit asks whether to build, and then to build."""
        if self._asked is None or self._asked[0] is not theirs:
            self._asked = theirs, self._read(theirs)
        return self._asked[1]

    def _read(self, theirs: FlytekitSpec) -> _Wanted:
        base = self._there.get(theirs.base_image) if isinstance(theirs.base_image, str) else None
        names = names_of(theirs, base=base[0] if base else None)
        spec = spec_from_flytekit(theirs)
        settings = Settings.load()
        whole = dataclasses.replace(spec, base_image=spec_from_flytekit(base[0].written)) if base else spec
        loaded = load_spec(whole, root=None, platform=None, registry=None, settings=settings)
        loaded = dataclasses.replace(loaded, project=project_of(Path(root_filled_in() or ".")))
        check_not_edited(loaded)
        if base and not settings.locked and not lock_file(loaded).exists():
            loaded = dataclasses.replace(loaded, spec=dataclasses.replace(spec, base_image=base[1]))
        tools = Tools.of(loaded, settings=settings, listener=self._tell)
        tools = self._tools.setdefault(tools, tools)
        made = order(tools, loaded, locked=settings.locked, tag=None)
        return _Wanted(
            names=names,
            order=dataclasses.replace(made, tag=names.tag, image_id=names.image_id),
            tools=tools,
            force=spec.forced or flag(os.environ, "FLYTE_FORCE_PUSH_IMAGE_SPEC", default=False),
            push=flag(os.environ, "FLYTE_PUSH_IMAGE_SPEC", default=True),
        )

    def _existing(self, wanted: _Wanted, destination: Destination) -> Existing | None:
        """The image that is there: by what it is made of where there is a lock, and else by flytekit's tag."""
        if wanted.order.lock is None:
            return destination.existing(wanted.names.tag, wanted.order.platforms)
        prepared = prepare(wanted.tools, wanted.order, force=False)
        content, *tags = prepared.tags
        found = destination.existing(content, wanted.order.platforms, identity=prepared.identity)
        if found is not None:
            destination.name(found.raw, tags)
        return found

    def _published(self, wanted: _Wanted, destination: Destination, root: RawManifest) -> str:
        """``name@digest`` of an image that is in its registry, under each name that flytekit has for it."""
        if wanted.names.task_tag != wanted.names.tag:
            destination.name(root, [wanted.names.task_tag])
        image = f"{wanted.order.fqn}@{root.digest}"
        self._there[image] = wanted.names, image
        return image

    def _load(self, built: Built, tools: Tools) -> None:
        from taskimage.adapters.images.engine import find_engine
        from taskimage.verbs.export import load

        try:
            find_engine(os.environ)
        except NotFound:
            self._tell(Notice("no container engine answers here, so none has it; `taskimage run` runs it"))
        else:
            load(built, settings=tools.settings, listener=self._tell)

    # -- what is seen of it ----------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        self._show(event)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """One thread at a time, with its progress on standard error, and errors as ``pyflyte`` shows them."""
        with self._lock:
            try:
                with progress() as self._show:
                    yield
            except TaskImageError as error:
                # Of this kind of error, and of no other, `pyflyte` shows the message alone.
                shown = click.ClickException(str(error))
                shown.exit_code = error.exit_code
                raise shown from error
