"""Layers: canonical bytes, deflated bodies reused, hostile bodies refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform.entry import Deflated, Entry, StreamBody
from taskimage.transform.layer import FORMAT, write_layer
from taskimage.transform.tarheader import MTIME


def deflated(data: bytes, *, level: int = 6) -> tuple[bytes, Deflated]:
    """A DEFLATE stream of ``data`` and the body that promises it."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    raw = compressor.compress(data) + compressor.flush()
    return raw, Deflated(lambda: io.BytesIO(raw), len(raw), len(data), zlib.crc32(data))


def layer(*fragments: list[Entry]) -> tuple[bytes, Digest]:
    """The blob and the diff_id that the fragments come to."""
    out = io.BytesIO()
    diff_id = write_layer(fragments, out.write)
    return out.getvalue(), diff_id


def members(blob: bytes) -> list[tarfile.TarInfo]:
    """The tar members of a layer, read by the standard library."""
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        return archive.getmembers()


def test_the_diff_id_is_the_digest_of_the_uncompressed_tar() -> None:
    blob, diff_id = layer([Entry.file("a/b", b"hello"), Entry.file("c", deflated(b"x" * 100_000)[1])])
    assert hashlib.sha256(gzip.decompress(blob)).hexdigest() == diff_id.hex


def test_the_bytes_of_a_layer_are_what_they_were() -> None:
    """Whoever moves them on purpose raises FORMAT, so that no layer of before is taken for one of now."""
    small = Entry.file("usr/bin/tool", b"#!/bin/sh\n" * 200, 0o755)
    stored = b"\x01\x04\x00\xfb\xffdata"  # one block that is not compressed, the same from every zlib
    reused = Entry.file("opt/data", Deflated(lambda: io.BytesIO(stored), len(stored), 4, zlib.crc32(b"data")))
    blob, diff_id = layer([small, reused, Entry.symlink("bin", "usr/bin"), Entry.file("tmp/ü", b"")])
    assert FORMAT == 3
    assert diff_id.hex == "dab51ee101fd81dd42b630b38ed356f7aeb2d788bca79f02fd3fba55d47c1a2e"
    assert Digest.of(blob).hex == "d5842ecb4b937535e0c907e9f36a787df0af4c68876c878b208d31f8022de9f6"


def test_deflated_bytes_stand_in_the_layer_as_they_came() -> None:
    raw, body = deflated(random.Random(1).randbytes(5000) + b"y" * 5000)
    blob, _ = layer([Entry.file("a", body)])
    assert raw in blob


def test_every_parent_is_there_before_its_children() -> None:
    blob, _ = layer([Entry.file("opt/venv/bin/tool", b"#!", 0o755)])
    assert [member.name for member in members(blob)] == [
        "opt",
        "opt/venv",
        "opt/venv/bin",
        "opt/venv/bin/tool",
    ]


def test_a_parent_has_its_constant_mode_and_owner() -> None:
    blob, _ = layer([Entry.file("root/x", b""), Entry.file("tmp/y", b"")])
    modes = {member.name: (member.mode, member.uid, member.gid) for member in members(blob) if member.isdir()}
    assert modes == {"root": (0o775, 1000, 0), "tmp": (0o1777, 0, 0)}


def test_members_carry_one_time_and_no_names() -> None:
    blob, _ = layer([Entry.file("a", b"1"), Entry.symlink("b", "a"), Entry.directory("c")])
    assert {(member.mtime, member.uname, member.gname) for member in members(blob)} == {(MTIME, "", "")}


def test_a_hard_link_follows_the_file_it_names() -> None:
    blob, _ = layer([Entry("a", "hardlink", 0o644, target="z"), Entry.file("z", b"data")])
    assert [(member.name, member.linkname) for member in members(blob)] == [("z", ""), ("a", "z")]


def test_equal_files_of_two_inputs_stand_once() -> None:
    blob, _ = layer([Entry.file("a", b"same")], [Entry.file("a", deflated(b"same")[1])])
    assert [member.name for member in members(blob)] == ["a"]


