"""A base's own environment where ours goes: which Python it is for, what counts of it, how some of it is taken away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from tests.archives import metadata
from tests.unit.test_base_facts import AMD64, program, tree_of

from taskimage.model.base import BaseFacts, Environment
from taskimage.model.errors import IntegrityError
from taskimage.transform.base import facts_of, uninstalled
from taskimage.transform.entry import Entry
from taskimage.transform.venv import venv_entries

SITE = "opt/venv/lib/python3.11/site-packages"
OWN = "usr/local/lib/python3.11/site-packages"
PYTHONS = {"usr/local/bin/python3.11": program("3.11.9"), "usr/bin/python3.12": program("3.12.1")}
OURS = venv_entries("opt/venv", python="/usr/local/bin/python3.11", version="3.11.9")


def facts(files: Mapping[str, str | bytes], **env: str) -> BaseFacts:
    return facts_of(tree_of({**PYTHONS, **files}), platform=AMD64, env=env, prefix="opt/venv")


def installed(name: str, version: str, *rows: str, folder: str = SITE) -> dict[str, str | bytes]:
    """A distribution with the files that ``rows`` of its RECORD name, empty, and its metadata."""
    info = f"{name}-{version}.dist-info"
    record = "".join(f"{row},,\n" for row in (*rows, f"{info}/METADATA", f"{info}/RECORD"))
    files: dict[str, str | bytes] = {f"{folder}/{row}": "" for row in rows if not row.startswith(("..", "/"))}
    return files | {f"{folder}/{info}/METADATA": metadata(name, version), f"{folder}/{info}/RECORD": record}


# -- which Python it is for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "executable"),
    [
        ("home = /usr/local/bin\nversion = 3.11.9\nexecutable = /usr/local/bin/python3.11\n", "/usr/local/bin/python3.11"),
        ("home = /usr/local/bin\nversion_info = 3.11.9.final.0\nversion = 20.0\n", "/usr/local/bin/python3.11"),
        ("HOME=/usr/local/bin\nversion_info=3.11\n", "/usr/local/bin/python3.11"),
        ("home = /linked\nversion = 3.12.1\n", "/usr/bin/python3.12"),
        ("home = /gone\nversion = 3.11.2\n", "/gone/python3.11"),
        ("", "/python"),
        ("no assignment\n= \n", "/python"),
        ("executable = /loop\n", "/"),
    ],
    ids=["venv", "virtualenv", "uv", "through a link", "gone", "empty", "nonsense", "a loop"],
)  # fmt: skip
def test_the_mark_of_an_environment_says_what_it_stands_on(mark: str, executable: str) -> None:
    found = facts({"opt/venv/pyvenv.cfg": mark, "linked": "-> usr/bin", "loop": "-> loop"})
    assert found.environment == Environment(path="/opt/venv", executable=executable)


def test_without_its_mark_a_folder_is_no_environment_and_one_elsewhere_is_not_ours() -> None:
    assert facts({f"{SITE}/x.py": "", "srv/venv/pyvenv.cfg": "home = /usr/local/bin\n"}).environment is None


def test_the_environments_of_real_tools_are_understood(tmp_path: Path) -> None:
    """Those of this interpreter: the venv of the standard library, and what taskimage writes itself."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    numbers = "{}.{}.{}".format(*sys.version_info)
    real = Path(sys.executable).resolve()
    ours = {entry.path: entry for entry in venv_entries(python=str(real), version=numbers)}
    own = ours["opt/venv/pyvenv.cfg"].body
    assert own is not None
    with own.open() as stream:
        written = stream.read()
    python = {str(real).lstrip("/"): program(numbers)}
    for mark in ((tmp_path / "pyvenv.cfg").read_bytes(), written):
        found = facts_of(tree_of({**python, "opt/venv/pyvenv.cfg": mark}), platform=AMD64, env={})
        assert found.environment is not None
        assert Path(found.environment.executable).name == f"python{sys.version_info[0]}.{sys.version_info[1]}"


# -- what counts of it -----------------------------------------------------------------------------------------


def mark(executable: str) -> dict[str, str | bytes]:
    return {"opt/venv/pyvenv.cfg": f"executable = {executable}\n"}


def counted(found: BaseFacts) -> dict[str, dict[str, tuple[str, str]]]:
    """What each interpreter has: name to version and location."""
    return {
        one.minor: {item.name: (item.version, item.location) for item in one.distributions}
        for one in found.interpreters
    }


def test_its_packages_are_its_interpreter_s_and_go_before_that_one_s_own() -> None:
    files = {**installed("a", "2"), **installed("a", "1", folder=OWN), **installed("b", "1", folder=OWN)}
    found = counted(facts({**files, **mark("/usr/local/bin/python3.11")}))
    assert found == {"3.12": {}, "3.11": {"a": ("2", f"/{SITE}"), "b": ("1", f"/{OWN}")}}
    found = counted(facts({**files, **mark("/usr/bin/python3.12")}))
    assert found == {"3.12": {}, "3.11": {"a": ("1", f"/{OWN}"), "b": ("1", f"/{OWN}")}}


def test_packages_are_located_where_the_links_lead() -> None:
    files = installed("a", "1", folder=f"var/{SITE}")
    pyvenv = {f"var/{path}": text for path, text in mark("/usr/local/bin/python3.11").items()}
    found = facts({"opt": "-> var/opt", **files, **pyvenv})
    assert counted(found)["3.11"] == {"a": ("1", f"/var/{SITE}")}
    assert found.environment is not None
    assert [found.environment.has(one) for one in found.interpreters[1].distributions] == [True]


