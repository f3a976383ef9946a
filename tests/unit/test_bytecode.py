"""Bytecode archives: which sources are compiled, where the results go, and that archives are reproducible."""

from __future__ import annotations

import random
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from taskimage.transform.bytecode import items, pack, pyc_path, sources, unpack
from taskimage.transform.entry import Deflated, Entry

SITE = "opt/venv/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("path", "compiled"),
    [
        (f"{SITE}/six.py", True),
        (f"{SITE}/numpy/testing/_private/utils.py", True),
        (f"{SITE}/numpy/tests/test_a.py", False),
        (f"{SITE}/django/test/client.py", True),
        (f"{SITE}/data.json", False),
        (f"{SITE}/mod.pyi", False),
        ("opt/venv/bin/tool.py", False),
        ("root/workflow.py", False),
        ("usr/lib/python3.11/os.py", True),
        ("usr/lib/python3.11/test/support/__init__.py", False),
        ("usr/lib/python3/dist-packages/apt.py", True),
        ("opt/python/lib/python3.12/os.py", True),
        ("usr/share/doc/x.py", False),
    ],
)
def test_what_may_be_imported_is_compiled_and_tests_are_not(path: str, compiled: bool) -> None:  # noqa: FBT001
    assert bool(sources([Entry.file(path, b"x")])) == compiled


def test_items_are_absolute_paths_and_bytes() -> None:
    entries = [Entry.directory(SITE), Entry.symlink(f"{SITE}/b.py", "a.py"), Entry.file(f"{SITE}/a.py", b"x")]
    assert list(items(sources(entries))) == [(f"/{SITE}/a.py", b"x")]


@pytest.mark.parametrize(
    ("source", "python", "path"),
    [
        ("/a/b.py", "3.11", "/a/__pycache__/b.cpython-311.pyc"),
        ("/a/__init__.py", "3.9", "/a/__pycache__/__init__.cpython-39.pyc"),
        ("/a/x.y.py", "3.13", "/a/__pycache__/x.y.cpython-313.pyc"),
    ],
)
def test_bytecode_lies_where_the_interpreter_looks_for_it(source: str, python: str, path: str) -> None:
    assert pyc_path(source, python) == path


def test_archives_do_not_depend_on_order_and_unpack_to_deflated_entries(tmp_path: Path) -> None:
    compiled: list[tuple[str, bytes | None]] = [
        (f"/{SITE}/m{n}.py", f"code {n}".encode() * n) for n in range(50)
    ]
    data = pack([*compiled, (f"/{SITE}/bad.py", None)], python="3.11")
    random.Random(7).shuffle(compiled)
    assert pack(compiled, python="3.11") == data
    path = tmp_path / "bytecode.zip"
    path.write_bytes(data)
    entries = unpack(lambda: cast("BinaryIO", path.open("rb")), where="x")
    assert len(entries) == 50
    assert entries[1].path == f"{SITE}/__pycache__/m1.cpython-311.pyc"
    assert {entry.mode for entry in entries} == {0o644}
    body = entries[1].body
    assert isinstance(body, Deflated)
    with body.open() as stream:
        assert stream.read() == b"code 1"


def test_nothing_compiled_is_an_archive_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bytecode.zip"
    path.write_bytes(pack([], python="3.11"))
    assert unpack(lambda: cast("BinaryIO", path.open("rb")), where="x") == ()
