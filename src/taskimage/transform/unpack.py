"""Layer tar -> what it says (OCI image-spec, layer.md): entries, whiteouts, opaque folders.

Nothing is written here. Whoever makes the layer is not trusted: names that leave the tree, devices, names
that appear twice, archives that end early or unpack to absurd sizes are errors that name the member.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from taskimage.model.errors import IntegrityError
from taskimage.transform.entry import Entry, StreamBody, safe_path

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Change", "Opaque", "Whiteout", "layer_changes"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
# DEFLATE reaches 1032:1 on zeros. Real layers stay under 20:1, and small ones may well be all zeros.
_FREE = 64 << 20
_RATIO = 200


@dataclass(frozen=True, slots=True)
class Whiteout:
    """``path`` of the layers below is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """Everything that the layers below have in the folder ``path`` is gone."""

    path: str


Change: TypeAlias = Entry | Whiteout | Opaque


def layer_changes(stream: BinaryIO, *, compressed_size: int, where: str) -> Iterator[Change]:
    """The changes of one gzip or plain tar layer, in its order; ``stream`` is read to its end.

    The body of an entry can be read once, until the next change is asked for. ``compressed_size`` bounds what
    a layer may unpack to. Raises IntegrityError, naming ``where`` and the member.
    """
    seen: set[str] = set()
    limit = _FREE + _RATIO * compressed_size
    total = 0
    try:
        with tarfile.open(fileobj=_inflated(stream), mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                total += member.size
                if total > limit:
                    raise IntegrityError(
                        f"unpacks to more than {limit} bytes at member {member.name!r:.200}", where=where
                    )
                change = _change(archive, member, where)
                if isinstance(change, Entry) and change.kind != "dir":
                    if change.path in seen:
                        raise IntegrityError(f"member {member.name!r:.200} appears twice", where=where)
                    seen.add(change.path)
                yield change
            _only_zeros(cast("BinaryIO", archive.fileobj), where, limit)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's trouble, not the layer's
        raise IntegrityError(f"cannot be read as a layer: {error}", where=where) from error


class _Member(tarfile.TarInfo):
    """A member whose broken header is an error; tarfile alone takes it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):
                raise  # the end, as it should be
            raise tarfile.ReadError(str(error)) from error


def _inflated(stream: BinaryIO) -> BinaryIO:
    from isal import igzip

    magic = stream.read(2)
    stream.seek(0)
    if magic != b"\x1f\x8b":
        return stream
    # igzip reads concatenated members as one stream (RFC 1952, section 2.2).
    return cast("BinaryIO", igzip.open(stream, "rb"))  # type: ignore[no-untyped-call]


def _only_zeros(plain: BinaryIO, where: str, limit: int) -> None:
    rest = 0
    while chunk := plain.read(1 << 18):
        rest += len(chunk)
        if rest > limit or chunk.strip(b"\0"):
            raise IntegrityError("has bytes after the end of its archive", where=where)


def _change(archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> Change:
    path = safe_path(member.name, where=where)
    folder, _, name = path.rpartition("/")
    if name == _OPAQUE:
        return Opaque(folder)
    if name.startswith(_WHITEOUT):
        victim = name[len(_WHITEOUT) :]
        if victim in ("", ".", ".."):
            raise IntegrityError(f"whiteout {member.name!r:.200} names nothing", where=where)
        return Whiteout(f"{folder}/{victim}" if folder else victim)
    mode, uid, gid = member.mode & 0o7777, member.uid, member.gid
    if member.isdir():
        return Entry.directory(path, mode, uid, gid)
    if not path:
        raise IntegrityError("a member that is no directory stands for the root", where=where)
    if member.issym():
        return Entry(path, "symlink", 0o777, uid, gid, target=member.linkname)
    if member.islnk():
        return Entry(path, "hardlink", mode, uid, gid, target=safe_path(member.linkname, where=where))
    if member.isreg():
        return Entry(path, "file", mode, uid, gid, StreamBody(lambda: _opened(archive, member), member.size))
    raise IntegrityError(f"member {member.name!r:.200} is a device or pipe, which is refused", where=where)


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    return cast("BinaryIO", archive.extractfile(member))
