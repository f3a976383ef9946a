"""Image layouts: folders of blobs with an ``index.json`` that names images (image-spec, image-layout.md)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskimage.adapters.atomic import explained, replacing
from taskimage.adapters.images.blob import Blob, FileBlob, MovedBytes
from taskimage.adapters.layout import (
    INDEX_FILE,
    MARKER,
    MARKER_FILE,
    blob_path,
    described,
    listed,
    read_index,
)
from taskimage.adapters.store import Pending, Store
from taskimage.model.digest import Digest, verify
from taskimage.model.errors import BadInput, IntegrityError, NotFound
from taskimage.model.oci import Descriptor, RawManifest

__all__ = ["LayoutSource", "LayoutTarget", "layout_target"]

# As registries have it: the most that they take.
_LARGEST_MANIFEST = 8 << 20


class LayoutSource:
    """The images of the layout in ``folder``; ``hint`` says what to do where a file is missing or damaged."""

    def __init__(self, folder: Path, *, hint: str = "have the image written there again") -> None:
        self._folder = folder
        self._hint = hint

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def manifest(self, descriptor: Descriptor) -> RawManifest:
        """The manifest that ``descriptor``  Raises NotFound, IntegrityError."""
        path = blob_path(self._folder, descriptor.digest)
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST_MANIFEST + 1)
        except FileNotFoundError as error:
            raise NotFound(
                f"there is no manifest {descriptor.digest}", where=self.name, hint=self._hint
            ) from error
        if len(data) > _LARGEST_MANIFEST:
            raise IntegrityError(f"a manifest of more than {_LARGEST_MANIFEST} bytes", where=str(path))
        return RawManifest(descriptor.media_type, verify(data, descriptor.digest, where=str(path)))

    def blob(self, descriptor: Descriptor) -> Blob:
        """The blob that ``descriptor`` names."""
        path = blob_path(self._folder, descriptor.digest)
        return FileBlob(descriptor, lambda: path.open("rb"), str(path), self._hint)


class LayoutTarget:
    """The layout in ``folder``, which is made where it is none yet."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self._folder = folder
        self.name = name

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Keep ``blob``."""
        path = self._made(blob.descriptor.digest)
        if path.is_file() and path.stat().st_size == blob.descriptor.size:
            return
        with replacing(path) as file:
            blob.save(Pending(file, Path(file.name)), moved)

    def finish(self, manifests: Sequence[RawManifest], names: Sequence[str]) -> None:
        """Keep ``manifests``; the last is in the index from then on, under ``names``."""
        for raw in manifests:
            _write(self._made(raw.digest), raw.data)
        # The index comes last: until it names an image, nobody looks for the image's blobs.
        index = listed(read_index(self._folder), described(self._folder, manifests[-1]), names)
        _write(self._folder / MARKER_FILE, MARKER)
        _write(self._folder / INDEX_FILE, index.to_json())

    def _made(self, digest: Digest) -> Path:
        path = blob_path(self._folder, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextlib.contextmanager
def layout_target(folder: Path, store: Store) -> Iterator[LayoutTarget]:
    """The layout in ``folder`` to write to; a new one appears when the block ends, and not when that fails.

    A layout that is there keeps its other images. The lock against other processes is one of ``store``.

    Raises BadInput (the folder holds something else), NotFound (its parent), NotAllowed, CannotBuild (no space).
    """
    folder = folder.resolve()
    name = str(folder)
    key = Digest.of(name.encode("utf-8", "surrogateescape"))
    with explained(folder), store.locked(f"layout-{key.short}"):
        if (folder / MARKER_FILE).exists():
            yield LayoutTarget(folder, name=name)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(
                f"{name!r} is not an OCI image layout",
                hint="name a folder that is new, empty, or an image layout",
            )
        else:
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
                new = Path(temporary) / "layout"
                new.mkdir(mode=0o755)
                yield LayoutTarget(new, name=name)
                new.rename(folder)


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
