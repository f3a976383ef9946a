"""What the members of a .deb hold, decompressed under a bound (deb(5): none, gzip, xz and zstd)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Any, cast

from taskimage.model.errors import IntegrityError
from taskimage.transform.deb.ar import Member
from taskimage.transform.zstd import open_zstd, zstd_errors

__all__ = ["decompressed"]

CHUNK = 1 << 20
# xz -9 needs 65 MiB to decompress; a header may ask for 4 GiB.
MAX_XZ_MEMORY = 256 << 20


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
    except Exception as error:
        if not isinstance(error, _errors()):
            raise
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

    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)
    while not decompressor.eof:
        data = stream.read(CHUNK) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise EOFError("its end is missing")
        if chunk := decompressor.decompress(data, CHUNK):
            yield chunk
    if decompressor.unused_data or stream.read(1):
        raise EOFError("there are bytes after its end")


def _zstd(stream: Member) -> Iterator[bytes]:
    with open_zstd(stream, what="a package") as reader:
        while chunk := reader.read(CHUNK):
            yield chunk


def _errors() -> tuple[type[Exception], ...]:
    import gzip
    import lzma
    import zlib

    return (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, MemoryError, *zstd_errors())


_READERS: dict[str, Callable[[Member], Iterator[bytes]]] = {
    ".tar": _plain, ".gz": _gzip, ".xz": _xz, ".zst": _zstd,
}  # fmt: skip
