"""Repositories of registries as places of images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from taskimage.adapters.images.blob import Blob, MovedBytes
from taskimage.adapters.images.store import store_source
from taskimage.adapters.registry import Repository
from taskimage.adapters.store import Pending, Store
from taskimage.model.errors import IntegrityError, NotFound, TaskImageError
from taskimage.model.oci import Descriptor, RawManifest

__all__ = ["RegistrySource", "RegistryTarget"]

T = TypeVar("T")


class RegistrySource:
    """The images of a repository, which several registries may have.

    Args:
        repositories: Mirrors, and the repository itself as the last.
        store: What it has is not fetched; what passes through this machine is kept on its disk meanwhile.
    """

    def __init__(self, repositories: Sequence[Repository], store: Store) -> None:
        self._repositories = repositories
        self._store = store
        self._near = store_source(store)

    @property
    def name(self) -> str:
        """Registry and repository."""
        return self._repositories[-1].name

    def find(self, version: str) -> RawManifest:
        """The manifest of a tag or digest. Raises NotFound, and as `Repository.manifest` does."""

        def read(repository: Repository) -> RawManifest:
            raw = repository.manifest(version)
            if raw is None:
                mark = "@" if ":" in version else ":"
                raise NotFound(f"there is no image {f'{repository.name}{mark}{version}'!r}")
            return raw

        return self._first(read)

    def manifest(self, descriptor: Descriptor) -> RawManifest:
        """The manifest that ``descriptor`` names."""
        with contextlib.suppress(NotFound):
            return self._near.manifest(descriptor)
        return self.find(str(descriptor.digest))

    def blob(self, descriptor: Descriptor) -> Blob:
        """The blob that ``descriptor`` names."""
        there = self._store.blob_path(descriptor.digest).exists()
        return self._near.blob(descriptor) if there else _RemoteBlob(descriptor, self)

    def download(self, descriptor: Descriptor, pending: Pending, moved: MovedBytes) -> None:
        """Write the blob of ``descriptor`` to ``pending``."""

        def fetch(repository: Repository) -> None:
            try:
                repository.download(descriptor, pending, moved=moved)
            except TaskImageError:
                moved(-pending.size)
                pending.restart()
                raise

        self._first(fetch)

    def downloading(self, descriptor: Descriptor) -> BinaryIO:
        """The blob of ``descriptor``, while it arrives, in a file that is gone when it is closed."""
        from taskimage.adapters.images.arriving import Arriving

        def fetch(pending: Pending) -> None:
            with self._store.explained():
                self.download(descriptor, pending, lambda _: None)

        with self._store.explained(), self._store.temporary_directory() as folder:
            return cast("BinaryIO", Arriving(Path(folder) / "blob", fetch))

    def _first(self, ask: Callable[[Repository], T]) -> T:
        """What the first repository gives that has it; a mirror that fails is passed over."""
        *mirrors, own = self._repositories
        for mirror in mirrors:
            with contextlib.suppress(TaskImageError):
                return ask(mirror)
        return ask(own)


class _RemoteBlob:
    """A blob of a registry."""

    def __init__(self, descriptor: Descriptor, source: RegistrySource) -> None:
        self.descriptor = descriptor
        self._source = source

    def open(self) -> BinaryIO:
        return self._source.downloading(self.descriptor)

    def save(self, pending: Pending, moved: MovedBytes) -> None:
        self._source.download(self.descriptor, pending, moved)

    def damaged(self, message: str) -> IntegrityError:
        return IntegrityError(message, where=self._source.name)


class RegistryTarget:
    """A repository to push to.

    Args:
        repository: It.
        mount_from: Repositories of the same registry that may have the blobs already.
    """

    def __init__(self, repository: Repository, *, mount_from: Sequence[str] = ()) -> None:
        self._repository = repository
        self._mount_from = mount_from

    @property
    def name(self) -> str:
        """Registry and repository."""
        return self._repository.name

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Have ``blob`` in the repository: it is there already, or is mounted, or uploaded."""
        self._repository.upload(blob.descriptor, blob.open, mount_from=self._mount_from, moved=moved)

    def finish(self, manifests: Sequence[RawManifest], names: Sequence[str]) -> None:
        """Put ``manifests``, the last of them under the tags ``names``, or by its digest where there are none."""
        *below, root = manifests
        for raw in below:
            self._repository.put_manifest(raw, str(raw.digest))
        for name in names or (str(root.digest),):
            self._repository.put_manifest(root, name)
