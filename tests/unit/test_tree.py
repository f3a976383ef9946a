"""Trees of one archive: sorted, each path once, folders that are folders."""

from __future__ import annotations

import pytest

from taskimage.model.errors import IntegrityError
from taskimage.transform.entry import Entry
from taskimage.transform.tree import checked_tree

A, B = Entry.file("a", b""), Entry.file("d/b", b"")
FOLDER, LINK = Entry.directory("d"), Entry.symlink("d", "/etc")
HARD = Entry("h", "hardlink", 0o644, target="a")


def test_a_tree_is_sorted_by_path() -> None:
    assert checked_tree([HARD, B, FOLDER, A], where="x") == (A, FOLDER, B, HARD)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([A, A], "has 'a' twice"),
        ([LINK, B], "has 'd' as a symlink and as a folder"),
        ([A, Entry.file("a/b/c", b"")], "has 'a' as a file and as a folder"),
        ([HARD], "has a hard link 'h' to what is no file"),
        ([HARD, Entry.symlink("a", "b")], "has a hard link 'h'"),
    ],
)
def test_what_is_no_tree_is_refused(entries: list[Entry], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        checked_tree(entries, where="x")
