"""A blob that is read while it still arrives, so that it can be sent on meanwhile."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.adapters.store import Pending

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Arriving"]


class Arriving(io.RawIOBase):
    """What ``fetch`` writes to the file ``path``, as a stream that waits for bytes that are not there yet.

    Its end is reached when ``fetch`` has ended, and a failure of that is raised wherever bytes are waited for. Who
    closes it early ends the fetching too. The file may be removed as soon as this is made.
    """

    def __init__(self, path: Path, fetch: Callable[[Pending], None]) -> None:
        self._inlet = path.open("wb")
        self._file = path.open("rb", buffering=0)
        self._path = path
        self._position = 0
        self._there = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        # In the context of whoever waits for it, and so stopped with that thread's crew.
        threading.Thread(target=copy_context().run, args=(self._run, fetch), daemon=True).start()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """``size`` bytes, fewer at the end alone."""
        size = self._wait(None if size is None or size < 0 else self._position + size) - self._position
        data = os.pread(self._file.fileno(), max(0, size), self._position)
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            offset += self._wait(None)
        elif whence == io.SEEK_CUR:
            offset += self._position
        self._position = offset
        return offset

    def close(self) -> None:
        with self._changed:
            super().close()
            self._changed.notify_all()
        self._file.close()

    def _wait(self, end: int | None) -> int:
        """Wait for the bytes before ``end``, or all; where they end."""
        with self._changed:
            while not self._ended and (end is None or self._there < end):
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            return self._there if end is None else min(end, self._there)

    # -- the other end ---------------------------------------------------------------------------------

    def _run(self, fetch: Callable[[Pending], None]) -> None:
        try:
            with self._inlet:
                fetch(Pending(cast("BinaryIO", _Inlet(self._inlet, self._arrived)), self._path))
        except BaseException as failure:  # noqa: BLE001 - raised again where somebody reads
            self._failure = failure
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _arrived(self, there: int) -> None:
        with self._changed:
            if self.closed:
                raise _AbandonedError
            self._there = there
            self._changed.notify_all()


class _AbandonedError(Exception):
    """Nobody reads what arrives."""


class _Inlet:
    """The file that is written to; ``arrived`` is told how much of it can be read."""

    def __init__(self, file: BinaryIO, arrived: Callable[[int], None]) -> None:
        self._file = file
        self._arrived = arrived

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._file.flush()
        self._arrived(self._file.tell())
        return len(data)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def truncate(self) -> int:
        # What was read already is as good as what comes again: whoever reads compares all of it with the digest.
        self._arrived(self._file.tell())
        return self._file.truncate()
