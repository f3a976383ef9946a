"""A blob as it is sent: read once from its file, hashed on the way, and read again from where it must be."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import IO, BinaryIO, Final, cast

from taskimage.adapters.crew import Crew
from taskimage.model.errors import IntegrityError
from taskimage.model.oci import Descriptor

__all__ = ["BlobSource"]

_BLOCK: Final = 1 << 20


class BlobSource:
    """The bytes of ``descriptor``, from a file that is open and can be read from any place.

    Each byte is hashed when it is first read, in whatever pieces, and however often some of them are sent again.

    Args:
        file: What has the bytes; whoever opened it closes it.
        descriptor: What they must be.
        moved: Hears how many more bytes were sent, fewer than none when some are sent again.
    """

    def __init__(self, file: BinaryIO, descriptor: Descriptor, moved: Callable[[int], None]) -> None:
        self._file = file
        self._descriptor = descriptor
        self._moved = moved
        self._hash = hashlib.new(descriptor.digest.algorithm)
        self._hashed = 0
        self._told = 0

    def part(self, start: int, end: int) -> IO[bytes]:
        """The bytes from ``start`` to ``end``, as a stream to send."""
        self._hash_until(start)
        self.tell(start)
        return cast("IO[bytes]", _Part(self, start, end))

    def whole(self) -> bytes:
        """All of a small blob, checked."""
        data = self.read(0, self._descriptor.size)
        self.check()
        return data

    def check(self) -> None:
        """Raise IntegrityError, which names the file, unless its bytes have the size and digest they must have."""
        self._hash_until(self._descriptor.size)
        wanted = self._descriptor.digest
        if self._at(self._descriptor.size, 1):
            raise self._damaged(f"has more than the {self._descriptor.size} bytes it must have")
        if (got := self._hash.hexdigest()) != wanted.hex:
            raise self._damaged(f"has digest {wanted.algorithm}:{got}, wanted {wanted}")

    def read(self, start: int, size: int) -> bytes:
        """``size`` bytes from ``start``, of which at least the first was hashed before or is the next to hash."""
        # A server that takes bytes without end notices no Ctrl-C.
        Crew.current().check()
        data = self._at(start, size)
        if len(data) < size:
            raise self._damaged(
                f"ends after {start + len(data)} of the {self._descriptor.size} bytes it must have"
            )
        if start + size > self._hashed:
            self._hash.update(memoryview(data)[self._hashed - start :])
            self._hashed = start + size
        return data

    def tell(self, position: int) -> None:
        """All bytes before ``position`` are sent, and none behind it."""
        if position != self._told:
            self._moved(position - self._told)
            self._told = position

    def _hash_until(self, end: int) -> None:
        while self._hashed < end:
            self.read(self._hashed, min(_BLOCK, end - self._hashed))

    def _at(self, start: int, size: int) -> bytes:
        try:
            self._file.seek(start)
            return self._file.read(size)
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror}") from error

    def _damaged(self, problem: str) -> IntegrityError:
        name = getattr(self._file, "name", None)
        return IntegrityError(
            f"blob {self._descriptor.digest.short} {problem}",
            where=name if isinstance(name, str) else None,
            hint="remove the damaged file, and build or fetch it again",
        )


class _Part(io.RawIOBase):
    """Some of a blob, as the body of a request."""

    def __init__(self, source: BlobSource, start: int, end: int) -> None:
        self._source = source
        self._position = start
        self._end = end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._position
        # What was handed out before has been sent, now that more is asked for.
        self._source.tell(self._position)
        data = self._source.read(self._position, left if size < 0 else min(size, left))
        self._position += len(data)
        return data
