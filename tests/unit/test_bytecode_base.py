"""The part of a base image that its interpreter needs to compile."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taskimage.adapters.bytecode import is_needed, runtime_command

DEBIAN, CONDA, SLIM = "/usr/bin/python3.11", "/opt/conda/bin/python3.12", "/usr/local/bin/python3.13"


@pytest.mark.parametrize(
    ("python", "path"),
    [
        (DEBIAN, "usr/bin/python3.11"),
        (DEBIAN, "usr/lib/python3.11/os.py"),
        (DEBIAN, "usr/lib/python3.11/lib-dynload/_bz2.cpython-311-x86_64-linux-gnu.so"),
        (DEBIAN, "usr/lib64/python3.11/os.py"),
        (DEBIAN, "usr/lib/python3.11/os.pyc"),  # where there is no source
        (DEBIAN, "lib/x86_64-linux-gnu/libc.so.6"),
        (DEBIAN, "usr/lib/x86_64-linux-gnu/libexpat.so.1.8.10"),
        (DEBIAN, "lib64/ld-linux-x86-64.so.2"),
        (CONDA, "opt/conda/bin/python3.12"),
        (CONDA, "opt/conda/lib/python3.12/struct.py"),
        (CONDA, "opt/conda/lib/libz.so.1"),
        (CONDA, "usr/lib/x86_64-linux-gnu/libc.so.6"),
        (SLIM, "usr/local/lib/libpython3.13.so.1.0"),
    ],
)
def test_the_program_its_standard_library_and_shared_libraries_are_needed(python: str, path: str) -> None:
    assert is_needed(path, python)


@pytest.mark.parametrize(
    ("python", "path"),
    [
        (DEBIAN, "usr/bin/python3.10"),
        (DEBIAN, "usr/lib/python3/dist-packages/numpy/__init__.py"),
        (DEBIAN, "usr/lib/x86_64-linux-gnu/perl/5.36.0/libperl.so"),
        (DEBIAN, "usr/local/cuda/lib64/libcublas.so.12"),
        (DEBIAN, "usr/share/doc/python3.11/copyright"),
        (DEBIAN, "usr/lib/python3.11/__pycache__/os.cpython-311.pyc"),
        (CONDA, "opt/conda/lib/python3.12/site-packages/torch/lib/libtorch.so"),
        (CONDA, "opt/conda/pkgs/python-3.12.1/lib/python3.12/os.py"),
        (CONDA, "opt/condalib/python3.12/os.py"),
        (SLIM, "usr/local/lib/python3.13/dist-packages/x.py"),
    ],
)
def test_what_is_installed_and_all_else_is_not_needed(python: str, path: str) -> None:
    assert not is_needed(path, python)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs the programs of an image")
def test_libraries_beside_the_interpreter_come_before_those_of_the_system(root: Path) -> None:
    """python:3.12 may have Debian's libpython3.12 as well, of another patch version."""
    program = root / "usr/local/bin/python3"
    program.parent.mkdir(parents=True)
    program.write_bytes(Path(sys.executable).resolve().read_bytes())
    for folder in ("usr/local/lib", "usr/lib/x86_64-linux-gnu", "lib64", "lib"):
        (root / folder).mkdir(parents=True)
    for name in ("lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"):
        (root / name).write_bytes(b"")
    command = runtime_command(root, "/usr/local/bin/python3")
    assert command[command.index("--library-path") + 1].split(":")[0] == str(root / "usr/local/lib")
