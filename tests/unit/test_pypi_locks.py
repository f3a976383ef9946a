"""Lock files of other tools: what is chosen of them, where it comes from, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sources import Index

from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI
from taskimage.adapters.pypi.locks.poetryversions import allows
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile, read_requirements
from taskimage.adapters.store import Store
from taskimage.model.errors import BadInput, CannotBuild, NotFound, StaleLock, TaskImageError
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform
from taskimage.model.spec.installoptions import InstallOptions

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
PROJECT = """\
[project]
name = "demo"
version = "1"
requires-python = ">=3.10"
dependencies = ["app>=1", "windows; sys_platform == 'win32'", "old<2; python_version < '3.12'", "old>=2; python_version >= '3.12'"]
[project.optional-dependencies]
more = ["bonus"]
all = ["demo[more]"]
[dependency-groups]
dev = ["tester"]
docs = ["writer"]
[tool.uv]
default-groups = ["dev", "docs"]
"""


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    made.add("app", "1.0", needs=["dep[fast]>=1"])
    made.add("dep", "1.5", needs=["quick; extra == 'fast'"])
    for name in ("quick", "windows", "bonus", "tester", "writer"):
        made.add(name, "1.0")
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_aarch64", "py3-none-any"):
        made.add("old", "1.0", tag=tag)
    made.add("old", "2.0")
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def run_uv(folder: Path, index: Index, *words: str) -> None:
    import uv

    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "UV_CACHE_DIR": str(folder / "cache"),
        "UV_DEFAULT_INDEX": index.url,
    }
    subprocess.run([uv.find_uv_bin(), "-q", *words], cwd=folder, env=environ, check=True, capture_output=True)


def pypi(store: Store, folder: Path, **environ: str) -> PyPI:
    environ = {"HOME": str(folder), "UV_HTTP_RETRIES": "0", **environ}
    return PyPI(store, Http(environ, pauses=()), environ=environ)


def resolve(store: Store, folder: Path, name: str, options: str = "", **more: Any) -> dict[str, WheelPin]:
    given: dict[str, Any] = {"python": "3.11.2", "platform": AMD64, **more}
    environ = given.pop("environ", {})
    asked = Asked(requirements=files(folder, name), options=InstallOptions.parse(options))
    found = pypi(store, folder, **environ).resolve(asked, **given)
    return {pin.name: pin for pin in found.wheels}


def files(folder: Path, name: str) -> tuple[RequirementsFile, ...]:
    return read_requirements(folder / name, name=name)


@pytest.fixture
def uv_lock(folder: Path, index: Index) -> Path:
    (folder / "pyproject.toml").write_text(PROJECT)
    run_uv(folder, index, "lock")
    return folder / "uv.lock"


BASIC = {"app", "dep", "quick", "old", "writer"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", BASIC),
        ("--extra more", BASIC | {"bonus"}),
        ("--extra all", BASIC | {"bonus"}),
        ("--all-extras --group dev", BASIC | {"bonus", "tester"}),
        ("--no-default-groups", BASIC - {"writer"}),
        ("--only-group docs", {"writer"}),
    ],
)
def test_of_a_uv_lock_is_installed_what_uv_sync_would(
    store: Store, folder: Path, uv_lock: Path, options: str, expected: set[str]
) -> None:
    """Without the development group and the project itself, as flytekit asks it."""
    assert set(resolve(store, folder, uv_lock.name, options)) == expected


@pytest.mark.parametrize(
    ("more", "file"),
    [
        ({}, "old-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"),
        ({"platform": ARM64}, "old-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"),
        ({"python": "3.10.4"}, "old-1.0-py3-none-any.whl"),
        ({"python": "3.12.1"}, "old-2.0-py3-none-any.whl"),
    ],
)
def test_versions_and_files_are_chosen_for_the_target(
    store: Store, folder: Path, uv_lock: Path, more: dict[str, Any], file: str
) -> None:
    assert resolve(store, folder, uv_lock.name, **more)["old"].file == file


def test_a_lock_is_not_resolved_again(store: Store, folder: Path, index: Index, uv_lock: Path) -> None:
    """No page of the index is asked: addresses, digests and sizes are the lock's."""
    index.add("app", "2.0")
    index.asked.clear()
    pins = resolve(store, folder, uv_lock.name)
    assert pins["app"].version == "1.0"
    assert [path for path in index.asked if path.startswith("/simple")] == []
    pypi(store, folder).fetch(
        tuple(pins.values()), Asked(requirements=files(folder, uv_lock.name)), moved=lambda _: None
    )
    assert all(store.input_path(pin.digest).exists() for pin in pins.values())


