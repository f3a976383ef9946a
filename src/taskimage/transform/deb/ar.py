"""The outer archive of a .deb: the common ar format, read as a stream (deb(5), ar(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from taskimage.model.errors import IntegrityError

__all__ = ["Member", "members"]

MAGIC = b"!<arch>\n"
HEADER = 60


class Member:
    """One member: a stream that ends where the member ends, and complains if the archive ends first."""

    def __init__(self, archive: BinaryIO, name: str, size: int, where: str) -> None:
        self.name = name
        self.size = size
        self._archive = archive
        self._left = size
        self._where = where

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._archive.read(wanted) if wanted else b""
        if wanted and not data:
            raise IntegrityError(f"the archive ends inside of member {self.name!r}", where=self._where)
        self._left -= len(data)
        return data


def members(archive: BinaryIO, *, where: str) -> Iterator[Member]:
    """Each member in its order; a member is read before the next one is asked for, or skipped.

    Raises IntegrityError for anything that is not an ar archive from its first byte to its last.
    """
    if archive.read(len(MAGIC)) != MAGIC:
        raise IntegrityError("not an ar archive, which a .deb is", where=where)
    while header := archive.read(HEADER):
        member = _member(archive, header, where)
        yield member
        while member.read(1 << 20):
            pass
        if member.size % 2 and archive.read(1) != b"\n":
            raise IntegrityError(f"member {member.name!r} is not padded to an even size", where=where)


def _member(archive: BinaryIO, header: bytes, where: str) -> Member:
    size = header[48:58].rstrip(b" ")
    if len(header) != HEADER or header[58:] != b"`\n" or not size.isdigit():
        raise IntegrityError(f"not a header of an ar member: {header!r:.200}", where=where)
    name = header[:16].decode("ascii", "replace").rstrip(" ").removesuffix("/")
    return Member(archive, name, int(size), where)
