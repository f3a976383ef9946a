"""An empty venv: Python takes it for one, and it is what the venv module makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from taskimage.transform.entry import Entry
from taskimage.transform.venv import venv_entries

VERSION = "{}.{}.{}".format(*sys.version_info)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A venv written from entries, for the interpreter that runs the tests."""
    return make(tmp_path / "made", system_site=False)


def make(prefix: Path, *, system_site: bool) -> Path:
    python = str(Path(sys.executable).resolve())
    entries = venv_entries(str(prefix).lstrip("/"), python=python, version=VERSION, system_site=system_site)
    for entry in entries:
        write(Path("/") / entry.path, entry)
    return prefix


def write(path: Path, entry: Entry) -> None:
    if entry.kind == "dir":
        path.mkdir(mode=entry.mode)
    elif entry.kind == "symlink":
        path.symlink_to(entry.target)
    elif entry.body is not None:
        with entry.body.open() as stream:
            path.write_bytes(stream.read())


def run(*command: str | Path) -> str:
    return subprocess.run(
        command, env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True, text=True
    ).stdout


def test_python_takes_it_for_its_own_venv(made: Path) -> None:
    code = "import sys, site; print(sys.prefix, sys.base_prefix, site.getsitepackages()[0])"
    for name in ("python", "python3", "python{}.{}".format(*sys.version_info)):
        prefix, base, packages = run(made / "bin" / name, "-c", code).split()
        assert prefix == str(made)
        assert base == sys.base_prefix
        assert packages == str(made / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages")


@pytest.mark.parametrize("system_site", [False, True])
def test_it_has_the_paths_and_settings_that_the_venv_module_makes(
    tmp_path: Path, *, system_site: bool
) -> None:
    made, theirs = make(tmp_path / "made", system_site=system_site), tmp_path / "theirs"
    options = ["--system-site-packages"] * system_site
    run(Path(sys.executable).resolve(), "-m", "venv", "--without-pip", "--symlinks", *options, theirs)

    def paths(folder: Path) -> set[str]:
        others = ("bin/activate.csh", "bin/activate.fish", "bin/Activate.ps1", ".gitignore", "bin/𝜋thon")
        found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
        return {path for path in found if path not in others and not path.startswith("lib64/")}

    def settings(folder: Path) -> list[str]:
        lines = (folder / "pyvenv.cfg").read_text().splitlines()
        return [
            line
            for line in lines
            if line.partition(" = ")[0] in ("home", "version", "include-system-site-packages")
        ]

    # Python 3.10 makes the folder of headers later, when something is put in it.
    assert paths(made) == paths(theirs) | {"include/python{}.{}".format(*sys.version_info)}
    assert settings(made) == settings(theirs)


@pytest.mark.parametrize("system_site", [False, True])
def test_what_the_interpreter_has_installed_is_importable_where_it_is_asked_for(
    tmp_path: Path, *, system_site: bool
) -> None:
    own = run(Path(sys.executable).resolve(), "-c", "import site; print(site.getsitepackages()[0])").strip()
    path = run(
        make(tmp_path / "made", system_site=system_site) / "bin/python", "-c", "import sys; print(sys.path)"
    )
    assert (own in path) == system_site


def test_a_shell_activates_and_deactivates_it(made: Path) -> None:
    script = f'. "{made}/bin/activate"; command -v python; echo "$VIRTUAL_ENV"; deactivate; echo "$PATH"'
    assert run("/bin/sh", "-euc", script).splitlines() == [f"{made}/bin/python", str(made), "/usr/bin:/bin"]


def test_the_same_arguments_give_the_same_sorted_entries() -> None:
    first = venv_entries(python="/usr/bin/python3.11", version="3.11.2")
    assert first == venv_entries(python="/usr/bin/python3.11", version="3.11.2")
    assert [entry.path for entry in first] == sorted(entry.path for entry in first)
    assert Entry.symlink("opt/venv/bin/python", "/usr/bin/python3.11") in first
