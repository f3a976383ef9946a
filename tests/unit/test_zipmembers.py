"""Zip archives: what is read from good ones, and that bad ones are refused by name."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.errors import CannotBuild, IntegrityError, TaskImageError
from taskimage.transform.entry import Deflated, StreamBody
from taskimage.transform.zipmembers import Member, read_members, write_members

DEFLATED, STORED = zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = DEFLATED) -> bytes:
    """A zip archive with ``members``, as the standard library writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def info(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.compress_type = DEFLATED
    member.external_attr = mode << 16
    return member


def read(folder: Path, data: bytes) -> tuple[Member, ...]:
    path = folder / "archive.zip"
    path.write_bytes(data)
    return read_members(lambda: cast("BinaryIO", path.open("rb")), where="a.whl")


def content(member: Member) -> bytes:
    with member.body.open() as stream:
        return stream.read()


@pytest.mark.parametrize("size", [0, 1, 70_000, 2 << 20])
@pytest.mark.parametrize("method", [DEFLATED, STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_bytes_of_a_member_come_back_whatever_its_method(tmp_path: Path, method: int, size: int) -> None:
    data = bytes(i * i % 251 for i in range(1000)) * (size // 1000) + bytes(size % 1000)
    (member,) = read(tmp_path, archive(("a/b.txt", data), method=method))
    assert (member.path, member.body.size, content(member)) == ("a/b.txt", size, data)
    assert content(member) == data, "a body can be read again"


def test_a_deflated_member_keeps_its_compressed_bytes(tmp_path: Path) -> None:
    (member,) = read(tmp_path, archive(("a", b"data" * 1000)))
    assert isinstance(member.body, Deflated)
    with member.body.open_deflated() as stream:
        assert len(stream.read()) == member.body.compressed_size < 100


def test_executable_bits_are_seen_and_folders_are_left_out(tmp_path: Path) -> None:
    data = archive(
        (info("run", stat.S_IFREG | 0o755), b"x"), (info("d/", stat.S_IFDIR | 0o755), b""), ("a", b"")
    )
    assert [(m.path, m.executable) for m in read(tmp_path, data)] == [("run", True), ("a", False)]


def test_streamed_members_with_data_descriptors_are_read(tmp_path: Path) -> None:
    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    out = OneWay()
    with zipfile.ZipFile(out, "w", DEFLATED) as file:
        file.writestr("a", b"a" * 5000)
        with file.open("b", "w", force_zip64=True) as member:
            member.write(b"b" * 5000)
    found = read(tmp_path, out.getvalue())
    assert [content(member) for member in found] == [b"a" * 5000, b"b" * 5000]


def test_zip64_fields_in_local_headers_are_understood(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", DEFLATED) as file, file.open("a", "w", force_zip64=True) as member:
        member.write(b"a" * 5000)
    (found,) = read(tmp_path, out.getvalue())
    assert content(found) == b"a" * 5000


@given(
    st.dictionaries(st.from_regex(r"[a-zé]{1,5}(/[a-z]{1,5}){0,2}", fullmatch=True), st.binary(max_size=200))
)
@settings(max_examples=25)
def test_written_archives_read_back_in_any_order(members: dict[str, bytes]) -> None:
    data = write_members(members.items(), level=6)
    assert data == write_members(reversed(members.items()), level=6)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == members
        assert file.namelist() == sorted(members, key=str.encode)


def test_written_archives_are_read_by_the_reader(tmp_path: Path) -> None:
    found = read(tmp_path, write_members([("b", b"2"), ("a/é", b"1")], level=6))
    assert [(member.path, content(member)) for member in found] == [("a/é", b"1"), ("b", b"2")]


# -- hostile archives ----------------------------------------------------------------------------------


def patched(data: bytes, signature: bytes, offset: int, new: bytes, *, nth: int = 0) -> bytes:
    """``data`` with ``new`` at ``offset`` of its ``nth`` record of that signature."""
    at = -1
    for _ in range(nth + 1):
        at = data.index(signature, at + 1)
    return data[: at + offset] + new + data[at + offset + len(new) :]


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
GOOD = archive(("pkg/a.py", b"x = 1\n" * 100), ("pkg/b.py", b"y = 2\n" * 100))
two = partial(struct.pack, "<H")
four = partial(struct.pack, "<L")

HOSTILE: dict[str, tuple[bytes, str]] = {
    "no zip at all": (b"PK nothing", "cannot be read as a zip"),
    "cut short": (GOOD[:-30], "cannot be read as a zip"),
    "absolute name": (archive(("/etc/passwd", b"")), "'/etc/passwd' points outside"),
    "name with ..": (archive(("a/../../b", b"")), "'a/../../b' points outside"),
    "name of the root": (archive((".", b"")), "twice"),
    "two spellings of a name": (archive(("a/b", b""), ("a//b", b"")), "'a//b' is there twice"),
    "symbolic link": (archive((info("l", stat.S_IFLNK | 0o777), b"/etc")), "'l' is a link"),
    "device": (archive((info("d", stat.S_IFCHR | 0o666), b"")), "'d' is a link or a device"),
    "a folder with bytes": (archive(("d/", b"data")), "'d/' is not the folder"),
    "a folder that is a link": (archive((info("d/", stat.S_IFLNK | 0o777), b"")), "'d/' is not the folder"),
    "another name in the local header": (patched(GOOD, LOCAL, 30, b"pkg/z"), "'pkg/a.py' is one thing"),
    "another method in the local header": (patched(GOOD, LOCAL, 8, two(0)), "'pkg/a.py' is one thing"),
    "another CRC in the local header": (patched(GOOD, LOCAL, 14, four(1)), "'pkg/a.py' is one thing"),
    "another size in the local header": (patched(GOOD, LOCAL, 22, four(1)), "'pkg/a.py' is one thing"),
    "streamed, with no descriptor": (patched(GOOD, LOCAL, 6, two(8)), "'pkg/a.py' is one thing"),
    "no local header": (patched(GOOD, LOCAL, 0, b"PK\0\0"), "'pkg/a.py' has no local header"),
    "two members over each other": (patched(GOOD, CENTRAL, 42, four(0), nth=1), "'pkg/b.py' is one thing"),
    "data over what follows": (
        patched(patched(GOOD, LOCAL, 18, four(60)), CENTRAL, 20, four(60)), "'pkg/a.py' lies over"
    ),
    "more than DEFLATE can hold": (
        patched(patched(GOOD, LOCAL, 22, four(1 << 31)), CENTRAL, 24, four(1 << 31)), "more than"
    ),
    "stored with two sizes": (
        patched(patched(archive(("a", b"abc"), method=STORED), LOCAL, 22, four(9)), CENTRAL, 24, four(9)),
        "'a' is stored with two sizes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_deceives_is_refused_and_its_member_named(tmp_path: Path, case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(IntegrityError) as caught:
        read(tmp_path, data)
    assert message in caught.value.message
    assert caught.value.where == "a.whl"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="'a' is there twice"):
        read(tmp_path, archive(("a", b"1"), ("a", b"2")))


def test_a_member_that_states_another_size_is_found_when_it_is_read(tmp_path: Path) -> None:
    data = patched(patched(GOOD, LOCAL, 22, four(599)), CENTRAL, 24, four(599))
    with pytest.raises(IntegrityError, match="size and CRC"):
        content(read(tmp_path, data)[0])


def test_a_bomb_that_is_honest_about_its_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="far more than its size explains"):
        read(tmp_path, bomb(member=64 << 20, count=17))


def bomb(*, member: int, count: int) -> bytes:
    """An archive of ``count`` members, each of which unpacks to ``member`` zeros."""
    one = archive(("zeros", bytes(member)))
    local, central = one[: one.index(CENTRAL)], one[one.index(CENTRAL) : one.index(b"PK\x05\x06")]
    listing = b"".join(patched(central, CENTRAL, 42, four(len(local) * number)) for number in range(count))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(listing), len(local) * count, 0)
    return local * count + listing + end


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (patched(patched(GOOD, LOCAL, 6, two(1)), CENTRAL, 8, two(1)), "'pkg/a.py' is encrypted"),
        (patched(patched(GOOD, LOCAL, 8, two(97)), CENTRAL, 10, two(97)), "with method 97"),
        (patched(GOOD, CENTRAL, 6, two(90)), "newer zip reader"),
    ],
)
def test_what_cannot_be_undone_here_is_said_so(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(CannotBuild, match=message):
        read(tmp_path, data)


def damaged(method: int) -> bytes:
    """An archive whose only member has another byte in its data."""
    data = archive(("a", b"some text, and more of it" * 50), method=method)
    at = data.index(b"a", 30) + 20
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("method", [DEFLATED, STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_data_is_found_when_it_is_read(tmp_path: Path, method: int) -> None:
    (member,) = read(tmp_path, damaged(method))
    with pytest.raises(IntegrityError):
        content(member)


def test_a_large_stored_member_is_checked_while_it_streams(tmp_path: Path) -> None:
    data = bytearray(archive(("a", bytes(3 << 20)), method=STORED))
    data[2 << 20] ^= 1
    (member,) = read(tmp_path, bytes(data))
    assert isinstance(member.body, StreamBody)
    with member.body.open() as stream, pytest.raises(IntegrityError, match="CRC-32"):
        list(iter(lambda: stream.read(100_000), b""))


def test_an_archive_of_too_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskimage.transform.zipmembers.MOST_MEMBERS", 1)
    with pytest.raises(IntegrityError, match="has 2 members, and 1 is the most"):
        read(tmp_path, GOOD)


def test_more_members_than_the_format_counts_are_not_written() -> None:
    with pytest.raises(CannotBuild, match="65536 files"):
        write_members(((str(number), b"") for number in range(1 << 16)), level=1)


def test_an_archive_that_shrinks_later_is_noticed(tmp_path: Path) -> None:
    (member,) = read(tmp_path, archive(("a", bytes(range(256)) * 2000), method=STORED))
    (tmp_path / "archive.zip").write_bytes(b"")
    with pytest.raises(IntegrityError, match="512000 bytes early"):
        content(member)


@pytest.mark.parametrize(("size", "held"), [(10, 0), (512_000, 1)])
def test_however_many_members_are_read_an_archive_is_opened_once_and_a_small_one_is_not_held_open(
    tmp_path: Path, size: int, held: int
) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    members = read(tmp_path, archive(*((str(n), bytes(size)) for n in range(20)), method=STORED))
    assert [content(member) for member in members] == [bytes(size)] * 20
    assert descriptors() == before + held
    del members
    assert descriptors() == before


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=150)
def test_no_single_byte_makes_the_reader_fail_in_another_way(
    tmp_path_factory: Any, at: int, flip: int
) -> None:
    folder: Path = tmp_path_factory.getbasetemp()
    data = GOOD[:at] + bytes([GOOD[at] ^ flip]) + GOOD[at + 1 :]
    try:
        for member in read(folder, data):
            content(member)
    except TaskImageError:
        pass


def test_bodies_can_be_read_by_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    wanted = {f"m{number}": bytes([number]) * (number * 20_000) for number in range(60)}
    members = read(tmp_path, archive(*wanted.items(), method=STORED))
    work: Callable[[Member], bool] = lambda member: content(member) == wanted[member.path]  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, members * 5))
