"""Layer tar -> what it says (OCI image-spec, layer.md): entries, whiteouts, opaque folders.

Nothing is written here. Whoever makes the layer is not trusted: names that leave the tree or that no system
has, names that appear twice, archives that end early or unpack to absurd sizes are errors that name the
member. Devices and pipes are left out: whoever runs an image has its own /dev.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.boundedtar import BoundedMember
from taskimage.transform.entry import Body, Entry, StreamBody, safe_path
from taskimage.transform.gunzip import gzip_errors, open_gzip
from taskimage.transform.spool import ReadAt, Slice, open_slice, reader
from taskimage.transform.whiteout import OPAQUE, WHITEOUT
from taskimage.transform.zstd import open_zstd, zstd_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from typing_extensions import Self

__all__ = ["Change", "Opaque", "Whiteout", "kept_changes", "layer_changes"]

# DEFLATE reaches 1032:1 on zeros. Real layers stay under 20:1, and small ones may well be all zeros.
_FREE = 64 << 20
_RATIO = 200
# Linux's PATH_MAX and NAME_MAX, in bytes.
_LONGEST_PATH, _LONGEST_NAME = 4096, 255
_CHUNK = 1 << 18
_LARGE_CHUNK = 1 << 20


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
    """The changes of one gzip, zstd or plain tar layer, in its order; ``stream`` is read to its end.

    The body of an entry can be read once, until the next change is asked for. ``compressed_size`` bounds what
    a layer may unpack to. Raises IntegrityError, naming ``where`` and the member, and CannotBuild for zstd
    where nothing reads it.
    """
    with (
        _damage_told(where),
        tarfile.open(
            fileobj=_inflated(stream), mode="r|", bufsize=_CHUNK, tarinfo=_Member, encoding="utf-8"
        ) as archive,
    ):
        yield from _changes(archive, partial(_passing, archive, where), _limit(compressed_size), where)


def kept_changes(stream: BinaryIO, spool: BinaryIO, *, compressed_size: int, where: str) -> Iterator[Change]:
    """The same, of a layer that is unpacked first, to the end of ``spool``, a seekable file.

    Bodies can be read as often as they are wanted, from any thread, for as long as ``spool`` is open.
    """
    limit = _limit(compressed_size)
    with _damage_told(where):
        start = end = spool.seek(0, 2)
        plain = _inflated(stream)
        while chunk := plain.read(_LARGE_CHUNK):
            end += spool.write(chunk)
            if end - start > limit:
                raise IntegrityError(f"unpacks to more than {limit} bytes", where=where)
        spool.flush()
        read_at = reader(spool)
        there = cast("BinaryIO", Slice(read_at, start, end - start))
        with tarfile.open(fileobj=there, mode="r:", tarinfo=_Member, encoding="utf-8") as archive:
            yield from _changes(archive, partial(_kept, archive, spool, read_at, start), limit, where)


def _limit(compressed_size: int) -> int:
    return _FREE + _RATIO * compressed_size


def _changes(
    archive: tarfile.TarFile, body: Callable[[tarfile.TarInfo], Body], limit: int, where: str
) -> Iterator[Change]:
    seen: set[str] = set()
    total = 0
    for member in archive:
        total += tarfile.BLOCKSIZE + member.size
        if total > limit:
            raise IntegrityError(
                f"unpacks to more than {limit} bytes at member {member.name!r:.200}", where=where
            )
        if member.ischr() or member.isblk() or member.isfifo():
            continue
        change = _change(body, member, where)
        if isinstance(change, Entry) and change.kind != "dir":
            if change.path in seen:
                raise IntegrityError(f"member {member.name!r:.200} appears twice", where=where)
            seen.add(change.path)
        yield change
    _only_zeros(cast("BinaryIO", archive.fileobj), where, limit)


@contextlib.contextmanager
def _damage_told(where: str) -> Iterator[None]:
    """In the block, damage of a layer that a reader of archives notices is an IntegrityError."""
    try:
        yield
    except Exception as error:
        # What damage is, is not asked for a generator that is closed, perhaps within an import: it imports, too.
        if not isinstance(error, _damage()) or (isinstance(error, OSError) and error.errno):
            raise  # the disk's trouble, not the layer's
        raise IntegrityError(f"cannot be read as a layer: {error}", where=where) from error


def _damage() -> tuple[type[Exception], ...]:
    return (tarfile.TarError, OSError, *gzip_errors(), *zstd_errors())


# No header, as it should be.
_ENDS = (tarfile.EOFHeaderError, tarfile.EmptyHeaderError)  # type: ignore[attr-defined] # typeshed has their base alone


class _Member(BoundedMember):
    """A member whose broken header is an error; tarfile alone takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except _ENDS:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _inflated(stream: BinaryIO) -> BinaryIO:
    # Its first bytes say how it is compressed: media types are wrong often enough, and readers do not ask them.
    magic = stream.read(4)
    stream.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return open_gzip(stream)
    return open_zstd(stream, what="a layer") if magic == b"\x28\xb5\x2f\xfd" else stream