def test_another_machine_fetches_by_the_lock_too(
    folder: Path, store: Store, index: Index, uv_lock: Path, tmp_path: Path
) -> None:
    pins = resolve(store, folder, uv_lock.name)
    assert {pin.index for pin in pins.values()} == {"requirements-1"}
    fresh = Store(tmp_path / "fresh")
    index.asked.clear()
    pypi(fresh, folder).fetch(
        tuple(pins.values()), Asked(requirements=files(folder, uv_lock.name)), moved=lambda _: None
    )
    assert [path for path in index.asked if path.startswith("/simple")] == []


def test_an_index_that_is_known_here_keeps_its_name(
    store: Store, folder: Path, index: Index, uv_lock: Path
) -> None:
    environ = {"UV_DEFAULT_INDEX": index.url + "/"}
    pins = resolve(store, folder, uv_lock.name, environ=environ)
    assert {pin.index for pin in pins.values()} == {"pypi"}


def test_a_uv_lock_that_is_stale_says_what_changed(store: Store, folder: Path, uv_lock: Path) -> None:
    text = PROJECT.replace("app>=1", "app>=1.0,<9").replace('"writer"', '"writer", "more>1"')
    (folder / "pyproject.toml").write_text(text)
    with pytest.raises(StaleLock, match=r"uv\.lock no longer says what its project wants") as caught:
        resolve(store, folder, uv_lock.name)
    assert caught.value.hint == "run `uv lock`"
    assert caught.value.changes == (
        "'app<9,>=1' is wanted and not locked",
        "'more>1 of group docs' is wanted and not locked",
        "'app>=1' is locked and no longer wanted",
    )


def test_what_is_written_otherwise_is_not_stale(store: Store, folder: Path, uv_lock: Path) -> None:
    text = PROJECT.replace('"app>=1"', '"App >= 1.0"') + "[tool.ruff]\nline-length = 80\n"
    (folder / "pyproject.toml").write_text(text)
    assert "app" in resolve(store, folder, uv_lock.name)


