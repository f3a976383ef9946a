"""Regular files of this disk: read once for their digests, and later again, checked against them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from typing import BinaryIO, Protocol, cast

from taskimage.adapters.witness import saw, took
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotAllowed, NotFound, TaskImageError

__all__ = ["Hasher", "explained", "hash_file", "open_checked", "open_regular", "read_regular"]

_BLOCK = 1 << 18


class Hasher(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """Take ``data`` in."""

    def copy(self) -> Hasher:
        """Another one in the same state."""

    def hexdigest(self) -> str:
        """The digest of what was taken in."""


def explained(error: OSError, path: str | os.PathLike[str]) -> TaskImageError:
    """The error of ours that says what the system's ``error`` about ``path`` means."""
    where = os.fspath(path)
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowed("cannot be read: permission denied", where=where, hint="change its mode or owner")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound("no such file", where=where)
    if error.errno == errno.ELOOP:
        return BadInput("a link that leads to itself", where=where)
    return BadInput(f"cannot be read: {error.strerror}", where=where)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The regular file ``path``. Raises NotFound, NotAllowed, and BadInput for anything that is not one."""
    saw(path)
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise explained(error, path) from error
    except ValueError as error:  # a NUL in it, or a lone surrogate
        raise BadInput(f"cannot be read: {error}", where=repr(path)) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return cast("BinaryIO", open(descriptor, "rb", buffering=0))  # noqa: PTH123 - the caller closes it
    os.close(descriptor)
    raise BadInput("not a regular file", where=os.fspath(path))


def read_regular(path: str | os.PathLike[str], most: int = -1) -> bytes:
    """The bytes of the regular file ``path``, or the first ``most`` of them. Raises as `open_regular` does."""
    try:
        with open_regular(path) as file:
            data = file.read(most)
    except OSError as error:
        raise explained(error, path) from error
    took(path, hashlib.sha256(data).hexdigest(), len(data))
    return data


def hash_file(path: str | os.PathLike[str], also: Hasher | None = None) -> tuple[int, Digest]:
    """The size and digest of the regular file ``path``; ``also`` takes its bytes in as well."""
    sha256 = hashlib.sha256()
    size = 0
    try:
        with open_regular(path) as file:
            while block := file.read(_BLOCK):
                sha256.update(block)
                size += len(block)
                if also is not None:
                    also.update(block)
    except OSError as error:
        raise explained(error, path) from error
    took(path, sha256.hexdigest(), size)
    return size, Digest("sha256", sha256.hexdigest())


def open_checked(path: str, size: int, digest: Digest) -> BinaryIO:
    """The bytes of ``path``, which must still be those that ``size`` and ``digest`` tell of.

    The stream raises IntegrityError at its end when they are not.
    """
    return cast("BinaryIO", io.BufferedReader(_Checked(open_regular(path), path, size, digest), _BLOCK))


class _Checked(io.RawIOBase):
    def __init__(self, file: BinaryIO, path: str, size: int, digest: Digest) -> None:
        self._file = file
        self._path = path
        self._left = size
        self._digest = digest
        self._hash = hashlib.new(digest.algorithm)
        if not size:
            self._check()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self._left:
            return 0
        data = self._file.read(min(len(buffer), self._left))
        self._hash.update(data)
        buffer[: len(data)] = data
        self._left -= len(data)
        # An early end is a change as well.
        if not data or not self._left:
            self._check()
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _check(self) -> None:
        if self._left or self._file.read(1) or self._hash.hexdigest() != self._digest.hex:
            raise IntegrityError(
                "changed while it was being copied", where=self._path, hint="build again when it is at rest"
            )
