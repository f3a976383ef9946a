"""Which images a layout has, by name: its ``index.json`` (image-spec, image-layout.md); and those of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, TypeVar

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound, TaskImageError
from taskimage.model.events import counted
from taskimage.model.oci import (
    CONFIG,
    DOCKER_CONFIG,
    Config,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
    canonical_json,
    parse_json,
)

if TYPE_CHECKING:
    from taskimage.transform.assemble import BuiltImage

__all__ = [
    "INDEX_FILE",
    "MARKER",
    "MARKER_FILE",
    "blob_path",
    "described",
    "find",
    "find_in",
    "images",
    "listed",
    "load",
    "put",
    "read_index",
    "tag",
]

_AnyPath = TypeVar("_AnyPath", bound=PurePath)

INDEX_FILE: Final = "index.json"
MARKER_FILE: Final = "oci-layout"
MARKER: Final = canonical_json({"imageLayoutVersion": "1.0.0"})


def read_index(layout: Path) -> Index:
    """What the image layout in the folder ``layout`` names; an empty index when there is none yet."""
    path = layout / INDEX_FILE
    try:
        return Index.from_dict(parse_json(path.read_bytes(), where=str(path)))
    except FileNotFoundError:
        return Index()
    except TaskImageError as error:
        raise IntegrityError(
            f"cannot read the index of an image layout: {error.message}",
            where=str(path),
            hint=f"move {path.name} away; the images can be built again, and their layers are kept",
        ) from error


def listed(index: Index, descriptor: Descriptor, names: Sequence[str]) -> Index:
    """``index`` with ``names`` meaning ``descriptor`` and nothing else; without names it has it all the same."""
    if not names and descriptor.digest not in {one.digest for one in index.manifests}:
        return replace(index, manifests=(descriptor, *index.manifests))
    for name in names:
        index = index.with_named(name, descriptor)
    return index


def find_in(layout: Path, *, name: str | None = None, digest: Digest | None = None) -> Descriptor:
    """The image of a layout that has this name, or this digest, or is the only one there.

    Raises NotFound, which says what there is.
    """
    index = read_index(layout)
    found = {one.digest: one for one in index.manifests if _is(one, name, digest)}
    if len(found) == 1:
        return next(iter(found.values()))
    if not (layout / INDEX_FILE).exists():
        raise NotFound(
            f"there is no image layout in {str(layout)!r}", hint="an image layout has an index.json"
        )
    wanted = f" and none is {name or str(digest)!r}" if name or digest else "; wanted one"
    there = dict.fromkeys(one.name or f"@{one.digest}" for one in index.manifests)
    raise NotFound(
        f"{str(layout)!r} holds {counted(len({one.digest for one in index.manifests}), 'image')}{wanted}",
        hint=f"it has: {', '.join(there)}" if there else None,
    )


def _is(descriptor: Descriptor, name: str | None, digest: Digest | None) -> bool:
    if name is not None:
        return name in descriptor.names
    return digest in (None, descriptor.digest)


def blob_path(layout: _AnyPath, digest: Digest) -> _AnyPath:
    """Where the layout in the folder ``layout`` has the blob of ``digest``, or would have it."""
    return layout / "blobs" / digest.algorithm / digest.hex


def described(layout: Path, raw: RawManifest) -> Descriptor:
    """What an index says of ``raw``: its descriptor, with the platform where it is an image in this layout."""
    document = raw.read(where=str(layout))
    if isinstance(document, Index) or document.config.media_type not in (CONFIG, DOCKER_CONFIG):
        return raw.descriptor
    path = blob_path(layout, document.config.digest)
    try:
        config = Config.from_json(path.read_bytes(), where=str(path))
    except BadInput:
        # It is copied as it is; whoever runs it finds out.
        return raw.descriptor
    return replace(raw.descriptor, platform=config.platform)


def tag(store: Store, name: str, descriptor: Descriptor) -> None:
    """From now on ``name`` means the manifest of ``descriptor`` in this store."""
    with store.locked("index"):
        index = read_index(store.layout).with_named(name, descriptor)
        store.write_file(store.layout / MARKER_FILE, MARKER)
        store.write_file(store.layout / INDEX_FILE, index.to_json())


def find(store: Store, name_or_digest: str) -> Descriptor | None:
    """The manifest that the store has under a name, or a digest; None when it has none."""
    for descriptor in read_index(store.layout).manifests:
        if name_or_digest in (descriptor.name, str(descriptor.digest)):
            return descriptor
    return None


def images(store: Store) -> Mapping[str, Descriptor]:
    """Every named manifest of the store, in the order of names."""
    manifests = read_index(store.layout).manifests
    return {one.name: one for one in manifests if one.name}


def put(store: Store, image: BuiltImage, *, names: Iterable[str] = ()) -> None:
    """Keep the manifest and configuration of ``image``, whose layers are kept already, under ``names``."""
    store.put_blob(image.config_bytes)
    store.put_blob(image.manifest_bytes)
    for name in names:
        tag(store, name, image.descriptor)


def load(store: Store, digest: Digest) -> BuiltImage:
    """The image whose manifest has this digest.

    Raises NotFound (the store has it no more), IntegrityError (it is not what its digest says).
    """
    try:
        manifest_bytes = store.read_blob(digest)
        manifest = Manifest.from_dict(parse_json(manifest_bytes, where=str(digest)))
        config_bytes = store.read_blob(manifest.config.digest)
    except FileNotFoundError as error:
        raise NotFound(
            f"the store has no blob for the image {digest}",
            where=str(store.layout),
            hint="build the image again",
        ) from error
    from taskimage.transform.assemble import BuiltImage

    return BuiltImage.parse(manifest_bytes, config_bytes)