def test_of_two_interpreters_of_a_version_its_own_goes_first() -> None:
    other: dict[str, str | bytes] = {"opt/conda/bin/python3.11": program("3.11.9")}
    found = facts({**other, **mark("/opt/conda/bin/python3.11")}, PATH="/usr/local/bin")
    assert found.interpreters[1].executable == "/opt/conda/bin/python3.11"
    assert facts(other, PATH="/usr/local/bin").interpreters[1].executable == "/usr/local/bin/python3.11"


# -- how some of it is taken away ------------------------------------------------------------------------------


def hidden(files: Mapping[str, str | bytes], *names: str, above: Iterable[Entry] = OURS) -> list[str]:
    """The whiteouts, from the folder of packages on where they are there."""
    entries = uninstalled(tree_of(files), names, prefix="opt/venv", minor="3.11", above=above)
    return [entry.path.removeprefix(f"{SITE}/") for entry in entries if entry.kind == "file"]


def test_what_its_record_names_goes_with_bytecode_and_emptied_folders() -> None:
    files = {
        **installed("a", "1", "a/__init__.py", "a/deep/er/x.py", "b.py", "../../../bin/tool", "gone.py"),
        f"{SITE}/__pycache__/b.cpython-311.pyc": "", f"{SITE}/__pycache__/b.cpython-311.opt-1.pyc": "",
        f"{SITE}/__pycache__/bb.cpython-311.pyc": "", f"{SITE}/a/__pycache__/__init__.cpython-311.pyc": "",
        "opt/venv/bin/tool": "", f"{SITE}/a-1.dist-info/REQUESTED": "",
    }  # fmt: skip
    del files[f"{SITE}/gone.py"]
    assert hidden(files, "a") == [
        "opt/venv/bin/.wh.tool", "__pycache__/.wh.b.cpython-311.opt-1.pyc", "__pycache__/.wh.b.cpython-311.pyc",
        ".wh.a", ".wh.a-1.dist-info", ".wh.b.py",
    ]  # fmt: skip


def test_what_somebody_put_there_stays_with_its_folders() -> None:
    files = {**installed("a", "1", "a/__init__.py", "a/b/x.py"), f"{SITE}/a/b/mine": ""}
    assert hidden(files, "a") == [".wh.a-1.dist-info", "a/.wh.__init__.py", "a/b/.wh.x.py"]


def test_what_another_distribution_has_too_stays() -> None:
    files = {
        **installed("a", "1", "n/__init__.py", "n/a.py"),
        **installed("b", "1", "n/__init__.py", "n/b.py"),
    }
    assert hidden(files, "a") == [".wh.a-1.dist-info", "n/.wh.a.py"]
    assert hidden(files, "a", "b") == [".wh.a-1.dist-info", ".wh.b-1.dist-info", ".wh.n"]


def test_every_record_of_a_name_goes_however_it_is_written() -> None:
    files = {**installed("A.b", "1", "x.py"), **installed("a_b", "2", "y.py"), **installed("c", "1", "z.py")}
    assert hidden(files, "a-b") == [".wh.A.b-1.dist-info", ".wh.a_b-2.dist-info", ".wh.x.py", ".wh.y.py"]


@pytest.mark.parametrize(
    "row", ["../../../../../etc/passwd", "/etc/passwd", "../../../../venvs/x", "../../..", ".", "", '"a\0b"']
)
def test_what_lies_outside_is_left_alone_and_so_is_what_is_no_file(row: str) -> None:
    files = {**installed("a", "1"), "etc/passwd": "", "opt/venvs/x": ""}
    files[f"{SITE}/a-1.dist-info/RECORD"] = f"{row},,\n"
    assert hidden(files, "a") == [".wh.a-1.dist-info"]


def test_what_the_layer_has_itself_is_not_hidden_in_it() -> None:
    files = {
        **installed("a", "1", "../../../bin/python", "../../../pyvenv.cfg"),
        "opt/venv/bin/python": "-> x",
    }
    files["opt/venv/pyvenv.cfg"] = ""
    assert hidden(files, "a") == [".wh.a-1.dist-info"]


def test_without_a_record_the_metadata_goes() -> None:
    files: dict[str, str | bytes] = {
        f"{SITE}/a-1.egg-info/PKG-INFO": metadata("a", "1"), f"{SITE}/a.py": "",
        f"{SITE}/b-1.egg-info": metadata("b", "1"),
    }  # fmt: skip
    assert hidden(files, "a", "b") == [".wh.a-1.egg-info", ".wh.b-1.egg-info"]


def test_a_record_that_cannot_be_read_is_named() -> None:
    files = {**installed("a", "1"), f"{SITE}/a-1.dist-info/RECORD": '"' + "x" * 200_000}
    with pytest.raises(IntegrityError, match=r"a-1\.dist-info/RECORD' cannot be read"):
        hidden(files, "a")


def test_folders_keep_the_modes_and_owners_that_they_have() -> None:
    """A layer states the parents of its paths."""
    tree = tree_of({**installed("a", "1", "n/a.py"), f"{SITE}/n/mine": ""})
    tree.add(Entry.directory(f"{SITE}/n", 0o775, 1000, 0))
    entries = uninstalled(tree, ["a"], prefix="opt/venv", minor="3.11", above=OURS)
    assert Entry.directory(f"{SITE}/n", 0o775, 1000, 0) in entries


def test_files_are_hidden_where_links_lead() -> None:
    files = {"opt": "-> var/opt", **installed("a", "1", "a.py", folder=f"var/{SITE}")}
    assert hidden(files, "a") == [f"var/{SITE}/.wh.a-1.dist-info", f"var/{SITE}/.wh.a.py"]
