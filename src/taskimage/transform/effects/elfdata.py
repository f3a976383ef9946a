"""What stands in a library's data once it is loaded: symbols, and pointers by their relocations (gABI, chapters 4 and 5)."""

from __future__ import annotations

import struct

__all__ = ["LoadedData"]

_PT_LOAD, _SHT_RELA, _SHT_DYNSYM = 1, 4, 11
# R_X86_64_RELATIVE, R_X86_64_64, R_AARCH64_RELATIVE, R_AARCH64_ABS64.
_RELATIVE, _ABSOLUTE = frozenset({8, 1027}), frozenset({1, 257})
_SYMBOL, _RELOCATION = struct.Struct("<IBBHQQ"), struct.Struct("<QQq")


class LoadedData:
    """The data of a 64-bit little-endian library.

    Any other file, and a place that is not in it, raises ValueError, struct.error, IndexError, OverflowError or
    StopIteration.
    """

    def __init__(self, image: bytes) -> None:
        if image[:6] != b"\x7fELF\x02\x01":
            raise ValueError("it is no 64-bit little-endian library")
        self._image = image
        programs, sections = struct.unpack_from("<QQ", image, 32)
        program_size, program_count, section_size, section_count = struct.unpack_from("<HHHH", image, 54)
        headers = [
            struct.unpack_from("<IIQQQQ", image, programs + i * program_size) for i in range(program_count)
        ]
        self._segments: list[tuple[int, int, int]] = [
            (address, offset, size) for kind, _, offset, address, _, size in headers if kind == _PT_LOAD
        ]
        self._sections = [
            struct.unpack_from("<IIQQQQII", image, sections + i * section_size) for i in range(section_count)
        ]
        table = next(section for section in self._sections if section[1] == _SHT_DYNSYM)
        names = self._sections[table[6]][4]
        self._symbols: list[tuple[str, int]] = [
            (self._text_at(names + name), address)
            for name, _, _, _, address, _ in _SYMBOL.iter_unpack(image[table[4] : table[4] + table[5]])
        ]
        self._pointers = dict(self._relocated())

    def symbol(self, suffix: str) -> int:
        """The address of the symbol whose name ends in ``suffix``."""
        return next(address for name, address in self._symbols if name.endswith(suffix) and address)

    def pointer(self, address: int) -> int:
        """The pointer at ``address``; 0 for none."""
        return self._pointers.get(address, 0)

    def number(self, address: int) -> int:
        """The int (32 bits) at ``address``."""
        value: int = struct.unpack_from("<i", self._image, self._offset(address))[0]
        return value

    def text(self, address: int) -> str:
        """The string that begins at ``address``."""
        return self._text_at(self._offset(address))

    def _relocated(self) -> list[tuple[int, int]]:
        found = []
        for section in self._sections:
            if section[1] != _SHT_RELA:
                continue
            for place, info, addend in _RELOCATION.iter_unpack(
                self._image[section[4] : section[4] + section[5]]
            ):
                kind, number = info & 0xFFFFFFFF, info >> 32
                if kind in _RELATIVE:
                    found.append((place, addend))
                elif kind in _ABSOLUTE:
                    found.append((place, self._symbols[number][1] + addend))
        return found

    def _offset(self, address: int) -> int:
        for start, offset, size in self._segments:
            if start <= address < start + size:
                return offset + address - start
        raise ValueError(f"{address:#x} is in no segment of the file")

    def _text_at(self, offset: int) -> str:
        return self._image[offset : self._image.index(b"\0", offset)].decode()
