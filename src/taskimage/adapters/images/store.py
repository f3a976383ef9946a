"""The store as a place of images."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.adapters import layout
from taskimage.adapters.images.blob import Blob, MovedBytes
from taskimage.adapters.images.layout import LayoutSource
from taskimage.adapters.store import Store
from taskimage.model.oci import RawManifest

__all__ = ["StoreTarget", "store_source"]


def store_source(store: Store) -> LayoutSource:
    """The images of ``store``."""
    return LayoutSource(store.layout, hint="remove that file and build the image again")


class StoreTarget:
    """What keeps images in ``store``."""

    name = "the store"

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Keep ``blob``."""
        if self._store.blob_path(blob.descriptor.digest).exists():
            return
        with self._store.pending_blob() as pending:
            blob.save(pending, moved)

    def finish(self, manifests: Sequence[RawManifest], names: Sequence[str]) -> None:
        """Keep ``manifests``; ``names`` mean the last of them from then on."""
        for raw in manifests:
            self._store.put_blob(raw.data)
        descriptor = layout.described(self._store.layout, manifests[-1])
        for name in names:
            layout.tag(self._store, name, descriptor)
