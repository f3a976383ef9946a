"""The layers of a base become the files that a runtime would have on its disk."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.archives import member, tar_of

from taskimage.adapters.rootfs import unpack
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.transform.base import BaseLayer, BaseTree, layers, read_base

Members: TypeAlias = Sequence[tuple[tarfile.TarInfo, bytes]]


def symlink(path: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(path, type=tarfile.SYMTYPE, linkname=target)


def hardlink(path: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(path, type=tarfile.LNKTYPE, linkname=target)


def read(*archives: Members) -> BaseTree:
    blobs = [gzip.compress(tar_of(members), 1) for members in archives]
    return read_base(
        [
            BaseLayer(lambda blob=blob: io.BytesIO(blob), len(blob), f"layer {number}")  # type: ignore[misc]
            for number, blob in enumerate(blobs)
        ],
        io.BytesIO(),
    )


def shown(tree: BaseTree) -> dict[str, str]:
    """Every path with its content, its link's text, or a slash."""
    return {
        entry.path: "/"
        if entry.kind == "dir"
        else f"-> {entry.target}"
        if entry.kind == "symlink"
        else (tree.read(entry.path) or b"").decode()
        for entry in tree.entries
    }


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        pytest.param([member("f", b"1")], [member("f", b"2")], {"f": "2"}, id="a file replaced"),
        pytest.param([member("a/f", b"1")], [member("a/.wh.f")], {"a": "/"}, id="whiteout of a file"),
        pytest.param([member("a/b/f", b"1")], [member(".wh.a")], {}, id="whiteout of a folder"),
        pytest.param([member("f", b"1")], [member(".wh.g")], {"f": "1"}, id="whiteout of nothing"),
        pytest.param(
            [member("a/f", b"1"), member("a/g/h", b"2")],
            [member("a/n", b"3"), member("a/.wh..wh..opq")],
            {"a": "/", "a/n": "3"},
            id="opaque folder, told last",
        ),
        pytest.param(
            [member("a/b/old", b"1")],
            [member("a/b/new", b"2"), member("a/.wh.b")],
            {"a": "/", "a/b": "/", "a/b/new": "2"},
            id="whiteout of a folder that its own layer has anew",
        ),
        pytest.param([member("a/f", b"1")], [member("a", b"2")], {"a": "2"}, id="a folder becomes a file"),
        pytest.param(
            [member("a", b"1")], [member("a/f", b"2")], {"a": "/", "a/f": "2"}, id="a file becomes a folder"
        ),
        pytest.param(
            [member("usr/bin/"), symlink("bin", "usr/bin")],
            [member("bin/x", b"1")],
            {"bin": "-> usr/bin", "usr": "/", "usr/bin": "/", "usr/bin/x": "1"},
            id="a file through a link",
        ),
        pytest.param(
            [symlink("opt", "/var/opt")],
            [member("opt/venv/f", b"1")],
            {"opt": "-> /var/opt", "var": "/", "var/opt": "/", "var/opt/venv": "/", "var/opt/venv/f": "1"},
            id="a file through a link to nothing",
        ),
        pytest.param(
            [member("usr/bin/x", b"1"), symlink("bin", "usr/bin")],
            [member("bin/.wh.x")],
            {"bin": "-> usr/bin", "usr": "/", "usr/bin": "/"},
            id="whiteout through a link",
        ),
        pytest.param(
            [member("usr/f", b"1"), symlink("l", "usr")],
            [member("l/")],
            {"l": "/", "usr": "/", "usr/f": "1"},
            id="a link becomes a folder",
        ),
        pytest.param(
            [symlink("l", "f"), member("f", b"1")],
            [member("l", b"2")],
            {"f": "1", "l": "2"},
            id="a link becomes a file, not what it names",
        ),
        pytest.param([member("f", b"1")], [hardlink("h", "f")], {"f": "1", "h": "1"}, id="hard link to a lower layer"),
        pytest.param(
            [member("f", b"1"), hardlink("h", "f")],
            [member("f", b"2")],
            {"f": "2", "h": "1"},
            id="a hard link keeps what it names",
        ),
        pytest.param(
            [member("usr/f", b"1"), symlink("l", "usr")],
            [hardlink("h", "l/f")],
            {"h": "1", "l": "-> usr", "usr": "/", "usr/f": "1"},
            id="hard link through a link",
        ),
        pytest.param(
            [member("dev/"), member("dev/null", type=tarfile.CHRTYPE), member("dev/p", type=tarfile.FIFOTYPE)],
            [member("dev/f", b"1")],
            {"dev": "/", "dev/f": "1"},
            id="devices and pipes are left out",
        ),
    ],
)  # fmt: skip
def test_what_an_upper_layer_does(lower: Members, upper: Members, expected: dict[str, str]) -> None:
    assert shown(read(lower, upper)) == expected