def _only_zeros(plain: BinaryIO, where: str, limit: int) -> None:
    rest = 0
    while chunk := plain.read(_CHUNK):
        rest += len(chunk)
        if rest > limit or chunk.strip(b"\0"):
            raise IntegrityError("has bytes after the end of its archive", where=where)


def _change(body: Callable[[tarfile.TarInfo], Body], member: tarfile.TarInfo, where: str) -> Change:
    path = safe_path(member.name, where=where)
    _expect_possible(member, path, where)
    folder, _, name = path.rpartition("/")
    if name == OPAQUE:
        return Opaque(folder)
    if name.startswith(WHITEOUT):
        victim = name[len(WHITEOUT) :]
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
        return Entry(path, "file", mode, uid, gid, body(member))
    raise IntegrityError(f"member {member.name!r:.200} is of the unknown type {member.type!r}", where=where)


def _expect_possible(member: tarfile.TarInfo, path: str, where: str) -> None:
    """Raise IntegrityError for a name, or a link's text, that no file system of Linux can have."""
    target = member.linkname
    name, text = (each.encode("utf-8", "surrogateescape") for each in (path, target))
    longest = max(map(len, name.split(b"/")))
    if longest > _LONGEST_NAME or max(len(name), len(text)) >= _LONGEST_PATH:
        raise IntegrityError(f"member {member.name!r:.200} has a name or link that is too long", where=where)
    if (member.issym() and not target) or "\0" in target:
        raise IntegrityError(f"member {member.name!r:.200} is a link to {target!r:.200}", where=where)


def _passing(archive: tarfile.TarFile, where: str, member: tarfile.TarInfo) -> Body:
    """The bytes of ``member`` as they come."""

    def opened() -> BinaryIO:
        return io.BufferedReader(_Body(cast("io.BufferedReader", archive.extractfile(member)), where))

    return StreamBody(opened, member.size)


def _kept(
    archive: tarfile.TarFile, spool: BinaryIO, read_at: ReadAt, start: int, member: tarfile.TarInfo
) -> Body:
    """The bytes of ``member`` where they are in ``spool``, in which ``archive`` begins at ``start``."""
    offset = start + member.offset_data
    if member.issparse():  # it is nowhere as a whole
        offset = end = spool.seek(0, 2)
        whole = cast("BinaryIO", archive.extractfile(member))
        while chunk := whole.read(_LARGE_CHUNK):
            spool.seek(end)  # reading may have moved it
            end += spool.write(chunk)
        spool.flush()
    return StreamBody(partial(open_slice, read_at, offset, member.size), member.size)


class _Body(io.RawIOBase):
    """The bytes of a member, whose damage shows while they are read."""

    def __init__(self, stream: io.BufferedReader, where: str) -> None:
        self._stream = stream
        self._where = where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with _damage_told(self._where):
            return self._stream.readinto(buffer)
