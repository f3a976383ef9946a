"""The names of the store's images: the ``index.json`` of its image layout (image-spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from taskimage.adapters.store import Store
from taskimage.model.errors import IntegrityError, NotFound, TaskImageError
from taskimage.model.oci import Descriptor, Index, Manifest, canonical_json, parse_json
from taskimage.transform.assemble import BuiltImage

__all__ = ["INDEX_FILE", "MARKER", "MARKER_FILE", "find", "images", "load", "put", "read_index", "tag"]

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


def load(store: Store, descriptor: Descriptor) -> BuiltImage:
    """The image whose manifest is ``descriptor``'s blob.

    Raises NotFound (the store has it no more), IntegrityError (it is not what its digest says).
    """
    try:
        manifest_bytes = store.read_blob(descriptor.digest)
        manifest = Manifest.from_dict(parse_json(manifest_bytes, where=str(descriptor.digest)))
        config_bytes = store.read_blob(manifest.config.digest)
    except FileNotFoundError as error:
        raise NotFound(
            f"the store has no blob for the image {descriptor.digest}",
            where=str(store.layout),
            hint="build the image again",
        ) from error
    return BuiltImage.parse(manifest_bytes, config_bytes)
