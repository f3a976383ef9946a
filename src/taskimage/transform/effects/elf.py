"""What the run-time linker's cache needs to know of an ELF library (System V gABI, chapters 4 and 5)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from taskimage.model.value import dataclass

__all__ = ["Library", "read_library"]

ET_DYN = 3
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_STRTAB, DT_SONAME = 0, 5, 14
# Tables beyond this size belong to no library that a linker would take.
MAX_TABLE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A shared object: its machine (``e_machine``), class (32 or 64 bits), ``e_flags`` and DT_SONAME."""

    machine: int
    bits: int
    flags: int
    soname: str | None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields are, which differs between the two classes."""

    header: str
    program: str
    dynamic: str


# e_type, e_machine, e_phoff, e_flags, e_phentsize, e_phnum; p_type, p_offset, p_vaddr, p_filesz; d_tag, d_val
_LAYOUTS = {32: _Layout("HH8xI4xI2xHH", "III4xI", "iI"), 64: _Layout("HH12xQ8xI2xHH", "I4xQQ8xQ", "qQ")}


def read_library(stream: BinaryIO) -> Library | None:
    """The shared object in ``stream`` (which can seek), or None for any other file, damaged ones included."""
    try:
        return _read_library(stream)
    except (struct.error, ValueError, OverflowError):
        return None


def _read_library(stream: BinaryIO) -> Library | None:
    ident = stream.read(16)
    if ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or ident[5] not in (1, 2):
        return None
    bits, order = 32 * ident[4], "<" if ident[5] == 1 else ">"
    layout = _LAYOUTS[bits]
    kind, machine, offset, flags, size, count = _unpack(stream, 16, order + layout.header)
    if kind != ET_DYN or size * count > MAX_TABLE:
        return None
    segments = [_unpack(stream, offset + size * i, order + layout.program) for i in range(count)]
    for segment_kind, start, _, length in segments:
        if segment_kind == PT_DYNAMIC and 0 < length <= MAX_TABLE:
            stream.seek(start)
            tags = _dynamic(stream.read(length), order + layout.dynamic)
            soname = _string(stream, segments, tags) if DT_SONAME in tags else None
            return Library(machine=machine, bits=bits, flags=flags, soname=soname)
    return None


def _unpack(stream: BinaryIO, offset: int, layout: str) -> tuple[int, ...]:
    stream.seek(offset)
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _dynamic(table: bytes, layout: str) -> dict[int, int]:
    tags: dict[int, int] = {}
    usable = len(table) - len(table) % struct.calcsize(layout)
    for tag, value in struct.iter_unpack(layout, table[:usable]):
        if tag == DT_NULL:
            break
        tags.setdefault(tag, value)
    return tags


def _string(stream: BinaryIO, segments: list[tuple[int, ...]], tags: dict[int, int]) -> str:
    address = tags.get(DT_STRTAB, -1)
    for kind, start, virtual, length in segments:
        if kind == PT_LOAD and virtual <= address < virtual + length:
            stream.seek(start + address - virtual + tags[DT_SONAME])
            name, end, _ = stream.read(4096).partition(b"\0")
            if end:
                return name.decode("utf-8")
    raise ValueError("its SONAME is not in any segment")