@pytest.mark.parametrize(
    ("options", "python", "error", "says"),
    [
        ("--extra none", "3.11.2", BadInput, "wants the extra 'none', and the project has 'all', 'more'"),
        ("--group none", "3.11.2", BadInput, "wants the group 'none', and the project has 'dev', 'docs'"),
        ("", "3.9.2", CannotBuild, "wants Python >=3.10; the image has 3.9.2"),
    ],
)
def test_what_a_lock_does_not_have_is_named(  # noqa: PLR0917 - a table
    store: Store,
    folder: Path,
    uv_lock: Path,
    options: str,
    python: str,
    error: type[TaskImageError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        resolve(store, folder, uv_lock.name, options, python=python)


@pytest.mark.parametrize(
    "source",
    ['git = "https://h/r?rev=1#abc"', 'editable = "../x"', 'path = "x.whl"', 'url = "https://h/x.tar.gz"'],
)
def test_sources_that_are_no_index_are_named_with_what_to_do(store: Store, folder: Path, source: str) -> None:
    (folder / "pyproject.toml").write_text('[project]\nname = "demo"\nversion = "1"\ndependencies = ["x"]\n')
    (folder / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.10"\n'
        '[[package]]\nname = "demo"\nsource = { virtual = "." }\ndependencies = [{ name = "x" }]\n'
        '[package.metadata]\nrequires-dist = [{ name = "x" }]\n'
        f'[[package]]\nname = "x"\nversion = "1"\nsource = {{ {source} }}\n'
    )
    with pytest.raises(CannotBuild, match="'x' is locked from a") as caught:
        resolve(store, folder, "uv.lock")
    assert "publish x as a wheel" in (caught.value.hint or "")


def test_a_package_without_a_wheel_is_named(store: Store, folder: Path, uv_lock: Path) -> None:
    text = uv_lock.read_text()
    start = text.index("wheels = [", text.index('name = "quick"\nversion'))
    uv_lock.write_text(text[:start] + text[text.index("]", start) + 1 :])
    with pytest.raises(CannotBuild, match=r"no wheel of 'quick==1\.0' for Python 3\.11\.2 on linux/amd64"):
        resolve(store, folder, uv_lock.name)


def test_a_pylock_is_chosen_from_by_its_markers(
    store: Store, folder: Path, index: Index, uv_lock: Path
) -> None:
    run_uv(
        folder,
        index,
        "export",
        "--frozen",
        "--no-dev",
        "--no-emit-project",
        "--format",
        "pylock.toml",
        "-o",
        "pylock.some.toml",
    )
    assert resolve(store, folder, "pylock.some.toml") == resolve(store, folder, uv_lock.name)
    later = resolve(store, folder, "pylock.some.toml", python="3.12.1")
    assert later["old"].version == "2.0"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("uv.lock", "version = 2", "version is 2; version 1 of a uv.lock is read"),
        ("uv.lock", "= 3", "not TOML"),
        ("uv.lock", "version = 1\n[[package]]\nversion = '1'", "not a uv.lock: 'source' is missing"),
        ("poetry.lock", "[metadata]\nlock-version = '9.0'", "lock-version is '9.0'; 1.1, 2.0, 2.1 are read"),
        ("pylock.toml", "lock-version = '1.0'", "not a pylock.toml"),
    ],
)
def test_a_lock_that_cannot_be_read_says_why(
    store: Store, folder: Path, name: str, text: str, says: str
) -> None:
    (folder / name).write_text(text)
    (folder / "pyproject.toml").write_text("")
    with pytest.raises(BadInput, match=says) as caught:
        resolve(store, folder, name)
    assert name in str(caught.value)


def test_a_lock_needs_its_project(store: Store, folder: Path) -> None:
    (folder / "uv.lock").write_text("version = 1")
    with pytest.raises(NotFound, match=r"there is no pyproject\.toml beside uv\.lock"):
        resolve(store, folder, "uv.lock")


# -- poetry --------------------------------------------------------------------------------------------------

POETRY_1 = {
    "name": "demo",
    "dependencies": {
        "python": "^3.10",
        "App": "^1.0",
        "windows": {"version": "*", "markers": "sys_platform == 'win32'"},
        "old": [{"version": "<2", "python": "<3.12"}, {"version": "^2.0", "python": ">=3.12"}],
        "bonus": {"version": "*", "optional": True},
    },
    "extras": {"more": ["bonus"]},
    "group": {
        "dev": {"dependencies": {"tester": "*"}},
        "docs": {"optional": True, "dependencies": {"writer": "*"}},
    },
}


