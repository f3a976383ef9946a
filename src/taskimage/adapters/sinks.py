"""Images as files for other tools: an OCI image layout, or an archive such as ``docker save`` makes.

What is written appears whole or not at all, and the same image gives the same bytes. Every layer is held to
its digest on the way out of the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from taskimage.adapters.atomic import explained, replacing
from taskimage.adapters.layout import INDEX_FILE, MARKER, MARKER_FILE, read_index
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound
from taskimage.model.oci import Descriptor, canonical_json
from taskimage.transform.assemble import BuiltImage
from taskimage.transform.tarheader import MTIME

__all__ = ["write_docker_archive", "write_oci_layout"]

_CHUNK = 1 << 20


def write_oci_layout(store: Store, image: BuiltImage, folder: Path, *, name: str) -> None:
    """Write ``image`` as an OCI image layout (image-spec, image-layout.md), named ``name`` in its index.

    A layout that is at ``folder`` already keeps its other images.

    Raises BadInput (the folder holds something else), NotFound (its parent, or a layer), NotAllowed,
    IntegrityError (a layer of the store is damaged), CannotBuild (no space).
    """
    folder = folder.resolve()
    key = Digest.of(str(folder).encode("utf-8", "surrogateescape"))
    with explained(folder), store.locked(f"layout-{key.short}"):
        if (folder / MARKER_FILE).exists():
            _add_to_layout(store, image, folder, name)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(
                f"{str(folder)!r} is not an OCI image layout",
                hint="name a folder that is new, empty, or an image layout",
            )
        else:
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
                new = Path(temporary) / "layout"
                new.mkdir(mode=0o755)
                _add_to_layout(store, image, new, name)
                new.rename(folder)


def write_docker_archive(store: Store, image: BuiltImage, file: Path, *, name: str) -> None:
    """Write ``image`` as one tar file that ``docker load`` and ``podman load`` take, tagged ``name``.

    The layers in it stay compressed. Raises as `write_oci_layout` does.
    """
    config = f"{image.manifest.config.digest.hex}.json"
    layers = {f"{layer.digest.hex}.tar.gz": layer for layer in image.manifest.layers}
    order = [f"{layer.digest.hex}.tar.gz" for layer in image.manifest.layers]
    contents = canonical_json([{"Config": config, "RepoTags": [name], "Layers": order}])
    with (
        replacing(file) as target,
        tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add_member(archive, "manifest.json", len(contents), io.BytesIO(contents))
        _add_member(archive, config, len(image.config_bytes), io.BytesIO(image.config_bytes))
        for member, layer in layers.items():
            with _checked(store, layer) as stream:
                _add_member(archive, member, layer.size, stream)


def _add_member(archive: tarfile.TarFile, name: str, size: int, stream: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = MTIME
    archive.addfile(member, stream)


def _add_to_layout(store: Store, image: BuiltImage, folder: Path, name: str) -> None:
    for layer in image.manifest.layers:
        path = _blob_path(folder, layer.digest)
        if not path.exists():
            with _checked(store, layer) as stream, replacing(path) as file:
                shutil.copyfileobj(stream, file, _CHUNK)
    _write(_blob_path(folder, image.manifest.config.digest), image.config_bytes)
    _write(_blob_path(folder, image.digest), image.manifest_bytes)
    # The index comes last: until it names an image, nobody looks for the image's blobs.
    index = read_index(folder).with_named(name, image.descriptor)
    _write(folder / MARKER_FILE, MARKER)
    _write(folder / INDEX_FILE, index.to_json())


def _blob_path(folder: Path, digest: Digest) -> Path:
    path = folder / "blobs" / digest.algorithm / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: BinaryIO, algorithm: str) -> None:
        self._stream = stream
        self._hash = hashlib.new(algorithm)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()


@contextlib.contextmanager
def _checked(store: Store, layer: Descriptor) -> Iterator[IO[bytes]]:
    """The bytes of a layer; at the end of the block they were what the descriptor says, or IntegrityError."""
    path = store.blob_path(layer.digest)
    hint = "remove that file and build the image again"
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(
            f"the store has no layer {layer.digest}", where=str(store.layout), hint="build the image again"
        ) from error
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size != layer.size:
            raise IntegrityError(f"got {size} bytes, wanted {layer.size} bytes", where=str(path), hint=hint)
        hashing = _Hashing(stream, layer.digest.algorithm)
        yield cast("IO[bytes]", hashing)
        if hashing.hex != layer.digest.hex:
            got = Digest(layer.digest.algorithm, hashing.hex)
            raise IntegrityError(f"digest is {got}, wanted {layer.digest}", where=str(path), hint=hint)
