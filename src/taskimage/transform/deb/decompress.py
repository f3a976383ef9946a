"""What the members of a .deb hold, decompressed under a bound (deb(5): none, gzip, xz and zstd)."""

from __future__ import annotations

import importlib
import posixpath
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform.deb.ar import Member

__all__ = ["decompressed"]

CHUNK = 1 << 20
# xz -9 needs 65 MiB to decompress; a header may ask for 4 GiB.
MAX_XZ_MEMORY = 256 << 20


class _Decompressor(Protocol):
    """What the decompressors of lzma and compression.zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def decompressed(member: Member, *, limit: int, where: str) -> Iterator[bytes]:
    """The bytes of ``member``, decompressed as its name says, in chunks of at most 1 MiB.

    Raises IntegrityError for damaged data, data after its end, or more than ``limit`` bytes, and CannotBuild
    for a compression that cannot be read here.
    """
    suffix = posixpath.splitext(member.name)[1]
    if suffix not in _READERS:
        wanted = ", ".join(_READERS)
        raise IntegrityError(
            f"member {member.name!r} is compressed in no known way; wanted {wanted}", where=where
        )
    total = 0
    try:
        for chunk in _READERS[suffix](member):
            total += len(chunk)
            if total > limit:
                raise IntegrityError(
                    f"member {member.name!r} unpacks to more than {limit} bytes", where=where
                )
            yield chunk
    except _errors() as error:
        raise IntegrityError(f"member {member.name!r} is damaged: {error}", where=where) from error


def _plain(stream: Member) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _gzip(stream: Member) -> Iterator[bytes]:
    import gzip

    with gzip.GzipFile(fileobj=cast("Any", stream)) as reader:
        while chunk := reader.read(CHUNK):
            yield chunk


def _xz(stream: Member) -> Iterator[bytes]:
    import lzma

    return _pump(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY), stream)


def _zstd(stream: Member) -> Iterator[bytes]:
    try:
        return _pump(importlib.import_module("compression.zstd").ZstdDecompressor(), stream)
    except ImportError:
        pass
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError as error:
        raise CannotBuild(
            "a package is compressed with zstd, which this Python cannot read",
            hint="install the Python package 'zstandard', or use Python 3.14 or later",
        ) from error
    return _plain(zstandard.ZstdDecompressor().stream_reader(stream))


def _pump(decompressor: _Decompressor, stream: Member) -> Iterator[bytes]:
    while not decompressor.eof:
        data = stream.read(CHUNK) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise EOFError("its end is missing")
        if chunk := decompressor.decompress(data, CHUNK):
            yield chunk
    if decompressor.unused_data or stream.read(1):
        raise EOFError("there are bytes after its end")


def _errors() -> tuple[type[Exception], ...]:
    import gzip
    import lzma
    import zlib

    errors: list[type[Exception]] = [EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, MemoryError]
    for name in ("compression.zstd", "zstandard"):
        try:
            errors.append(importlib.import_module(name).ZstdError)
        except ImportError:
            continue
    return tuple(errors)


_READERS: dict[str, Callable[[Member], Iterator[bytes]]] = {
    ".tar": _plain, ".gz": _gzip, ".xz": _xz, ".zst": _zstd,
}  # fmt: skip
