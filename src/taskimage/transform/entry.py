"""Entries: one file, directory or link of a layer, with mode, owner, and bytes that can be read again."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable, Iterable
from typing import BinaryIO, Literal, Protocol

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass

__all__ = [
    "Body",
    "BytesBody",
    "Deflated",
    "Entry",
    "Kind",
    "StreamBody",
    "folders_of",
    "safe_path",
    "same_content",
]

Kind = Literal["dir", "file", "symlink", "hardlink"]


class Body(Protocol):
    """The bytes of a file, which can be read as often as they are needed."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def open(self) -> BinaryIO:
        """A new stream over the bytes; the caller closes it."""


@dataclass(frozen=True, slots=True)
class BytesBody:
    """Bytes in memory, for what is small or was just made."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class StreamBody:
    """Bytes that something else keeps: ``opener`` gives a new stream of exactly ``size`` bytes."""

    opener: Callable[[], BinaryIO]
    size: int

    def open(self) -> BinaryIO:
        return self.opener()


@dataclass(frozen=True, slots=True)
class Deflated:
    """Bytes that are kept as one raw DEFLATE stream (RFC 1951), with the CRC-32 they must have.

    ``opener`` gives a new stream of exactly ``compressed_size`` bytes of DEFLATE data. A layer reuses that
    data as the body of a gzip member and checks size and CRC while it inflates it for the diff_id. ``where``
    is the archive that it is from, for messages.
    """

    opener: Callable[[], BinaryIO]
    compressed_size: int
    size: int
    crc32: int
    where: str | None = None

    def open_deflated(self) -> BinaryIO:
        """A new stream over the compressed bytes; the caller closes it."""
        return self.opener()

    def open(self) -> BinaryIO:
        from isal import igzip_lib, isal_zlib

        with self.opener() as stream:
            inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
            try:
                data = inflater.decompress(stream.read(), self.size + 1)
            except igzip_lib.error as error:  # type: ignore[misc]
                raise IntegrityError(f"a compressed member is damaged: {error}", where=self.where) from error
        if len(data) != self.size or isal_zlib.crc32(data) != self.crc32:
            raise IntegrityError(
                "a compressed member does not have the size and CRC that its archive states", where=self.where
            )
        return io.BytesIO(data)


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer.

    ``path`` is relative and normal (``usr/bin/env``); ``target`` is a symlink's text as it stands, or the
    ``path`` of what a hard link names; ``mode`` has the permission bits only, set-id and sticky included.
    """

    path: str
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    body: Body | None = None
    target: str = ""

    @classmethod
    def file(cls, path: str, data: bytes | Body, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Entry:
        """A regular file."""
        body = BytesBody(data) if isinstance(data, bytes) else data
        return cls(path, "file", mode, uid, gid, body)

    @classmethod
    def directory(cls, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
        """A directory."""
        return cls(path, "dir", mode, uid, gid)

    @classmethod
    def symlink(cls, path: str, target: str) -> Entry:
        """A symbolic link; its mode means nothing and is constant."""
        return cls(path, "symlink", 0o777, target=target)

    @property
    def size(self) -> int:
        """The bytes of a file, 0 for all else."""
        return self.body.size if self.body is not None else 0


def folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder that has to be there for ``paths`` to be, apart from the root."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def same_content(one: Entry, other: Entry) -> bool:
    """Whether two entries are the same file or link, whatever their modes and owners."""
    if (one.kind, one.target, one.size) != (other.kind, other.target, other.size):
        return False
    if one.body is None or other.body is None:
        return True
    with one.body.open() as ours, other.body.open() as theirs:
        return ours.read() == theirs.read()


def safe_path(name: str, *, where: str) -> str:
    """The normal form of an archive member's name: relative, no ``..``, no NUL; ``""`` for the root.

    Raises IntegrityError, naming ``where`` and the member, for a name that leaves the tree.
    """
    if name.startswith("/") or "\0" in name or ".." in name.split("/"):
        raise IntegrityError(f"member {name!r:.200} points outside of the tree", where=where)
    path = posixpath.normpath(name)
    return "" if path == "." else path
