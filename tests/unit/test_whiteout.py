"""Whiteouts: what is written hides what was meant, for whoever reads it, and nothing else."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.transform.base import BaseLayer, BaseTree, read_base
from taskimage.transform.entry import Entry, folders_of
from taskimage.transform.layer import write_layer
from taskimage.transform.whiteout import opaque, whiteouts

PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)
FILES = st.sets(PATHS, max_size=12).map(lambda paths: sorted(paths - folders_of(paths)))


def tree_of(*layers: list[Entry]) -> BaseTree:
    """What a runtime has of ``layers``."""
    blobs = []
    for entries in layers:
        blob = io.BytesIO()
        write_layer([entries], blob.write)
        blobs.append(blob.getvalue())
    opened = [BaseLayer(lambda blob=blob: io.BytesIO(blob), len(blob), "x") for blob in blobs]  # type: ignore[misc]
    return read_base(opened, io.BytesIO())


def files_of(paths: list[str], data: bytes = b"") -> list[Entry]:
    return [Entry.file(path, data) for path in paths]


@settings(max_examples=60, deadline=None)
@given(FILES, st.data())
def test_what_is_hidden_is_gone_with_all_that_is_in_it_and_nothing_else(
    paths: list[str], data: st.DataObject
) -> None:
    everything = sorted({*paths, *folders_of(paths)})
    gone = data.draw(st.sets(st.sampled_from(everything))) if everything else set()
    tree = tree_of(files_of(paths), list(whiteouts(gone)))
    left = {path for path in everything if gone.isdisjoint({path, *folders_of([path])})}
    assert {entry.path for entry in tree.entries} == left


@settings(max_examples=30, deadline=None)
@given(FILES, FILES)
def test_a_higher_layer_brings_hidden_paths_back_with_its_own_bytes(old: list[str], new: list[str]) -> None:
    top = [path.partition("/")[0] for path in old]
    tree = tree_of(files_of(old, b"old"), list(whiteouts(top)), files_of(new, b"new"))
    assert {
        entry.path: tree.read(entry.path) for entry in tree.entries if entry.kind == "file"
    } == dict.fromkeys(new, b"new")


def test_an_opaque_folder_has_what_its_own_layer_and_higher_ones_bring() -> None:
    tree = tree_of(
        files_of(["a/old", "a/b/old", "old"]), [opaque("a"), *files_of(["a/own"])], files_of(["a/b/new"])
    )
    assert [entry.path for entry in tree.entries] == ["a", "a/b", "a/b/new", "a/own", "old"]
