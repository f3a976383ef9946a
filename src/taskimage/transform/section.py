"""A section of a file as a stream of its own, so that members of an archive are read where they lie."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.model.errors import IntegrityError
from taskimage.transform.spool import ReadAt

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["by_position", "open_section"]

# A file of up to this many bytes is held in memory: there may be more of these than a process may have open.
_HELD = 1 << 18
# Up to this many bytes are read in one go; what is larger is streamed.
_WHOLE = 1 << 20
_BUFFER = 1 << 18


def by_position(opener: Callable[[], BinaryIO]) -> ReadAt:
    """How the file that ``opener`` opens is read in any thread: it is opened now, and stays so while this is kept."""
    with opener() as stream:
        if os.fstat(stream.fileno()).st_size > _HELD:
            return _Open(os.dup(stream.fileno()))
        data = stream.read()
    return lambda size, offset: data[offset : offset + size]


class _Open:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, size: int, offset: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self._descriptor)  # by its own name, since modules may be gone when the process ends


def open_section(
    read_at: ReadAt, offset: int, size: int, *, where: str, crc32: int | None = None
) -> BinaryIO:
    """A new stream over ``size`` bytes from ``offset`` of a file.

    Raises IntegrityError, naming ``where``, when the file ends early, or when the bytes, once all of them
    are read, do not have ``crc32``.
    """
    if size <= _WHOLE:
        data = read_at(size, offset)
        if len(data) == size and crc32 in (None, zlib.crc32(data)):
            return io.BytesIO(data)
    return cast("BinaryIO", io.BufferedReader(_Section(read_at, offset, size, where, crc32), _BUFFER))


class _Section(io.RawIOBase):
    def __init__(self, read_at: ReadAt, offset: int, size: int, where: str, crc32: int | None) -> None:
        self._read_at = read_at
        self._position = offset
        self._left = size
        self._where = where
        self._want = crc32
        self._crc32 = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read_at(min(len(view), self._left), self._position)
        view[: len(data)] = data
        self._advance(data)
        return len(data)

    def _advance(self, data: bytes) -> None:
        if not data and self._left:
            raise IntegrityError(f"ends {self._left} bytes early", where=self._where)
        self._left -= len(data)
        self._position += len(data)
        if self._want is not None:
            self._crc32 = zlib.crc32(data, self._crc32)
            if not self._left and self._crc32 != self._want:
                raise IntegrityError(
                    f"CRC-32 is {self._crc32:08x}, and its archive states {self._want:08x}", where=self._where
                )