def poetry(folder: Path, index: Index, version: str) -> None:
    """A project, and its lock as a poetry that writes lock-version ``version`` has it."""
    poetry_2 = version == "2.1"
    content: dict[str, Any] = {
        name: POETRY_1.get(name) for name in ("dependencies", "source", "extras", "dev-dependencies", "group")
    }
    metadata: dict[str, Any] = {
        "lock-version": version,
        "python-versions": "^3.10",
        "content-hash": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
    }
    said: dict[str, dict[str, Any]] = {
        "app": {"dependencies": {"dep": {"version": ">=1", "extras": ["fast"]}}},
        "dep": {"dependencies": {"quick": {"version": "*", "optional": True}}, "extras": {"fast": ["quick"]}},
        "windows": {"markers": 'sys_platform == "win32"'},
        "bonus": {"markers": 'extra == "more"', "optional": True},
        "tester": {"groups": ["dev"]}, "writer": {"groups": ["docs"]},
    }  # fmt: skip
    entries = []
    by_name: dict[str, list[dict[str, str]]] = {}
    for file, body in index.files.items():
        if file.endswith(".whl"):
            name, number = file.split("-")[:2]
            by_name.setdefault(f"{name.replace('_', '-')} {number}", []).append(
                {"file": file, "hash": f"sha256:{hashlib.sha256(body).hexdigest()}"}
            )
    for key, listed in by_name.items():
        name, number = key.split()
        entry: dict[str, Any] = {
            "name": name,
            "version": number,
            "optional": False,
            "python-versions": ">=3.8",
            **said.get(name, {}),
        }
        entry["source"] = {"type": "legacy", "url": index.url, "reference": "corp"}
        if poetry_2:
            entry.setdefault("groups", ["main"])
            if name == "old":
                entry["markers"] = {"main": f'python_version {"<" if number == "1.0" else ">="} "3.12"'}
        else:
            entry = {key: value for key, value in entry.items() if key not in {"groups", "markers"}}
        if version == "1.1":
            metadata.setdefault("files", {}).setdefault(name, []).extend(
                one for one in listed if one not in metadata.get("files", {}).get(name, [])
            )
        else:
            entry["files"] = listed
        entries.append(entry)
    (folder / "poetry.lock").write_text(
        toml({"package": entries, "extras": {"more": ["bonus"]}, "metadata": metadata})
    )
    (folder / "pyproject.toml").write_text(toml({"tool": {"poetry": POETRY_1}}))


def toml(document: dict[str, Any]) -> str:
    """A document in inline tables."""

    def value(it: Any) -> str:
        if isinstance(it, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {value(one)}" for key, one in it.items()) + "}"
        if isinstance(it, list):
            return "[" + ", ".join(map(value, it)) + "]"
        return json.dumps(it)

    return "".join(f"{key} = {value(it)}\n" for key, it in document.items())


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"app", "dep", "quick", "old", "tester"}),
        ("--extras more", {"app", "dep", "quick", "old", "tester", "bonus"}),
        ("--with docs --without dev", {"app", "dep", "quick", "old", "writer"}),
        ("--only main", {"app", "dep", "quick", "old"}),
        ("--only main --extras more", {"app", "dep", "quick", "old", "bonus"}),
        ("--only docs --extras more", {"writer"}),
    ],
)
def test_of_a_poetry_lock_is_installed_what_poetry_install_would(  # noqa: PLR0917 - a table
    store: Store, folder: Path, index: Index, version: str, options: str, expected: set[str]
) -> None:
    """Every group that is not optional, as flytekit asks it; files are found on the index by name and digest."""
    poetry(folder, index, version)
    pins = resolve(store, folder, "poetry.lock", options)
    assert set(pins) == expected
    assert pins.get("old", pins[min(pins)]).size > 0
    pypi(store, folder).fetch(
        tuple(pins.values()), Asked(requirements=files(folder, "poetry.lock")), moved=lambda _: None
    )


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize(("python", "old"), [("3.11.2", "1.0"), ("3.12.1", "2.0")])
def test_of_two_versions_the_one_for_the_target_is_chosen(  # noqa: PLR0917 - a table
    store: Store, folder: Path, index: Index, version: str, python: str, old: str
) -> None:
    poetry(folder, index, version)
    assert resolve(store, folder, "poetry.lock", python=python)["old"].version == old


def test_files_may_stand_in_the_metadata(store: Store, folder: Path, index: Index) -> None:
    """As poetry 1.1 wrote it: files of all versions of a package are in one list."""
    poetry(folder, index, "1.1")
    assert set(resolve(store, folder, "poetry.lock", "--only main")) == {"app", "dep", "quick", "old"}


