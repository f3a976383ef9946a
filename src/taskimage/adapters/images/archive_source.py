"""Archives of ``docker save``, read: a tar whose ``manifest.json`` names configurations and layers.

There is no manifest as registries have it in such an archive, so one is made; layers that are not compressed, which
is how Docker saves them, are compressed. The same image gives the same manifest, whichever release saved it. (Since
version 25 Docker puts an image layout into the archive too, of the layers as it has them; that is left alone.)
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, cast

from taskimage.adapters.crew import Crew
from taskimage.adapters.images.blob import Blob, FileBlob, Hashing
from taskimage.adapters.store import Pending, Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound, TaskImageError
from taskimage.model.oci import (
    CONFIG,
    LAYER,
    LAYER_GZIP,
    MANIFEST,
    Config,
    Descriptor,
    Manifest,
    RawManifest,
    parse_json,
)
from taskimage.model.oci.document import Fields
from taskimage.model.reference import Reference
from taskimage.model.value import dataclass
from taskimage.transform.deb.tar import TarMember, read_tar
from taskimage.transform.entry import StreamBody
from taskimage.transform.savedlayer import compressed, diff_id_of, media_type_of

__all__ = ["ArchiveSource", "archive_source"]

_CONTENTS: Final = "manifest.json"
_LARGEST_DOCUMENT: Final = 8 << 20
# DEFLATE reaches 1032:1 on zeros, and small layers may well be all zeros.
_RATIO, _FREE = 200, 64 << 20
_HINT: Final = "save the image again"


class ArchiveSource:
    """One image of an archive: ``root`` is its manifest, ``names`` what the archive calls it."""

    def __init__(self, archive: _Archive, saved: _Saved, store: Store, scratch: Path) -> None:
        self.name = archive.name
        self.names = saved.names
        self._archive = archive
        self._store = store
        self._scratch = scratch
        self._blobs: dict[Digest, Blob] = {}
        self.root = self._manifest(saved)

    def manifest(self, descriptor: Descriptor) -> RawManifest:
        """Its own. Raises NotFound for any other one."""
        if descriptor.digest != self.root.digest:
            raise NotFound(f"there is no manifest {descriptor.digest}", where=self.name)
        return self.root

    def blob(self, descriptor: Descriptor) -> Blob:
        """The configuration, or a layer."""
        return self._blobs[descriptor.digest]

    # -- the manifest that the archive has not ---------------------------------------------------------

    def _manifest(self, saved: _Saved) -> RawManifest:
        body = self._archive.body(saved.config)
        data = self._archive.document(saved.config)
        config = Config.from_json(data, where=f"{self.name}: {saved.config}")
        if len(config.diff_ids) != len(saved.layers):
            raise IntegrityError(
                f"{len(saved.layers)} layers, and {len(config.diff_ids)} in {saved.config!r}", where=self.name
            )
        pairs = list(zip(saved.layers, config.diff_ids, strict=True))
        layers: dict[tuple[str, Digest], Descriptor] = {}

        def make(pair: tuple[str, Digest]) -> None:
            layers[pair] = self._layer(*pair)

        Crew.run(make, dict.fromkeys(pairs))
        manifest = Manifest(
            config=self._kept(CONFIG, Digest.of(data), body), layers=tuple(layers[pair] for pair in pairs)
        )
        return RawManifest(MANIFEST, manifest.to_json())

    def _layer(self, path: str, diff_id: Digest) -> Descriptor:
        """The layer at ``path``, compressed; its tar has the digest ``diff_id``, or IntegrityError."""
        body = self._archive.body(path)
        where = f"{self.name}: {path}"
        with body.open() as stream:
            media_type = media_type_of(stream)
            stream.seek(0)
            if media_type == LAYER:
                got, digest, body = self._compressed(stream, diff_id)
                media_type = LAYER_GZIP
            else:
                hashing = Hashing(stream)
                got = diff_id_of(
                    cast("BinaryIO", hashing), media_type, limit=_FREE + _RATIO * body.size, where=where
                )
                digest = hashing.digest
        if got != diff_id:
            raise IntegrityError(
                f"the layer's tar has digest {got}, wanted {diff_id}", where=where, hint=_HINT
            )
        return self._kept(media_type, digest, body)

    def _compressed(self, tar: BinaryIO, diff_id: Digest) -> tuple[Digest, Digest, StreamBody]:
        path = self._scratch / diff_id.hex
        with self._store.explained(), path.open("wb") as file:
            pending = Pending(file, path)
            got = compressed(tar, pending.write)
        return got, pending.digest, StreamBody(lambda: path.open("rb"), pending.size)

    def _kept(self, media_type: str, digest: Digest, body: StreamBody) -> Descriptor:
        descriptor = Descriptor(media_type=media_type, digest=digest, size=body.size)
        self._blobs[digest] = FileBlob(descriptor, body.open, self.name, _HINT)
        return descriptor


@contextlib.contextmanager
def archive_source(file: Path, name: str | None, store: Store) -> Iterator[ArchiveSource]:
    """The image ``name`` of the archive ``file``, or its only one, to be read within the block.

    What has to be compressed is kept on the disk of ``store`` until then.

    Raises NotFound (no such file, or image), BadInput (another kind of file), IntegrityError (damaged, or hostile).
    """
    try:
        stream = file.open("rb")
    except OSError as error:
        raise NotFound(f"cannot read the archive {str(file)!r}: {error.strerror}") from error
    with stream, store.temporary_directory() as scratch:
        archive = _Archive.read(stream, str(file))
        yield ArchiveSource(archive, archive.find(name), store, Path(scratch))


@dataclass(frozen=True, slots=True)
class _Saved:
    """An image of an archive: its names, as ``repository:tag``, and where its parts are."""

    names: tuple[str, ...]
    config: str
    layers: tuple[str, ...]


class _Archive:
    """The files of an archive."""

    def __init__(self, name: str, members: dict[str, TarMember]) -> None:
        self.name = name
        self._members = members

    @classmethod
    def read(cls, stream: BinaryIO, name: str) -> _Archive:
        if stream.read(4).startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
            raise BadInput(
                f"the archive {name!r} is compressed", hint="decompress it first, with gunzip or zstd -d"
            )
        members = {member.path: member for member in read_tar(stream, 0, where=name)}
        if _CONTENTS not in members:
            layout = "oci-layout" in members
            raise BadInput(
                f"{name!r} is no archive of docker save: it has no {_CONTENTS}",
                hint=f"it is an image layout: unpack it (tar -xf {name} -C DIR) and name oci:DIR"
                if layout
                else None,
            )
        return cls(name, members)

    def find(self, name: str | None) -> _Saved:
        """The image of this name, or the only one. Raises NotFound, which names those that there are."""
        document = {_CONTENTS: parse_json(self.document(_CONTENTS), where=f"{self.name}: {_CONTENTS}")}
        images = [
            _Saved(one.texts("RepoTags"), one.text("Config"), one.texts("Layers"))
            for one in Fields(document, self.name).sections(_CONTENTS)
        ]
        found = [one for one in images if name is None or _same(name) in map(_same, one.names)]
        if len(found) == 1:
            return found[0]
        raise NotFound(
            f"{self.name!r} holds {len(images)} images"
            + (f", and none is {name!r}" if name else "; wanted one"),
            hint="name one of: " + ", ".join(name for one in images for name in one.names),
        )

    def document(self, path: str) -> bytes:
        """A small file."""
        body = self.body(path)
        if body.size > _LARGEST_DOCUMENT:
            raise IntegrityError(f"{path!r:.200} has {body.size} bytes", where=self.name)
        with body.open() as stream:
            return stream.read()

    def body(self, path: str) -> StreamBody:
        """The bytes of a file, or of what a link in place of it leads to (Docker saves a repeated layer so)."""
        here = path
        for _ in range(8):
            member = self._members.get(here)
            if member is not None and member.body is not None:
                return member.body
            if member is None or not member.target:
                break
            folder = posixpath.dirname(here) if member.kind == "symlink" else ""
            here = posixpath.normpath(posixpath.join(folder, member.target))
        raise IntegrityError(f"it names {path!r:.200} and has no such file", where=self.name, hint=_HINT)


def _same(name: str) -> Reference | str:
    """What two names of one image have in common."""
    try:
        reference = Reference.parse(name)
    except TaskImageError:
        return name
    return replace(reference, tag=reference.tag or "latest")
