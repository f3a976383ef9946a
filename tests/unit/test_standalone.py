"""Standalone interpreters: an archive as entries, and that hostile ones are refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import pytest

from taskimage.model.errors import IntegrityError
from taskimage.transform.entry import Entry
from taskimage.transform.standalone import read_standalone

Member = tuple[str, bytes, bytes, int]
"""Name, type, what is inside or linked to, mode."""

REG, DIR, SYM, LNK, CHR = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
GOOD: list[Member] = [
    ("python/", DIR, b"", 0o775),
    ("python/bin/", DIR, b"", 0o775),
    ("python/bin/python3.12", REG, b"program", 0o775),
    ("python/bin/python3", SYM, b"python3.12", 0o777),
    ("python/bin/hard", LNK, b"python/bin/python3.12", 0o775),
    ("python/lib/os.py", REG, b"import sys\n", 0o664),
    ("python/lib/__pycache__/os.cpython-312.pyc", REG, b"theirs", 0o664),
    ("python/lib/up", SYM, b"../bin", 0o777),
]


def archive(members: list[Member]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, kind, data, mode in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, mode
            if kind == REG:
                member.size = len(data)
            else:
                member.linkname = data.decode()
            file.addfile(member, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 1)


@pytest.fixture
def read() -> Iterator[Callable[[bytes], tuple[Entry, ...]]]:
    """A function that reads an archive; its spool stays open to the end of the test."""
    with tempfile.TemporaryFile() as spool:
        spool.write(b"what others left here")
        yield lambda data: read_standalone(io.BytesIO(data), cast("BinaryIO", spool), where="cpython.tar.gz")


def test_an_archive_becomes_entries_below_its_prefix(read: Callable[[bytes], tuple[Entry, ...]]) -> None:
    found = [
        (entry.path, entry.kind, oct(entry.mode), entry.target, entry.size) for entry in read(archive(GOOD))
    ]
    assert found == [
        ("opt/python/bin", "dir", "0o755", "", 0),
        ("opt/python/bin/hard", "hardlink", "0o755", "opt/python/bin/python3.12", 0),
        ("opt/python/bin/python3", "symlink", "0o777", "python3.12", 0),
        ("opt/python/bin/python3.12", "file", "0o755", "", 7),
        ("opt/python/lib/os.py", "file", "0o644", "", 11),
        ("opt/python/lib/up", "symlink", "0o777", "../bin", 0),
    ]


def test_bodies_can_be_read_again(read: Callable[[bytes], tuple[Entry, ...]]) -> None:
    body = next(entry.body for entry in read(archive(GOOD)) if entry.path.endswith("os.py"))
    assert body is not None
    for _ in range(2):
        with body.open() as stream:
            assert stream.read() == b"import sys\n"


HOSTILE: dict[str, tuple[bytes, str]] = {
    "not gzip": (b"PK", "cannot be read as a gzip file"),
    "cut short": (archive(GOOD)[:-20], "cannot be read as a gzip file"),
    "another top folder": (archive([("etc/passwd", REG, b"", 0o644)]), "'etc/passwd' names 'etc/passwd'"),
    "a top folder that is a file": (archive([("python", REG, b"", 0o644)]), "'python' names 'python'"),
    "an absolute name": (archive([("/python/x", REG, b"", 0o644)]), "points outside"),
    "a name with ..": (archive([("python/../x", REG, b"", 0o644)]), "points outside"),
    "a link out of the folder": (archive([("python/x", SYM, b"../etc/passwd", 0)]), "names 'etc/passwd'"),
    "an absolute link": (archive([("python/x", SYM, b"/etc/passwd", 0)]), "names '/etc/passwd'"),
    "a hard link out of the folder": (archive([("python/x", LNK, b"etc/passwd", 0)]), "names 'etc/passwd'"),
    "a hard link to nothing": (archive([("python/x", LNK, b"python/y", 0)]), "hard link"),
    "a device": (archive([("python/x", CHR, b"", 0)]), "'python/x' is of type b'3'"),
    "a name twice": (archive([*GOOD, GOOD[5]]), "has 'opt/python/lib/os.py' twice"),
    "a file below a link": (
        archive([("python/l", SYM, b"lib", 0), ("python/l/x", REG, b"", 0)]), "as a symlink and as a folder"
    ),
}  # fmt: skip


def test_an_archive_is_never_something_else_for_being_damaged(
    read: Callable[[bytes], tuple[Entry, ...]],
) -> None:
    whole = read(data := archive(GOOD))
    for place in range(10, len(data)):
        damaged = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        with contextlib.suppress(IntegrityError):
            assert [entry.path for entry in read(damaged)] == [entry.path for entry in whole]


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_its_member_named(
    read: Callable[[bytes], tuple[Entry, ...]], case: str
) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(IntegrityError) as caught:
        read(data)
    assert message in caught.value.message
    assert caught.value.where == "cpython.tar.gz"


def test_a_bomb_is_stopped_early(
    read: Callable[[bytes], tuple[Entry, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskimage.transform.standalone._LARGEST", 1 << 20)
    with pytest.raises(IntegrityError, match="unpacks to more than 1048576 bytes"):
        read(gzip.compress(bytes(3 << 20)))
