"""Conda packages as they are linked: places, prefixes, commands, records; and archives that are refused."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.archives import make_zip, member, tar_of
from tests.channels import PLACEHOLDER, CondaFile, conda_of, make_conda, pin_of

from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform.conda import CondaPackage, read_conda
from taskimage.transform.conda.prefix import relocated
from taskimage.transform.entry import Entry

BUILT = PLACEHOLDER.encode()


@pytest.fixture
def spool() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


@pytest.fixture
def read(tmp_path: Path, spool: BinaryIO) -> Any:
    def read(data: bytes, **about: str) -> CondaPackage:
        path = tmp_path / "package"
        path.write_bytes(data)
        pin = pin_of(data, **{"name": "demo", **about})
        return read_conda(partial(_opened, path), spool, pin, python="3.11")

    return read


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _bytes(entry: Entry) -> bytes:
    assert entry.body is not None
    with entry.body.open() as stream:
        data = stream.read()
    assert len(data) == entry.size
    return data


def _files(package: CondaPackage) -> dict[str, bytes]:
    return {entry.path: _bytes(entry) for entry in package.entries if entry.kind == "file"}


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_files_are_linked_below_the_prefix_from_both_formats(read: Any, suffix: str) -> None:
    files = {
        "lib/libdemo.so.1": CondaFile(b"\x7fELF"),
        "bin/demo": CondaFile(b"#!/bin/sh\n", executable=True),
        "lib/libdemo.so": CondaFile(link="libdemo.so.1"),
    }
    package = read(make_conda(files, name="demo", suffix=suffix), suffix=suffix)
    found = {entry.path: entry for entry in package.entries}
    assert list(found) == [
        "opt/conda/bin/demo",
        "opt/conda/conda-meta/demo-1.0-0.json",
        "opt/conda/lib/libdemo.so",
        "opt/conda/lib/libdemo.so.1",
    ]
    assert found["opt/conda/bin/demo"].mode == 0o755
    assert found["opt/conda/lib/libdemo.so"].target == "libdemo.so.1"
    assert _bytes(found["opt/conda/lib/libdemo.so.1"]) == b"\x7fELF"


def test_the_prefix_takes_the_place_of_the_placeholder(read: Any) -> None:
    text = b"#!" + BUILT + b"/bin/python\nimport sys  # " + BUILT + b"\n"
    binary = b"\x7fELF" + BUILT + b"/lib:" + BUILT + b"/share\0next\0"
    files = {
        "bin/demo": CondaFile(text, mode="text"),
        "lib/libdemo.so": CondaFile(binary, mode="binary"),
        "share/other": CondaFile(text),
    }
    found = _files(read(make_conda(files, name="demo")))
    assert found["opt/conda/bin/demo"] == b"#!/opt/conda/bin/python\nimport sys  # /opt/conda\n"
    moved = found["opt/conda/lib/libdemo.so"]
    assert moved.startswith(b"\x7fELF/opt/conda/lib:/opt/conda/share\0\0")
    assert moved.endswith(b"\0\0next\0")
    assert len(moved) == len(binary)
    # paths.json says which files name the prefix: all others stay as they are.
    assert found["opt/conda/share/other"] == text


@given(st.lists(st.sampled_from([BUILT, b"/opt", b"\0", b"a", b":"]), max_size=12))
@settings(max_examples=60)
def test_a_binary_keeps_its_size_and_all_that_is_no_placeholder(parts: list[bytes]) -> None:
    data = b"".join(parts)
    moved = relocated(data, PLACEHOLDER, "/opt/conda", binary=True)
    assert len(moved) == len(data)
    assert BUILT not in moved
    assert moved.replace(b"\0", b"") == data.replace(BUILT, b"/opt/conda").replace(b"\0", b"")


def test_a_binary_built_for_a_shorter_prefix_is_refused(read: Any) -> None:
    row = {**CondaFile(b"/x\0", mode="binary").row("lib/a.so"), "prefix_placeholder": "/x"}
    paths = {"paths_version": 1, "paths": [row]}
    package = make_conda({"lib/a.so": CondaFile(b"/x\0")}, name="demo", documents={"info/paths.json": paths})
    with pytest.raises(CannotBuild, match=r"demo-1\.0-0\.conda: was built for a prefix of at most 2 bytes"):
        read(package)


def test_a_package_for_any_python_has_its_modules_and_commands_where_that_looks(read: Any) -> None:
    files = {
        "site-packages/demo/__init__.py": CondaFile(b"x = 1\n"),
        "site-packages/demo/__pycache__/__init__.cpython-311.pyc": CondaFile(b"old"),
        "python-scripts/tool": CondaFile(b"#!x\n", executable=True),
        "share/demo.txt": CondaFile(b"text"),
    }
    data = make_conda(files, name="demo", noarch="python", entry_points=["demo = demo.cli:main"])
    found = _files(read(data))
    record = json.loads(found.pop("opt/conda/conda-meta/demo-1.0-0.json"))
    assert sorted(found) == [
        "opt/conda/bin/demo",
        "opt/conda/bin/tool",
        "opt/conda/lib/python3.11/site-packages/demo/__init__.py",
        "opt/conda/share/demo.txt",
    ]
    assert found["opt/conda/bin/demo"].startswith(b"#!/opt/conda/bin/python3.11\n")
    assert b"from demo.cli import main" in found["opt/conda/bin/demo"]
    assert record["files"] == sorted(path.removeprefix("opt/conda/") for path in found)
    assert record["noarch"] == "python"


def test_the_record_is_what_condas_own_tools_read(read: Any, tmp_path: Path) -> None:
    from rattler import PrefixRecord

    data = make_conda({"bin/demo": CondaFile(b"")}, name="demo", depends=["python >=3.9"])
    package = read(data)
    path = tmp_path / "demo-1.0-0.json"
    path.write_bytes(_files(package)[f"opt/conda/conda-meta/{path.name}"])
    record = PrefixRecord.from_path(path)
    assert record.name.normalized == "demo"
    assert [str(file) for file in record.files] == ["bin/demo"]
    assert package.depends == ("python >=3.9",)


def test_what_conda_would_run_is_told(read: Any) -> None:
    files = {
        "bin/.demo-post-link.sh": CondaFile(b""),
        "bin/.other-post-link.sh": CondaFile(b""),
        "etc/conda/activate.d/demo.sh": CondaFile(b""),
    }
    package = read(make_conda(files, name="demo"))
    assert package.scripts == ("opt/conda/bin/.demo-post-link.sh", "opt/conda/etc/conda/activate.d/demo.sh")


def test_what_is_not_listed_is_not_linked(read: Any) -> None:
    paths = {"paths_version": 1, "paths": []}
    data = make_conda({"bin/x": CondaFile(b"")}, name="demo", documents={"info/paths.json": paths})
    assert list(_files(read(data))) == ["opt/conda/conda-meta/demo-1.0-0.json"]


# -- hostile and damaged archives ----------------------------------------------------------------------


def _listing(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"info/paths.json": {"paths_version": 1, "paths": list(rows)}}


def _one(path: str = "bin/x", **file: Any) -> dict[str, CondaFile]:
    return {path: CondaFile(**file)}


REFUSED = {
    "a path out of the tree": (
        {"files": {}, "documents": _listing({"_path": "../../etc/passwd"})},
        "points outside of the tree",
    ),
    "an absolute path": (
        {"files": {}, "documents": _listing({"_path": "/etc/passwd"})},
        "points outside of the tree",
    ),
    "a record of its own": (
        {"files": _one("conda-meta/other-1-0.json")},
        "'conda-meta/other-1-0.json' linked, which is not its own",
    ),
    "a link out of the environment": (
        {"files": _one("lib/x", link="../../../etc")},
        "leads to '../../../etc', out of the environment",
    ),
    "a link to an absolute path": ({"files": _one("lib/x", link="/etc")}, "out of the environment"),
    "a file below a link": (
        {"files": {"lib/x": CondaFile(link="y"), "lib/x/a": CondaFile(b"a")}},
        "as a symlink and as a folder",
    ),
    "a file that is not there": (
        {"files": {}, "documents": _listing({"_path": "bin/none"})},
        "has no 'bin/none', which it names",
    ),
    "a path twice": (
        {"files": _one(), "documents": _listing({"_path": "bin/x"}, {"_path": "bin/x"})},
        "has 'opt/conda/bin/x' twice",
    ),
    "a newer list of paths": (
        {"files": {}, "documents": {"info/paths.json": {"paths_version": 2, "paths": []}}},
        "paths.json.paths_version is 2",
    ),
    "an index that is no object": ({"files": {}, "documents": {"info/index.json": []}}, "wanted an object"),
    "no index": ({"files": {}, "documents": {"info/index.json": None}}, "has no 'info/index.json'"),
    "a command with a path": (
        {"files": {}, "noarch": "python", "entry_points": ["../x = a:b"]},
        "entry point '../x = a:b' is none",
    ),
    "a command that is code": (
        {"files": {}, "noarch": "python", "entry_points": ["x = os:system('x')"]},
        "is none",
    ),
    "another package": ({"files": {}, "version": "2.0"}, "is 'demo' 2.0 0, locked as 'demo' 1.0 0"),
}


@pytest.mark.parametrize(("about", "message"), REFUSED.values(), ids=REFUSED)
def test_a_hostile_package_is_refused(read: Any, about: dict[str, Any], message: str) -> None:
    data = make_conda(**{"name": "demo", "suffix": ".tar.bz2", **about})
    with pytest.raises(IntegrityError, match=r"demo-1\.0-0\.tar\.bz2: ") as raised:
        read(data, suffix=".tar.bz2")
    assert message in str(raised.value)


def test_a_hard_link_is_the_file_that_it_names(read: Any) -> None:
    link = tarfile.TarInfo("bin/b")
    link.type, link.linkname = tarfile.LNKTYPE, "bin/a"
    index = {"name": "demo", "version": "1.0", "build": "0", "build_number": 0}
    rows = {"paths_version": 1, "paths": [{"_path": "bin/a"}, {"_path": "bin/b"}]}
    info = [
        member("info/index.json", json.dumps(index).encode()),
        member("info/paths.json", json.dumps(rows).encode()),
    ]
    data = conda_of("demo-1.0-0", info=tar_of(info), pkg=tar_of([member("bin/a", b"a"), (link, b"")]))
    assert _files(read(data))["opt/conda/bin/b"] == b"a"


BROKEN = {
    "no zip": (b"nothing", "cannot be read as a zip archive"),
    "no metadata": (make_zip({"x": b""}), "has no 'metadata.json'"),
    "no files": (conda_of("demo-1.0-0", info=tar_of([])), "has no 'pkg-demo-1.0-0.tar.zst'"),
    "no zstd": (
        make_zip(
            {
                "metadata.json": b'{"conda_pkg_format_version": 2}',
                "info-demo-1.0-0.tar.zst": b"none",
                "pkg-demo-1.0-0.tar.zst": b"none",
            }
        ),
        "cannot be unpacked",
    ),
    "a bomb": (conda_of("demo-1.0-0", info=bytes(70 << 20), pkg=b""), "unpacks to more than"),
    "a tar cut short": (
        conda_of("demo-1.0-0", info=tar_of([member("info/x", b"x" * 600)])[:700], pkg=tar_of([])),
        "truncated",
    ),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_a_damaged_archive_is_refused(read: Any, data: bytes, message: str) -> None:
    with pytest.raises(IntegrityError, match=r"demo-1\.0-0\.conda: ") as raised:
        read(data)
    assert message in str(raised.value)


def test_a_format_that_is_not_known_is_refused(read: Any) -> None:
    with pytest.raises(CannotBuild, match="is of format 3; only 2 is known"):
        read(conda_of("demo-1.0-0", version=3, info=tar_of([]), pkg=tar_of([])))
    with pytest.raises(CannotBuild, match=r"wanted a \.conda or a \.tar\.bz2"):
        read(b"", suffix=".whl")
    with pytest.raises(CannotBuild, match=r"has no info/paths\.json"):
        read(make_conda({}, name="demo", documents={"info/paths.json": None}))


def test_a_duplicate_member_is_refused(read: Any) -> None:
    twice = tar_of([member("bin/x", b"1"), member("bin/x", b"2")])
    with pytest.raises(IntegrityError, match="has 'bin/x' twice"):
        read(conda_of("demo-1.0-0", info=tar_of([]), pkg=twice))


def test_reading_is_the_same_on_a_spool_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "demo"
    data = make_conda({"a": CondaFile(BUILT + b"/a", mode="text")}, name="demo")
    path.write_bytes(data)
    package = read_conda(partial(_opened, path), io.BytesIO(), pin_of(data, name="demo"), python="3.11")
    assert _files(package)["opt/conda/a"] == b"/opt/conda/a"
