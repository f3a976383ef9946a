"""Tar headers: USTAR where the values fit, PAX extended records where they do not (POSIX.1-2017, pax)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from taskimage.transform.entry import Entry

__all__ = ["BLOCK", "MTIME", "tar_header"]

BLOCK: Final = 512
MTIME: Final = 946684800
"""2000-01-01T00:00:00Z: constant, and late enough for zip archives, which know no year before 1980."""

_TYPES = {"file": b"0", "hardlink": b"1", "symlink": b"2", "dir": b"5"}
_LAYOUT = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_OCTAL_SIZE = 8**11


def tar_header(entry: Entry) -> bytes:
    """The blocks that stand before the bytes of ``entry``, one, or three and more with PAX records."""
    path = entry.path + "/" if entry.kind == "dir" else entry.path
    records: dict[str, str] = {}
    split = _split(path)
    if split is None:
        records["path"] = path
        split = (b"", _ascii(path)[:100])
    target = entry.target.encode("utf-8", "surrogateescape")
    if len(target) > 100 or not target.isascii():
        records["linkpath"] = entry.target
        target = _ascii(entry.target)[:100]
    size = entry.size
    if size >= _OCTAL_SIZE:
        records["size"] = str(size)
        size = 0
    header = _block(
        split, _TYPES[entry.kind], target=target, mode=entry.mode, uid=entry.uid, gid=entry.gid, size=size
    )
    return _pax(records) + header if records else header


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def _split(path: str) -> tuple[bytes, bytes] | None:
    """The prefix and name fields for ``path``; None when it fits in no way."""
    name = path.encode("utf-8", "surrogateescape")
    if not name.isascii():
        return None
    if len(name) <= 100:
        return b"", name
    # The cut is at the first slash that leaves a name short enough; a directory's last slash is no cut.
    cut = name.find(b"/", len(name) - 101, len(name) - 1)
    return (name[:cut], name[cut + 1 :]) if 0 < cut <= 155 else None


def _block(
    split: tuple[bytes, bytes], kind: bytes, *, target: bytes, mode: int, uid: int, gid: int, size: int
) -> bytes:
    prefix, name = split
    block = bytearray(
        _LAYOUT.pack(
            name, b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % size, b"%011o" % MTIME,
            b" " * 8, kind, target, b"ustar", b"00", b"", b"", b"%07o" % 0, b"%07o" % 0, prefix,
        )
    )  # fmt: skip
    # The sum of the bytes is the low half of Adler-32, less one, as long as it is below 65521 (RFC 1950, section 9).
    block[148:156] = b"%06o\0 " % ((zlib.adler32(block) & 0xFFFF) - 1)
    return bytes(block)


def _pax(records: Mapping[str, str]) -> bytes:
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    header = _block((b"", b"PaxHeader"), b"x", target=b"", mode=0o644, uid=0, gid=0, size=len(data))
    return header + data + bytes(-len(data) % BLOCK)


def _record(key: str, value: str) -> bytes:
    # The length counts its own digits.
    rest = b" " + key.encode() + b"=" + value.encode("utf-8", "surrogateescape") + b"\n"
    length = len(rest) + len(str(len(rest)))
    if length != len(rest) + len(str(length)):
        length += 1
    return str(length).encode() + rest
