"""Tar archives as packages have them: USTAR with GNU and PAX extensions, read strictly (POSIX pax, tar(5)).

``tarfile`` takes a damaged header for the end of the archive, reads extension headers of any size into
memory, and gives what it found without a word; here each of these is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.entry import Kind, StreamBody, safe_path
from taskimage.transform.spool import ReadAt, open_slice, reader

__all__ = ["TarMember", "read_tar"]

BLOCK = 512
# Longest path or link of Linux is 4096 bytes; a PAX header may have a few of them.
MAX_EXTENSION = 64 * 1024
_KINDS: dict[bytes, Kind] = {b"0": "file", b"\0": "file", b"1": "hardlink", b"2": "symlink", b"5": "dir"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """One member: ``name`` as written, ``path`` normal, ``target`` as written (hard links: normal)."""

    name: str
    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    target: str = ""
    body: StreamBody | None = None


def read_tar(archive: BinaryIO, start: int, *, where: str) -> Iterator[TarMember]:
    """The members of the tar that begins at ``start`` of ``archive`` and ends with the file.

    Bodies are slices of ``archive``, which must stay open. Raises IntegrityError for a device, a sparse
    file, a path out of the tree, a damaged header, a truncated archive, or data after its end.
    """
    read_at = reader(archive)
    end = archive.seek(0, 2)
    extensions: dict[str, str] = {}
    while True:
        header = read_at(BLOCK, start)
        if len(header) != BLOCK:
            raise IntegrityError("the tar archive is truncated", where=where)
        if not any(header):
            break
        size = _size(header, where)
        size, body_size = _sizes(size, extensions, header, where)
        body, start = start + BLOCK, start + BLOCK + -(-body_size // BLOCK) * BLOCK
        if start > end:
            raise IntegrityError(f"member {_text(header[:100], where)!r:.200} is truncated", where=where)
        if header[156:157] in b"LKxg":
            extensions.update(_extension(header[156:157], read_at, body, size, where))
            continue
        yield _member(header, extensions, StreamBody(partial(open_slice, read_at, body, size), size), where)
        extensions = {}
    while data := read_at(1 << 20, start):
        if any(data):
            raise IntegrityError("there is data after the end of the tar archive", where=where)
        start += len(data)


def _sizes(size: int, extensions: dict[str, str], header: bytes, where: str) -> tuple[int, int]:
    if "size" in extensions and header[156:157] not in b"LKxg":
        if not re.fullmatch(r"[0-9]{1,15}", extensions["size"]):
            raise IntegrityError(f"a PAX header states the size {extensions['size']!r:.200}", where=where)
        size = int(extensions["size"])
    # Only files and extensions have bytes, whatever their header states.
    return size, size if header[156:157] in b"0\0LKxg" else 0


def _size(header: bytes, where: str) -> int:
    # The checksum is of the header with spaces in the checksum's own place.
    if _number(header[148:156], where) != sum(header[:148]) + sum(header[156:]) + 8 * 32:
        raise IntegrityError("a tar header has a wrong checksum", where=where)
    return _number(header[124:136], where)


def _member(header: bytes, extensions: dict[str, str], body: StreamBody, where: str) -> TarMember:
    name = _text(header[:100], where)
    if header[257:263] == b"ustar\0" and header[345]:
        name = _text(header[345:500], where) + "/" + name
    name = extensions.get("path", name)
    target = extensions.get("linkpath", _text(header[157:257], where))
    kind = _KINDS.get(header[156:157])
    if kind is None or any(key.startswith("GNU.sparse") for key in extensions):
        raise IntegrityError(
            f"member {name!r:.200} is of type {header[156:157]!r}; wanted a file, directory or link",
            where=where,
        )
    path = safe_path(name, where=where)
    if kind == "hardlink":
        target = safe_path(target, where=where)
    if (not path and kind != "dir") or (kind in ("symlink", "hardlink") and not target) or "\0" in target:
        raise IntegrityError(
            f"member {name!r:.200} makes no sense as a {kind} to {target!r:.200}", where=where
        )
    return TarMember(
        name=name,
        path=path,
        kind=kind,
        mode=_number(header[100:108], where) & 0o7777,
        uid=_number(header[108:116], where),
        gid=_number(header[116:124], where),
        target=target if kind in ("symlink", "hardlink") else "",
        body=body if kind == "file" else None,
    )


def _extension(kind: bytes, read_at: ReadAt, offset: int, size: int, where: str) -> dict[str, str]:
    if size > MAX_EXTENSION:
        raise IntegrityError(f"a tar extension header has {size} bytes; at most {MAX_EXTENSION}", where=where)
    data = read_at(size, offset)
    if kind in b"LK":
        return {"path" if kind == b"L" else "linkpath": _text(data, where)}
    if kind == b"g":
        raise IntegrityError("a tar has a global PAX header, which packages do not use", where=where)
    records: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        record = data[: int(length)] if length.isdigit() and len(length) < 6 else b""
        key, equals, value = record[len(length) + 1 :].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise IntegrityError("a PAX header is damaged", where=where)
        records[_text(key, where)] = _text(value[:-1], where)
        data = data[len(record) :]
    return records


def _number(field: bytes, where: str) -> int:
    if field[0] == 0x80:  # GNU: a binary number in place of octal digits
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if len(digits.translate(None, b"01234567")):
        raise IntegrityError(f"a tar header has {field!r} for a number", where=where)
    return int(digits, 8)


def _text(data: bytes, where: str) -> str:
    try:
        return data.partition(b"\0")[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise IntegrityError(
            f"a tar header has a name that is not UTF-8: {data!r:.200}", where=where
        ) from error
