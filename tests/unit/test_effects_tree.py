"""Files and links as one tree."""

from __future__ import annotations

import pytest

from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

TREE = Tree(
    [
        Entry.file("usr/bin/tool", b"tool"),
        Entry.symlink("bin", "usr/bin"),
        Entry.symlink("usr/bin/link", "../../bin/tool"),
        Entry.symlink("usr/bin/absolute", "/bin/link"),
        Entry.symlink("usr/bin/above", "../../../../bin/tool"),
        Entry.symlink("loop", "loop"),
        Entry("usr/bin/hard", "hardlink", 0o755, target="usr/bin/tool"),
        Entry.directory("empty"),
    ]
)


@pytest.mark.parametrize(
    "path", ["usr/bin/tool", "/bin/tool", "bin/link", "bin/absolute", "bin/above", "bin/./hard"]
)
def test_every_way_leads_to_the_file(path: str) -> None:
    assert TREE.read(path) == b"tool"
    assert path in TREE


@pytest.mark.parametrize("path", ["missing", "bin/missing", "loop", "empty", "usr/bin/tool/x"])
def test_what_is_no_file_has_no_bytes(path: str) -> None:
    assert TREE.read(path) is None


@pytest.mark.parametrize(("path", "expected"), [("", True), ("/", True), ("usr", True), ("bin", True), ("empty", True), ("bin/tool", False), ("loop", False), ("no", False)])  # fmt: skip
def test_folders_are_there_by_what_is_in_them(path: str, expected: bool) -> None:  # noqa: FBT001
    assert TREE.is_directory(path) is expected


def test_names_are_sorted_and_found_through_links() -> None:
    assert TREE.names("bin") == ["above", "absolute", "hard", "link", "tool"]
    assert TREE.names("loop") == []
    assert [entry.path for entry in TREE.below("usr")] == [f"usr/bin/{name}" for name in TREE.names("bin")]


def test_what_is_added_takes_the_place_of_what_was_there() -> None:
    tree = Tree([Entry.file("a", b"1")])
    tree.add(Entry.file("a", b"2"))
    assert tree.read("a") == b"2"
