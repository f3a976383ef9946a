"""Places of images, opened: what is there, and what takes something."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from taskimage.adapters.atomic import replacing
from taskimage.adapters.images.layout import LayoutSource, layout_target
from taskimage.adapters.images.registry import RegistrySource, RegistryTarget
from taskimage.adapters.layout import find_in
from taskimage.model.errors import BadInput
from taskimage.model.oci import Index, RawManifest
from taskimage.model.place import LayoutPlace, Place
from taskimage.model.reference import Reference
from taskimage.model.value import dataclass
from taskimage.verbs.tools import Tools
from taskimage.verbs.transfer import Source, Target, chosen

__all__ = ["Found", "for_this_machine", "opened_source", "opened_target", "single", "version"]


@dataclass(frozen=True, slots=True)
class Found:
    """An image at its place: ``root`` is its manifest or index, and ``names`` what it is called there."""

    source: Source
    root: RawManifest
    names: Sequence[str]


@contextlib.contextmanager
def opened_source(tools: Tools, place: Place) -> Iterator[Found]:
    """The image at ``place``, to be read within the block. Raises NotFound, and as the place raises."""
    if isinstance(place, Reference):
        registry = RegistrySource(tools.registries.sources(place), tools.store)
        tagged = [str(dataclasses.replace(place, digest=None))] if place.tag else []
        yield Found(registry, registry.find(version(place)), tagged)
    elif isinstance(place, LayoutPlace):
        descriptor = find_in(place.folder, name=place.name, digest=place.digest)
        layout = LayoutSource(place.folder)
        yield Found(layout, layout.manifest(descriptor), [descriptor.name] if descriptor.name else [])
    else:
        from taskimage.adapters.images.archive_source import archive_source

        with archive_source(place.file, place.name, tools.store) as archive:
            yield Found(archive, archive.root, archive.names)


def opened_target(
    tools: Tools, place: Place, *, mount_from: Sequence[str] = ()
) -> AbstractContextManager[Target]:
    """What takes an image to ``place``; files appear when the block ends, and not when it fails."""
    if isinstance(place, Reference):
        return contextlib.nullcontext(
            RegistryTarget(tools.registries.repository(place, push=True), mount_from=mount_from)
        )
    if isinstance(place, LayoutPlace):
        return layout_target(place.folder, tools.store)
    from taskimage.adapters.images.archive_target import archive_target

    return archive_target(str(place), replacing(place.file))


def version(reference: Reference) -> str:
    """What a registry is asked for: the digest, else the tag, ``latest`` where there is none."""
    return str(reference.digest or reference.tag or "latest")


def for_this_machine(source: Source, root: RawManifest) -> RawManifest:
    """The manifest of ``root``: of several platforms, that of this machine. Raises NotFound."""
    if not isinstance(root.read(where=source.name), Index):
        return root
    from taskimage.adapters.specfiles import host_linux

    return chosen(source, root, host_linux())


def single(source: Source, root: RawManifest) -> RawManifest:
    """The one manifest of ``root``. Raises BadInput for an index of several platforms."""
    index = root.read(where=source.name)
    if not isinstance(index, Index):
        return root
    if len(index.platforms) != 1:
        there = ", ".join(map(str, index.platforms)) or "none"
        raise BadInput(
            f"an archive takes one platform, and the image is for several: {there}",
            hint="choose one: --platform OS/ARCH",
        )
    return chosen(source, root, index.platforms[0])
