"""Slices of a spool, the seekable file that archives are unpacked to, as streams for any thread."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ReadAt", "Slice", "open_slice", "reader"]

# Up to so many bytes are read at once: most files are small, and a buffer costs more than they do.
_WHOLE: Final = 1 << 20

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""Gives up to so many bytes from an offset, in any thread."""


def reader(spool: BinaryIO) -> ReadAt:
    """How ``spool``, which the caller keeps open, is read by position."""
    try:
        spool.fileno()
    except OSError:
        lock = threading.Lock()
        return partial(_read_locked, spool, lock)
    # Its number is asked for each time: that of a file that was closed may be another's.
    return lambda size, offset: os.pread(spool.fileno(), size, offset)


def open_slice(read_at: ReadAt, offset: int, size: int) -> BinaryIO:
    """A new stream over ``size`` bytes from ``offset``."""
    if size <= _WHOLE and len(data := read_at(size, offset)) == size:
        return io.BytesIO(data)
    return io.BufferedReader(Slice(read_at, offset, size), 128 * 1024)


def _read_locked(spool: BinaryIO, lock: threading.Lock, size: int, offset: int) -> bytes:
    with lock:
        spool.seek(offset)
        return spool.read(size)


class Slice(io.RawIOBase):
    """``size`` bytes from ``offset``, read anew whenever they are asked for."""

    def __init__(self, read_at: ReadAt, offset: int, size: int) -> None:
        self._read_at = read_at
        self._start = self._offset = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: self._start, io.SEEK_CUR: self._offset, io.SEEK_END: self._end}[whence]
        self._offset = min(max(origin + offset, self._start), self._end)
        return self._offset - self._start

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._read_at(min(len(view), self._end - self._offset), self._offset)
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)
