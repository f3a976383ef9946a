"""/etc/ld.so.cache: which file each library name stands for, as `ldconfig -X` writes it.

The format is glibc's own (``sysdeps/generic/dl-cache.h``, "glibc-ld.so.cache1.1", the only one that ldconfig
writes since glibc 2.32). Made here from the packages' files, so that it needs neither a program of the
image's architecture nor any disk.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import struct
from collections.abc import Iterable, Iterator

from taskimage.model.oci import Platform
from taskimage.model.value import dataclass
from taskimage.transform.effects.elf import Library, read_library
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["linker_cache"]

CONFIG = "etc/ld.so.conf"
MAGIC = b"glibc-ld.so.cache1.1"
HEADER, ENTRY, EXTENSION = "20sIIB3xI12x", "iIIIQ", "IIIIII"
# Ubuntu's ldconfig is a script that calls the real one.
_PROGRAMS = ("usr/sbin/ldconfig", "usr/sbin/ldconfig.real", "sbin/ldconfig", "sbin/ldconfig.real")
_GENERATOR = re.compile(rb"ldconfig \([^\0]+\) [^\0]*release version [\d.]+")
LITTLE_ENDIAN, BIG_ENDIAN = 2, 3
EXTENSION_MAGIC = 0xEAA42174

# The low byte of an entry's flags, for libraries of glibc; the next one is the processor's (ldconfig.h).
LIBC6 = 3
_X86 = {(62, 64): 0x0300, (62, 32): 0x0800, (3, 32): 0}
_ARM = {(183, 64): 0x0A00, (40, 32): 0x0900}
# By OCI architecture: the (e_machine, bits) that its ldconfig takes, and the processor's flag.
_PROCESSOR_FLAGS = {
    "amd64": _X86, "386": _X86, "arm64": _ARM, "arm": _ARM, "ppc64le": {(21, 64): 0x0500},
    "s390x": {(22, 64): 0x0400}, "riscv64": {(243, 64): 0x1000},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cached:
    soname: str
    path: str
    flags: int


def linker_cache(tree: Tree, *, platform: Platform) -> tuple[Entry, ...]:
    """The cache for the libraries of ``tree``; nothing where no ldconfig is among its files."""
    generator = next(filter(None, (_GENERATOR.search(tree.read(path) or b"") for path in _PROGRAMS)), None)
    if generator is None:
        return ()
    cached: list[_Cached] = []
    seen: set[str | None] = {None}
    for directory in (*_configured(tree, CONFIG), "/lib", "/usr/lib"):
        real = tree.real_path(directory)
        if real not in seen:
            cached += _libraries(tree, directory, _PROCESSOR_FLAGS[platform.architecture])
        seen.add(real)
    order = ">" if platform.architecture == "s390x" else "<"
    return (Entry.file("etc/ld.so.cache", _cache(cached, generator[0], order)),)


def _configured(tree: Tree, config: str, *, depth: int = 0) -> Iterator[str]:
    """The directories that ld.so.conf(5) names, its includes read."""
    for line in (tree.read(config) or b"").decode("utf-8", "replace").splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["include"] and depth < 8:
            for pattern in words[1:]:
                folder, name = posixpath.split(posixpath.join("/", posixpath.dirname(config), pattern))
                for found in fnmatch.filter(tree.names(folder), name):
                    yield from _configured(tree, posixpath.join(folder, found), depth=depth + 1)
        elif words and words[0].startswith("/"):
            yield posixpath.normpath(words[0])


def _libraries(tree: Tree, directory: str, processor: dict[tuple[int, int], int]) -> Iterator[_Cached]:
    found: dict[str, _Cached] = {}
    for name in tree.names(directory):
        if not re.match(r"(lib|ld-).*\.so|ld(64)?\.so\.", name):
            continue
        library = _library(tree, posixpath.join(directory, name))
        if library is None or (library.machine, library.bits) not in processor:
            continue
        entry = tree.get(f"{tree.real_path(directory)}/{name}")
        is_link = entry is not None and entry.kind == "symlink"
        key = _cached_name(name, library.soname or name, is_link=is_link)
        flags = LIBC6 | processor[library.machine, library.bits]
        found.setdefault(key, _Cached(key, posixpath.join(directory, key), flags))
    yield from found.values()


def _library(tree: Tree, path: str) -> Library | None:
    entry = tree.file(path)
    if entry is None or entry.body is None:
        return None
    with entry.body.open() as stream:
        return read_library(stream)


def _cached_name(name: str, soname: str, *, is_link: bool) -> str:
    # A link is listed under its own name when that is the SONAME, or its start up to ".so" (for ld(1)).
    if is_link and name.endswith(".so") and soname.startswith(name):
        return name
    return soname


def _cache(cached: Iterable[_Cached], generator: bytes, order: str) -> bytes:
    # The linker searches by halves, from the highest name to the lowest.
    entries = sorted(cached, key=lambda entry: (_numeric(entry.soname), entry.flags), reverse=True)
    strings, offsets = _string_table({text for entry in entries for text in (entry.soname, entry.path)})
    start = struct.calcsize(order + HEADER) + struct.calcsize(order + ENTRY) * len(entries)
    padding = -(start + len(strings)) % 4
    extension = start + len(strings) + padding
    endian = LITTLE_ENDIAN if order == "<" else BIG_ENDIAN
    parts = [struct.pack(order + HEADER, MAGIC, len(entries), len(strings), endian, extension)]
    for entry in entries:
        key, value = start + offsets[entry.soname], start + offsets[entry.path]
        parts.append(struct.pack(order + ENTRY, entry.flags, key, value, 0, 0))
    end = extension + struct.calcsize(order + EXTENSION)
    parts += [strings, bytes(padding)]
    # One section, with tag 0: the text that names the generator.
    parts.append(struct.pack(order + EXTENSION, EXTENSION_MAGIC, 1, 0, 0, end, len(generator)))
    return b"".join((*parts, generator))


def _string_table(texts: set[str]) -> tuple[bytes, dict[str, int]]:
    """NUL-terminated strings, of which one that ends another shares its bytes; and where each is."""
    table = bytearray()
    offsets: dict[str, int] = {}
    previous = b""
    # By their ends, from the highest to the lowest; of two that end alike, the longer one first.
    for text in sorted((text.encode() for text in texts), key=lambda text: text[::-1], reverse=True):
        if not previous.endswith(text):
            table += text + b"\0"
            previous = text
        offsets[text.decode()] = len(table) - len(text) - 1
    return bytes(table), offsets


def _numeric(name: str) -> tuple[tuple[int, int], ...]:
    """A key that orders names with their numbers by value, digits above all else (ldconfig's libcmp)."""
    parts = re.findall(r"\d+|\D", name)
    return tuple((1, int(part)) if part.isdecimal() else (0, ord(part)) for part in parts)
