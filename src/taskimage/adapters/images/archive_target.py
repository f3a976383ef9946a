"""Archives that ``docker load`` and ``podman load`` take: one tar with an image for one platform."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Final

from taskimage.adapters.images.blob import Blob, MovedBytes, checked
from taskimage.adapters.layout import INDEX_FILE, MARKER, MARKER_FILE, blob_path, listed
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import (
    CONFIG,
    DOCKER_CONFIG,
    LAYER,
    LAYER_ZSTD,
    OCI_LAYERS,
    Descriptor,
    Index,
    Manifest,
    RawManifest,
    canonical_json,
)
from taskimage.model.reference import Reference
from taskimage.transform.tarheader import MTIME

__all__ = ["ArchiveTarget", "archive_target"]

_SUFFIXES: Final = {LAYER: ".tar", LAYER_ZSTD: ".tar.zst"}


class ArchiveTarget:
    """An archive that is written in one go, when all of the image is at hand; see `archive_target`."""

    def __init__(
        self, name: str, opened: AbstractContextManager[IO[bytes]], streams: ExitStack, *, layout: bool
    ) -> None:
        self.name = name
        self._opened = opened
        self._streams = streams
        self._layout = layout
        self._blobs: dict[Digest, tuple[Blob, BinaryIO]] = {}

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Have ``blob`` at hand: a tar can only be written from its beginning to its end."""
        stream = blob.open()
        self._streams.callback(stream.close)
        # Of one that still arrives the end is there last.
        stream.seek(0, io.SEEK_END)
        self._blobs[blob.descriptor.digest] = blob, stream
        moved(blob.descriptor.size)

    def finish(self, manifests: Sequence[RawManifest], names: Sequence[str]) -> None:
        """Write the archive, whose image is called ``names``, as far as engines take them. Layers stay as they are.

        The same image gives the same bytes. Raises BadInput for an index.
        """
        raw = manifests[-1]
        manifest = raw.read(where=self.name)
        if not isinstance(manifest, Manifest):
            raise BadInput(f"{self.name} takes one image for one platform", hint="choose one with --platform")
        config = self._path(manifest.config)
        layers = [self._path(layer) for layer in manifest.layers]
        tags = [name for name in names if _is_tagged(name)]
        contents = [{"Config": config, "RepoTags": tags, "Layers": layers}]
        parts = {config: manifest.config, **dict(zip(layers, manifest.layers, strict=True))}
        with (
            self._opened as target,
            tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            _add_bytes(archive, "manifest.json", canonical_json(contents))
            if self._layout:
                _add_bytes(archive, MARKER_FILE, MARKER)
                _add_bytes(archive, INDEX_FILE, _index(raw.descriptor, tags).to_json())
                _add_bytes(archive, self._path(raw.descriptor), raw.data)
            for path, descriptor in parts.items():
                with checked(*self._blobs[descriptor.digest]) as stream:
                    _add(archive, path, descriptor.size, stream)

    def _path(self, descriptor: Descriptor) -> str:
        if self._layout:
            return blob_path(PurePosixPath(), descriptor.digest).as_posix()
        suffix = ".json" if descriptor.media_type in (CONFIG, DOCKER_CONFIG) else _suffix(descriptor)
        return f"{descriptor.digest.hex}{suffix}"


@contextlib.contextmanager
def archive_target(
    name: str, opened: AbstractContextManager[IO[bytes]], *, layout: bool = False
) -> Iterator[ArchiveTarget]:
    """An archive to write, called ``name`` for people, to the stream of ``opened``.

    What comes out of ``opened`` when its block ends badly is not to be used. With ``layout`` it is an image layout
    at the same time, for engines that keep manifests and so the image's digest.
    """
    with ExitStack() as streams:
        yield ArchiveTarget(name, opened, streams, layout=layout)


def _index(descriptor: Descriptor, names: Sequence[str]) -> Index:
    # containerd takes a name as it is, and looks for it with nothing left out.
    return listed(Index(), descriptor, [str(Reference.parse(name)) for name in names])


def _is_tagged(name: str) -> bool:
    """Whether engines take ``name``: image layouts allow any text, and an archive that has it is not loaded."""
    try:
        reference = Reference.parse(name)
    except BadInput:
        return False
    return reference.tag is not None and reference.digest is None


def _suffix(layer: Descriptor) -> str:
    return _SUFFIXES.get(OCI_LAYERS.get(layer.media_type, ""), ".tar.gz")


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    _add(archive, name, len(data), io.BytesIO(data))


def _add(archive: tarfile.TarFile, name: str, size: int, stream: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = MTIME
    archive.addfile(member, stream)