@pytest.mark.parametrize(
    "other", [Entry.file("a", b"that"), Entry.symlink("a", "b"), Entry.directory("a"), Entry.file("a/b", b"")]
)
def test_different_things_at_one_path_are_refused(other: Entry) -> None:
    with pytest.raises(CannotBuild, match="'a'"):
        layer([Entry.file("a", b"this")], [other])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw, data: (raw, len(data), zlib.crc32(data) ^ 1), "CRC"),
        (lambda raw, data: (raw, len(data) + 1, zlib.crc32(data)), "inflates to"),
        (lambda raw, data: (raw, len(data) - 1, zlib.crc32(data[:-1])), "inflates to"),
        (lambda raw, data: (raw + b"\0", len(data), zlib.crc32(data)), "does not end where it should"),
        (lambda raw, data: (raw[:-3], len(data), zlib.crc32(data)), "does not end where it should"),
        (lambda raw, data: (b"\xff" + raw[1:], len(data), zlib.crc32(data)), "not a DEFLATE stream"),
    ],
    ids=["crc", "shorter", "longer", "trailing", "truncated", "garbage"],
)
def test_a_deflated_body_that_lies_is_refused(change: object, reason: str) -> None:
    data = bytes(range(256)) * 40
    raw, size, crc = change(deflated(data)[0], data)  # type: ignore[operator]
    body = Deflated(lambda: io.BytesIO(raw), len(raw), size, crc)
    with pytest.raises(IntegrityError, match=reason):
        layer([Entry.file("member", body)])


def test_a_bomb_is_refused_before_it_is_unpacked_whole() -> None:
    raw, _ = deflated(bytes(64 << 20))
    with pytest.raises(IntegrityError, match="inflates to"):
        layer([Entry.file("bomb", Deflated(lambda: io.BytesIO(raw), len(raw), 10, 0))])


def test_a_stream_of_another_length_than_announced_is_refused() -> None:
    with pytest.raises(IntegrityError, match="3 bytes, 4 were announced"):
        layer([Entry.file("a", StreamBody(lambda: io.BytesIO(b"abc"), 4))])


def test_what_is_compressed_here_is_cut_into_members_of_at_most_1_mib() -> None:
    blob, _ = layer([Entry.file("zeros", StreamBody(lambda: io.BytesIO(bytes(40 << 20)), 40 << 20))])
    sizes = []
    while blob:
        member = zlib.decompressobj(31)
        sizes.append(len(member.decompress(blob)))
        blob = member.unused_data
    assert max(sizes) <= 1 << 20
    assert sum(sizes) == (40 << 20) + 512 + 1024


names = st.text("abcé/", min_size=1, max_size=180).map(lambda text: "/".join(filter(None, text.split("/"))))


@settings(max_examples=60)
@given(
    st.dictionaries(names.filter(bool), st.tuples(st.binary(max_size=1500), st.booleans()), max_size=8),
    st.randoms(use_true_random=False),
)
def test_entries_come_back_whatever_their_names_and_order(
    files: dict[str, tuple[bytes, bool]], shuffle: random.Random
) -> None:
    """Tar headers round-trip through the standard library, and the order of a fragment has no meaning."""
    files = {
        path: body
        for path, body in files.items()
        if not any(f"{path}/" in f"{o}/"[: len(path) + 1] and o != path for o in files)
    }
    entries = [
        Entry.file(path, deflated(data)[1] if packed else data) for path, (data, packed) in files.items()
    ]
    blob, diff_id = layer(entries)
    shuffle.shuffle(entries)
    assert layer(entries) == (blob, diff_id)
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        found = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]
    assert found == {path: data for path, (data, _) in files.items()}


@pytest.mark.parametrize("length", [1, 99, 100, 101, 155, 156, 255, 256, 257, 400])
@pytest.mark.parametrize("depth", [1, 3])
def test_names_of_every_length_fit(length: int, depth: int) -> None:
    path = ("d" * 20 + "/") * (depth - 1) + "n" * length
    blob, _ = layer([Entry.file(path, b"x"), Entry.symlink("link", path)])
    found = {member.name: member.linkname for member in members(blob) if not member.isdir()}
    assert found == {path: "", "link": path}
