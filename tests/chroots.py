"""Folders in which packages were really installed, to compare the files of an image with."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from taskimage.transform.entry import Entry, StreamBody

__all__ = [
    "content",
    "entries_of",
    "folder_links",
    "in_chroot",
    "is_same",
    "make_chroot",
    "on_disk",
    "parents",
]


def make_chroot(root: Path, suite: str, *options: str, sources: Sequence[str]) -> None:
    """Install packages of ``suite`` from ``sources`` (lines or files of apt's) into ``root``."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("a chroot to compare with needs root and mmdebstrap")
    command = ["mmdebstrap", "--mode=root", *options, suite, str(root), *sources]
    subprocess.run(command, check=True, capture_output=True)


def in_chroot(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What came of a command in ``root``, where this process's folder for temporary files is not."""
    words = ["env", "--unset=TMPDIR", "chroot", str(root), *command]
    return subprocess.run(words, check=False, capture_output=True, text=True)


def on_disk(root: Path) -> dict[str, os.stat_result]:
    found: dict[str, os.stat_result] = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder, name)
            found[str(path.relative_to(root))] = path.lstat()
    return found


def entries_of(root: Path) -> tuple[Entry, ...]:
    """The files of ``root``, as those of a base image are; devices and sockets are left out."""
    entries = []
    for path, found in sorted(on_disk(root).items()):
        mode, owner = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
        if stat.S_ISLNK(found.st_mode):
            entries.append(Entry.symlink(path, str((root / path).readlink())))
        elif stat.S_ISDIR(found.st_mode):
            entries.append(Entry.directory(path, mode, *owner))
        elif stat.S_ISREG(found.st_mode):
            body = StreamBody(partial(_opened, root / path), found.st_size)
            entries.append(Entry.file(path, body, mode, *owner))
    return tuple(entries)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def is_same(entry: Entry, place: Path) -> bool:
    """Whether what is at ``place`` has the kind, mode and owner of ``entry``, and the target of a link."""
    found = place.lstat()
    if stat.S_ISLNK(found.st_mode):
        return (entry.kind, entry.target) == ("symlink", str(place.readlink()))
    kind = "dir" if stat.S_ISDIR(found.st_mode) else "file"
    expected = (kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    return (entry.kind, entry.mode, entry.uid, entry.gid) == expected


def content(entry: Entry) -> bytes:
    assert entry.body is not None
    with entry.body.open() as stream:
        return stream.read()


def parents(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def folder_links(root: Path) -> Mapping[str, str]:
    """The links in ``root`` that lead to folders of it."""
    found = {}
    for path, state in on_disk(root).items():
        if stat.S_ISLNK(state.st_mode):
            target = str((root / path).readlink())
            place = root / target.lstrip("/") if target.startswith("/") else (root / path).parent / target
            if place.is_dir():
                found[path] = target
    return found
