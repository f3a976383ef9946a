"""Lists of packages as text, whatever they are compressed with: in pieces, each made while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taskimage.model.errors import IntegrityError
from taskimage.transform.gunzip import gzip_errors, open_gzip

__all__ = ["unpacked"]

_CHUNK = 1 << 18


def unpacked(data: bytes, size: int, *, where: str) -> Iterator[bytes]:
    """The text in ``data`` in pieces; ``where`` ends as the file's name does, which says how it is compressed.

    Raises IntegrityError when it has not exactly ``size`` bytes.
    """
    if where.endswith(".xz"):
        return _ahead(_of_xz(data, size, where))
    if where.endswith(".gz"):
        return _ahead(_of_gzip(data, size, where))
    return iter((data,))


def _of_xz(data: bytes, size: int, where: str) -> Iterator[bytes]:
    import lzma

    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 28)
    left = size
    try:
        while not decompressor.eof:
            chunk = decompressor.decompress(data, _CHUNK)
            data = b""
            left -= len(chunk)
            if left < 0 or (not chunk and decompressor.needs_input):
                break
            yield chunk
    except lzma.LZMAError as error:
        raise IntegrityError("not an xz file", where=where) from error
    if left or not decompressor.eof or decompressor.unused_data:
        raise _wrong_size(size, where)


def _of_gzip(data: bytes, size: int, where: str) -> Iterator[bytes]:
    import io

    left = size
    try:
        with open_gzip(io.BytesIO(data)) as file:
            while left >= 0 and (chunk := file.read(_CHUNK)):
                left -= len(chunk)
                yield chunk
    except gzip_errors() as error:
        raise IntegrityError("not a gzip file", where=where) from error
    if left:
        raise _wrong_size(size, where)


def _wrong_size(size: int, where: str) -> IntegrityError:
    return IntegrityError(f"does not unpack to the {size} bytes that are signed for", where=where)


def _ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks``, each made while the one before it is used: decompressing leaves Python free."""
    from concurrent.futures import ThreadPoolExecutor

    source = iter(chunks)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, source, None)
        while (chunk := future.result()) is not None:
            future = pool.submit(next, source, None)
            yield chunk
