"""A section of a file as a stream of its own, so that members of an archive are read where they lie."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.model.errors import IntegrityError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["open_section"]

# Up to this many bytes are read in one go; what is larger is streamed.
_WHOLE = 1 << 20
_BUFFER = 1 << 18


def open_section(
    opener: Callable[[], BinaryIO], offset: int, size: int, *, where: str, crc32: int | None = None
) -> BinaryIO:
    """A new stream over ``size`` bytes from ``offset`` of the file that ``opener`` opens.

    The file is read by position, so any number of threads may do so, and it is closed with the stream.
    Raises IntegrityError, naming ``where``, when the file ends early, or when the bytes, once all of them
    are read, do not have ``crc32``.
    """
    raw = _Section(opener(), offset, size, where, crc32)
    if size > _WHOLE:
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))
    with raw:
        return io.BytesIO(raw.readall() or b"")


class _Section(io.RawIOBase):
    def __init__(self, file: BinaryIO, offset: int, size: int, where: str, crc32: int | None) -> None:
        self._file = file
        self._position = offset
        self._left = size
        self._where = where
        self._want = crc32
        self._crc32 = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = os.pread(self._file.fileno(), min(len(view), self._left), self._position)
        view[: len(data)] = data
        self._advance(data)
        return len(data)

    def readall(self) -> bytes:
        data = os.pread(self._file.fileno(), self._left, self._position)
        self._advance(data)
        # pread may give less than it was asked for, and then the base class reads the rest.
        return data + super().readall() if data and self._left else data

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

    def close(self) -> None:
        self._file.close()
        super().close()
