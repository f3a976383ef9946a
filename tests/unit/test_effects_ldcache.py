"""The run-time linker's cache, from libraries made here."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.oci import Platform
from taskimage.transform.effects.elf import Library, read_library
from taskimage.transform.effects.ldcache import linker_cache
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import BytesBody, Entry

AMD64 = Platform.parse("linux/amd64")
LDCONFIG = b"\x7fELF..\0ldconfig (Vendor GLIBC 2.99-1) stable release version 2.99\0.."
X86_64 = 62


def elf(
    soname: str | None = None, *, machine: int = X86_64, bits: int = 64, order: str = "<", kind: int = 3
) -> bytes:
    """A shared object of three headers and a dynamic section, with everything at its own address."""
    wide = bits == 64
    header_size, program_size = (64, 56) if wide else (52, 32)
    names = header_size + 2 * program_size
    strings = b"\0" + (soname or "").encode() + b"\0"
    dynamic = names + len(strings)
    tags = [(5, names), *([(14, 1)] if soname is not None else []), (0, 0)]
    section = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *tag) for tag in tags)
    total = dynamic + len(section)

    def program(kind: int, offset: int, size: int) -> bytes:
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, 0, offset, offset, offset, size, size, 1)
        return struct.pack(order + "IIIIIIII", kind, offset, offset, offset, size, size, 0, 1)

    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    header = struct.pack(
        layout, kind, machine, 1, 0, header_size, 0, 0, header_size, program_size, 2, 0, 0, 0
    )
    return ident + header + program(1, 0, total) + program(2, dynamic, len(section)) + strings + section


def listed(cache: bytes) -> list[tuple[str, str, int]]:
    """(SONAME, path, flags) of each entry, in the cache's order."""
    count, _ = struct.unpack_from("<II", cache, 20)
    found = []
    for i in range(count):
        flags, key, value = struct.unpack_from("<iII", cache, 48 + 24 * i)
        found.append((*(cache[at : cache.index(b"\0", at)].decode() for at in (key, value)), flags))
    return found


def cache_of(*entries: Entry, platform: Platform = AMD64) -> bytes:
    tree = Tree((Entry.file("usr/sbin/ldconfig", LDCONFIG), Entry.symlink("lib", "usr/lib"), *entries))
    [cache] = linker_cache(tree, platform=platform)
    assert (cache.path, cache.mode) == ("etc/ld.so.cache", 0o644)
    assert isinstance(cache.body, BytesBody)
    return cache.body.data


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("soname", ["libx.so.1", None])
def test_a_shared_object_of_any_class_and_byte_order_is_read(
    bits: int, order: str, soname: str | None
) -> None:
    library = read_library(io.BytesIO(elf(soname, bits=bits, order=order)))
    assert library == Library(machine=X86_64, bits=bits, flags=0, soname=soname)


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", elf("x")[:40], elf("x")[:150], elf("x", kind=2)])
def test_what_is_no_shared_object_is_none(data: bytes) -> None:
    assert read_library(io.BytesIO(data)) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8))
def test_a_damaged_library_is_read_or_none(changes: list[tuple[int, int]]) -> None:
    data = bytearray(elf("libx.so.1"))
    for at, value in changes:
        data[at % len(data)] = value
    read_library(io.BytesIO(bytes(data)))


def test_libraries_are_listed_by_soname_from_the_highest_number_down() -> None:
    cache = cache_of(
        Entry.file("usr/lib/libb.so.9.0", elf("libb.so.9")),
        Entry.symlink("usr/lib/libb.so.9", "libb.so.9.0"),
        Entry.symlink("usr/lib/libb.so", "libb.so.9"),
        Entry.file("usr/lib/libb.so.10", elf("libb.so.10")),
        Entry.file("usr/lib/liba.so", elf()),
        Entry.file("usr/lib/libtext.so", b"INPUT(liba.so)"),
        Entry.file("usr/lib/other.so", elf("other.so")),
        Entry.file("usr/lib/libarm.so", elf("libarm.so", machine=183)),
    )
    assert listed(cache) == [
        ("libb.so.10", "/lib/libb.so.10", 0x303),
        ("libb.so.9", "/lib/libb.so.9", 0x303),
        ("libb.so", "/lib/libb.so", 0x303),
        ("liba.so", "/lib/liba.so", 0x303),
    ]
    assert cache.endswith(b"ldconfig (Vendor GLIBC 2.99-1) stable release version 2.99")


def test_configured_folders_come_first_and_each_folder_once() -> None:
    cache = cache_of(
        Entry.file("etc/ld.so.conf", b"# all of them\ninclude /etc/ld.so.conf.d/*.conf\n"),
        Entry.file("etc/ld.so.conf.d/b.conf", b"/lib/x/\n/usr/lib/x\n/not/there\n"),
        Entry.file("etc/ld.so.conf.d/a.conf", b"/opt/lib # mine\n"),
        Entry.file("etc/ld.so.conf.d/c.off", b"/off\n"),
        Entry.file("off/liboff.so", elf("liboff.so")),
        Entry.file("usr/lib/x/libx.so.1", elf("libx.so.1")),
        Entry.file("opt/lib/libx.so.1", elf("libx.so.1")),
    )
    assert [path for _, path, _ in listed(cache)] == ["/opt/lib/libx.so.1", "/lib/x/libx.so.1"]


def test_a_library_chosen_by_an_alternative_is_listed() -> None:
    cache = cache_of(
        Entry.symlink("usr/lib/libblas.so.3", "/etc/alternatives/libblas.so.3"),
        Entry.symlink("etc/alternatives/libblas.so.3", "/usr/lib/fast/libblas.so.3"),
        Entry.file("usr/lib/fast/libblas.so.3", elf("libblas.so.3")),
    )
    assert [path for _, path, _ in listed(cache)] == ["/lib/libblas.so.3"]


@pytest.mark.parametrize(
    ("platform", "machine", "flags"),
    [("linux/arm64", 183, 0xA03), ("linux/ppc64le", 21, 0x503), ("linux/riscv64", 243, 0x1003)],
)
def test_flags_are_the_architectures(platform: str, machine: int, flags: int) -> None:
    library = Entry.file("usr/lib/libx.so.1", elf("libx.so.1", machine=machine))
    assert listed(cache_of(library, platform=Platform.parse(platform))) == [
        ("libx.so.1", "/lib/libx.so.1", flags)
    ]


def test_without_ldconfig_there_is_no_cache() -> None:
    assert linker_cache(Tree([Entry.file("usr/lib/libx.so", elf("libx.so"))]), platform=AMD64) == ()
