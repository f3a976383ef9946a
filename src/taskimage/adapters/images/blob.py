"""Blobs at the place that they are moved from."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, TypeAlias, cast

from taskimage.adapters.crew import Crew
from taskimage.adapters.store import Pending
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotFound
from taskimage.model.oci import Descriptor
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Blob", "FileBlob", "Hashing", "MovedBytes", "checked", "small"]

_CHUNK = 1 << 20
_LARGEST_DOCUMENT = 8 << 20

MovedBytes: TypeAlias = Callable[[int], None]
"""Hears how many bytes more arrived; fewer than none when some have to come again."""


class Blob(Protocol):
    """A blob at its source."""

    @property
    def descriptor(self) -> Descriptor:
        """What names it."""

    def open(self) -> BinaryIO:
        """Its bytes, as a stream that can seek. Whoever reads them closes it, and compares them with the digest."""

    def save(self, pending: Pending, moved: MovedBytes) -> None:
        """Write its bytes to ``pending``. Raises IntegrityError when they are not what the descriptor says."""

    def damaged(self, message: str) -> IntegrityError:
        """The error of a reader that found something else than the descriptor says."""


@dataclass(frozen=True, slots=True)
class FileBlob:
    """A blob that is a file, or a part of one.

    Attributes:
        descriptor: What names it.
        opener: Gives its bytes.
        where: The file, for people.
        hint: What to do when it is missing or damaged.
    """

    descriptor: Descriptor
    opener: Callable[[], BinaryIO]
    where: str
    hint: str

    def open(self) -> BinaryIO:
        """Its bytes. Raises NotFound."""
        try:
            return self.opener()
        except FileNotFoundError as error:
            raise NotFound(
                f"there is no blob {self.descriptor.digest}", where=self.where, hint=self.hint
            ) from error

    def save(self, pending: Pending, moved: MovedBytes) -> None:
        """Write its bytes to ``pending``."""
        want = self.descriptor
        with self.open() as stream:
            while chunk := stream.read(_CHUNK):
                Crew.current().check()
                pending.write(chunk)
                moved(len(chunk))
        if pending.size != want.size or pending.digest != want.digest:
            raise self.damaged(
                f"got {pending.size} bytes with digest {pending.digest}, wanted {want.size} with {want.digest}"
            )

    def damaged(self, message: str) -> IntegrityError:
        """The error for other bytes than the descriptor promises."""
        return IntegrityError(message, where=self.where, hint=self.hint)


class Hashing(io.RawIOBase):
    """A stream that hashes what is read from it, from the beginning to the end."""

    def __init__(self, stream: BinaryIO, algorithm: str = "sha256") -> None:
        self._stream = stream
        self._hash = hashlib.new(algorithm)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes."""
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As `read`, into ``buffer``."""
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was read so far."""
        return Digest(self._hash.name, self._hash.hexdigest())


@contextlib.contextmanager
def checked(blob: Blob, stream: BinaryIO) -> Iterator[IO[bytes]]:
    """``stream``, the bytes of ``blob``; when the block ends they have been what its descriptor says.

    Raises IntegrityError: at once for another size, and in the end for another digest.
    """
    want = blob.descriptor
    size = stream.seek(0, io.SEEK_END)
    if size != want.size:
        raise blob.damaged(f"got {size} bytes, wanted {want.size} bytes")
    stream.seek(0)
    hashing = Hashing(stream, want.digest.algorithm)
    yield cast("IO[bytes]", hashing)
    if hashing.digest != want.digest:
        raise blob.damaged(f"digest is {hashing.digest}, wanted {want.digest}")


def small(blob: Blob) -> bytes:
    """All bytes of a small blob, such as a configuration. Raises IntegrityError."""
    if blob.descriptor.size > _LARGEST_DOCUMENT:
        raise blob.damaged(f"{blob.descriptor.size} bytes are more than a configuration has")
    with blob.open() as stream, checked(blob, stream) as checking:
        return checking.read()
