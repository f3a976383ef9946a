"""Files to copy -> entries below ``/root``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.transform.entry import BytesBody
from taskimage.transform.source import SourceFile, SourceTree, merge, source_entries, tree_digest


def file(path: str, data: bytes = b"", *, executable: bool = False) -> SourceFile:
    return SourceFile(path=path, executable=executable, digest=Digest.of(data), body=BytesBody(data))


def test_every_folder_comes_before_what_is_in_it_and_root_itself_is_left_to_the_layer() -> None:
    tree = SourceTree.of([file("src/b/c.py"), file("a.py")], ["src/empty"])
    assert [entry.path for entry in source_entries(tree)] == [
        "root/a.py",
        "root/src",
        "root/src/b",
        "root/src/b/c.py",
        "root/src/empty",
    ]


def test_entries_belong_to_the_user_and_its_group_may_do_the_same() -> None:
    entries = source_entries(SourceTree.of([file("a"), file("d/x", executable=True)]))
    assert [(entry.path, oct(entry.mode)) for entry in entries] == [
        ("root/a", "0o664"),
        ("root/d", "0o775"),
        ("root/d/x", "0o775"),
    ]
    assert {(entry.uid, entry.gid) for entry in entries} == {(1000, 0)}


def test_a_later_tree_has_the_last_word_about_a_path() -> None:
    merged = merge([SourceTree.of([file("a", b"1"), file("b")]), SourceTree.of([file("a", b"2")])])
    assert merged == SourceTree.of([file("a", b"2"), file("b")])


@pytest.mark.parametrize("folder", [SourceTree.of([file("a/b")]), SourceTree.of([], ["a"])])
def test_a_path_cannot_be_a_file_and_a_folder(folder: SourceTree) -> None:
    with pytest.raises(BadInput, match="'/root/a'"):
        merge([SourceTree.of([file("a")]), folder])


@pytest.mark.parametrize(
    "other",
    [
        SourceTree.of([file("a", b"2")]),
        SourceTree.of([file("a", b"1", executable=True)]),
        SourceTree.of([file("b", b"1")]),
        SourceTree.of([file("a", b"1")], ["d"]),
        SourceTree(),
    ],
)
def test_the_digest_tells_trees_apart(other: SourceTree) -> None:
    assert tree_digest(other) != tree_digest(SourceTree.of([file("a", b"1")]))


@settings(max_examples=30, deadline=None)
@given(st.permutations([file("a"), file("b/c"), file("b/d"), file("e")]))
def test_order_does_not_matter(files: list[SourceFile]) -> None:
    assert SourceTree.of(files) == SourceTree.of(sorted(files, key=lambda one: one.path))
    assert tree_digest(SourceTree.of(files, ["b"])) == tree_digest(SourceTree.of(files))