def test_modes_and_owners_are_those_of_the_last_layer_that_states_them() -> None:
    tmp, other = member("tmp/"), member("tmp/")
    tmp[0].mode, other[0].mode, other[0].gid = 0o755, 0o1777, 7
    tree = read(
        [tmp, member("tmp/f", b"1", 0o4755, uid=3)], [other, hardlink("h", "tmp/f"), member("new/f", b"")]
    )
    assert {entry.path: (oct(entry.mode), entry.uid, entry.gid) for entry in tree.entries} == {
        "h": ("0o4755", 3, 0), "new": ("0o755", 0, 0), "new/f": ("0o644", 0, 0),
        "tmp": ("0o1777", 0, 7), "tmp/f": ("0o4755", 3, 0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ([member("../f", b"1")], "outside of the tree"),
        ([hardlink("h", "/etc/passwd")], "outside of the tree"),
        ([hardlink("h", "nothing")], "'nothing', which is no file"),
        ([symlink("l", "f"), hardlink("h", "l")], "'l', which is no file"),
        ([member("f", b"1"), member("f", b"2")], "appears twice"),
        ([symlink("a", "b"), symlink("b", "a"), member("a/f", b"1")], "'a' is a loop of links"),
    ],
)
def test_what_is_hostile_is_refused_with_its_layer(members: Members, complaint: str) -> None:
    with pytest.raises(IntegrityError, match=complaint) as caught:
        read([member("ok", b"")], members)
    assert caught.value.where == "layer 1"


def test_nothing_leads_out_of_the_tree() -> None:
    tree = read([symlink("l", "../../etc"), member("l/f", b"1")])
    assert shown(tree) == {"etc": "/", "etc/f": "1", "l": "-> ../../etc"}


def test_an_absurd_number_of_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_MOST", 3)
    with pytest.raises(IntegrityError, match="more than 3 files"):
        read([member("a/b/c/d", b"")])


def test_bodies_can_be_read_from_many_threads() -> None:
    files = {f"f{number}": bytes([number]) * 300_000 for number in range(20)}
    blob = tar_of([member(path, data) for path, data in files.items()])
    with tempfile.TemporaryFile() as spool, ThreadPoolExecutor(8) as pool:
        tree = read_base([BaseLayer(lambda: io.BytesIO(blob), len(blob), "layer")], spool)
        paths = sorted(files) * 3
        assert dict(zip(paths, pool.map(tree.read, paths), strict=True)) == files


def test_a_sparse_file_is_whole(tmp_path: Path) -> None:
    data = b"a" * 8192 + bytes(1 << 20) + b"z" * 8192
    (tmp_path / "holes").write_bytes(b"")
    with (tmp_path / "holes").open("r+b") as file:
        file.write(data[:8192])
        file.seek(len(data) - 8192)
        file.write(data[-8192:])
    command = ["tar", "--create", "--sparse", "--format=gnu", "--directory", str(tmp_path), "holes"]
    blob = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(blob) < len(data) / 2
    tree = read_base([BaseLayer(lambda: io.BytesIO(blob), len(blob), "layer")], io.BytesIO())
    assert tree.read("holes") == data


def test_a_layer_of_an_absurd_size_is_refused() -> None:
    blob = gzip.compress(bytes(200 << 20), 9)
    with pytest.raises(IntegrityError, match="unpacks to more than"), tempfile.TemporaryFile() as spool:
        read_base([BaseLayer(lambda: io.BytesIO(blob), len(blob), "layer")], spool)


# -- the same as on a disk -------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "l"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.one_of(
    PATHS, PATHS.map("/{}".format), PATHS.map("../{}".format), st.sampled_from([".", "..", "/"])
)
MEMBERS = st.one_of(
    st.builds(member, PATHS, st.binary(max_size=3)),
    st.builds(member, PATHS.map("{}/".format)),
    st.builds(symlink, PATHS, TARGETS),
    st.builds(hardlink, PATHS, PATHS),
    st.builds(lambda path: member(path, type=tarfile.FIFOTYPE), PATHS),
    st.builds(lambda path: member(f"{path}/.wh..wh..opq"), PATHS),
    st.builds(lambda path, name: member(f"{path}/.wh.{name}"), PATHS, NAMES),
    st.builds(lambda name: member(f".wh.{name}"), NAMES),
)


def on_disk(root: Path, archives: Sequence[Members]) -> dict[str, bytes | str]:
    blobs = []
    for number, members in enumerate(archives):
        blob = root.with_name(f"{root.name}.{number}")
        blob.write_bytes(tar_of(members))
        blobs.append((blob, Digest.of(blob.read_bytes())))
    unpack(blobs, root)
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else "/"
        if path.is_dir()
        else path.read_bytes()
        for path in root.rglob("*")
    }


def in_memory(archives: Sequence[Members]) -> dict[str, bytes | str]:
    tree = read(*archives)
    return {
        entry.path: entry.target
        if entry.kind == "symlink"
        else "/"
        if entry.body is None
        else entry.body.open().read()
        for entry in tree.entries
    }


@given(st.lists(st.lists(MEMBERS, max_size=6), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_the_tree_is_what_unpacking_puts_on_a_disk(
    tmp_path_factory: pytest.TempPathFactory, archives: list[Members]
) -> None:
    """Paths, kinds, links and bytes are the same, and what one refuses the other refuses."""
    root = tmp_path_factory.mktemp("root")
    try:
        expected = on_disk(root, archives)
    except IntegrityError as error:
        with pytest.raises(IntegrityError) as caught:
            in_memory(archives)
        assert caught.value.message == error.message  # noqa: PT017 -- the two are compared
    else:
        assert in_memory(archives) == expected
