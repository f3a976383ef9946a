"""Gzip members of layers (RFC 1952): the same bytes for the same data, on any machine."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["GZIP_HEADER", "LEVEL", "gzip_member"]

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# Of libdeflate: twice as fast as its level 6, for images that are 2 % larger, as wheels come compressed.
LEVEL: Final = 1


def gzip_member(data: bytes | bytearray | memoryview) -> bytes:
    """``data``, compressed, as a member of its own."""
    import deflate

    trailer = struct.pack("<II", deflate.crc32(data), len(data) & 0xFFFFFFFF)
    return GZIP_HEADER + bytes(deflate.deflate_compress(bytes(data), LEVEL)) + trailer