def test_a_poetry_lock_that_is_stale_is_refused(store: Store, folder: Path, index: Index) -> None:
    poetry(folder, index, "2.0")
    text = (folder / "pyproject.toml").read_text().replace("^1.0", "^1.1")
    (folder / "pyproject.toml").write_text(text)
    with pytest.raises(StaleLock, match=r"poetry\.lock no longer says what its project wants") as caught:
        resolve(store, folder, "poetry.lock")
    assert caught.value.hint == "run `poetry lock`"


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        ("*", ["0", "9"], []),
        ("^1.2.3", ["1.2.3", "1.9"], ["1.2.2", "2.0"]),
        ("^0.2.3", ["0.2.9"], ["0.3"]),
        ("^0.0", ["0.0.9"], ["0.1"]),
        ("~1.2", ["1.2.9"], ["1.3"]),
        ("~1", ["1.9"], ["2"]),
        (">=1,<2 || >3", ["1.5", "4"], ["2.5"]),
        (">=1 <2", ["1.5"], ["2"]),
        ("1.4", ["1.4", "1.4.0"], ["1.4.1"]),
        ("1.*", ["1.9"], ["2"]),
        ("!=1.5", ["1.4"], ["1.5"]),
    ],
)
def test_poetrys_bounds(constraint: str, inside: list[str], outside: list[str]) -> None:
    assert [version for version in inside if not allows(constraint, version)] == []
    assert [version for version in outside if allows(constraint, version)] == []


# -- a project without a lock ----------------------------------------------------------------------------------


def test_a_project_asks_for_its_dependencies_and_chosen_parts(
    store: Store, folder: Path, index: Index
) -> None:
    (folder / "pyproject.toml").write_text(PROJECT)
    environ = {"UV_DEFAULT_INDEX": index.url}
    assert set(resolve(store, folder, "pyproject.toml", environ=environ)) == {"app", "dep", "quick", "old"}
    chosen = resolve(store, folder, "pyproject.toml", "--extra all --group docs", environ=environ)
    assert set(chosen) == {"app", "dep", "quick", "old", "bonus", "writer"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[project]\nname = "a"\ndynamic = ["dependencies"]', "dependencies are dynamic"),
        ('[tool.poetry.dependencies]\nnumpy = "^1"', "in poetry's own words"),
        (
            '[project]\nname = "a"\ndependencies = ["numpy"]\n[tool.uv.sources]\nnumpy = { git = "x" }',
            "'numpy' has a source of its own",
        ),
        ("[tool.ruff]", r"no \[project\] table"),
        ('[project]\nname = "a"\ndependencies = ["???"]', "not a requirement"),
    ],
)
def test_a_project_that_says_it_elsewhere_is_refused(
    store: Store, folder: Path, text: str, says: str
) -> None:
    (folder / "pyproject.toml").write_text(text)
    with pytest.raises(TaskImageError, match=says):
        resolve(store, folder, "pyproject.toml")


def test_a_wheel_may_be_wanted_by_its_address(
    store: Store, folder: Path, index: Index, tmp_path: Path
) -> None:
    """In requirements and in packages; another machine finds it by what asks for it."""
    file = index.add("lone", "3.0", needs=["quick"])
    url = f"{index.url.removesuffix('/simple')}/files/{file}"
    (folder / "r.txt").write_text(f"{url}#sha256={hashlib.sha256(index.files[file]).hexdigest()}\n")
    environ = {"UV_DEFAULT_INDEX": index.url}
    pins = resolve(store, folder, "r.txt", environ=environ)
    assert {name: pin.index for name, pin in pins.items()} == {"lone": "url", "quick": "pypi"}
    named = pypi(store, folder, **environ).resolve(
        Asked(packages=[f"lone @ {url}"]), python="3.11.2", platform=AMD64
    )
    assert named.wheels == tuple(pins.values())
    for asked in (Asked(requirements=files(folder, "r.txt")), Asked(packages=[f"lone @ {url}"])):
        fresh = Store(tmp_path / f"fresh {len(list(tmp_path.iterdir()))}")
        pypi(fresh, folder, **environ).fetch(named.wheels, asked, moved=lambda _: None)
        assert fresh.input_path(pins["lone"].digest).exists()
