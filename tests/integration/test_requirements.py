"""Lock files that uv makes of real packages, held against what uv itself and pip would install of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import uv
from packaging.requirements import Requirement

from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI
from taskimage.adapters.pypi.target import Target
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.specfiles.requirementsfile import read_requirements
from taskimage.adapters.store import Store
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform
from taskimage.model.spec.installoptions import InstallOptions

pytestmark = pytest.mark.integration

PROJECT = """\
[project]
name = "demo"
version = "0.1"
requires-python = ">=3.11"
dependencies = [
    "click>=8,<9", "colorama; sys_platform == 'win32'", "uvicorn[standard]", "pandas",
    "numpy<2; python_version < '3.12'", "numpy>=2; python_version >= '3.12'",
]
[project.optional-dependencies]
cli = ["rich>=13"]
old = ["packaging<24"]
new = ["packaging>=24"]
[dependency-groups]
dev = ["pytest"]
docs = [{ include-group = "more" }, "attrs"]
more = ["iniconfig"]
[tool.uv]
conflicts = [[{ extra = "old" }, { extra = "new" }]]
default-groups = ["dev", "docs"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(PROJECT)
    run_uv(folder, "lock")
    return folder


def run_uv(folder: Path, *words: str) -> str:
    environ = {**os.environ, "UV_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        [uv.find_uv_bin(), "-q", *words], cwd=folder, env=environ, check=True, capture_output=True, text=True
    ).stdout


def ours(store: Store, folder: Path, name: str, target: Target, options: str = "") -> dict[str, WheelPin]:
    found = PyPI(store, Http()).resolve(
        Asked(
            requirements=read_requirements(folder / name, name=name), options=InstallOptions.parse(options)
        ),
        python=target.python,
        platform=target.platform,
        glibc=target.glibc,
    )
    return {pin.name: pin for pin in found.wheels}


TARGETS = [
    Target(python, Platform("linux", machine), (2, 36))
    for python, machine in (("3.11.2", "amd64"), ("3.13.1", "amd64"), ("3.12.4", "arm64"))
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize(
    "options", ["", "--extra cli --extra old", "--extra new", "--only-group docs", "--no-default-groups"]
)
def test_a_uv_lock_selects_what_uv_export_does(
    store: Store, project: Path, target: Target, options: str
) -> None:
    """`uv export` writes a marker beside each package, which is true or not for the target."""
    exported = run_uv(
        project, "export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--no-header", "--no-annotate",
        *options.split(),
    )  # fmt: skip
    lines = [Requirement(line.strip()) for line in exported.splitlines() if line.strip()]
    expected = {
        f"{line.name}{line.specifier}"
        for line in lines
        if line.marker is None or line.marker.evaluate(target.environment)
    }
    found = ours(store, project, "uv.lock", target, options)
    assert {f"{pin.name}=={pin.version}" for pin in found.values()} == expected


def test_pip_would_take_the_same_files(store: Store, project: Path, tmp_path: Path) -> None:
    """For another architecture, from the same versions, with the digests that the lock has."""
    target = Target("3.12.4", Platform("linux", "arm64"), (2, 36))
    found = ours(store, project, "uv.lock", target, "--no-default-groups")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in found.values()))
    run_uv(project, "venv", "--seed", "--python", sys.executable, str(tmp_path / "venv"))
    report = subprocess.run(
        [
            str(tmp_path / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
            "--report", "-", "--only-binary", ":all:", "--python-version", "3.12.4", "--target", str(tmp_path / "t"),
            *(word for minor in range(36, 16, -1) for word in ("--platform", f"manylinux_2_{minor}_aarch64")),
            "--platform", "manylinux2014_aarch64", "-r", str(wanted),
        ],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    chosen = {
        one["download_info"]["archive_info"]["hashes"]["sha256"] for one in json.loads(report)["install"]
    }
    assert {pin.digest.hex for pin in found.values()} == chosen


def test_a_pylock_that_uv_exports_means_the_same(store: Store, project: Path) -> None:
    run_uv(
        project,
        "export",
        "--frozen",
        "--no-dev",
        "--no-emit-project",
        "--format",
        "pylock.toml",
        "-o",
        "pylock.toml",
    )
    for target in TARGETS:
        by_pylock, by_uv = (
            ours(store, project, "pylock.toml", target),
            ours(store, project, "uv.lock", target),
        )
        assert {pin.digest for pin in by_pylock.values()} == {pin.digest for pin in by_uv.values()}


def test_what_a_lock_chose_is_fetched_by_its_addresses(store: Store, project: Path) -> None:
    pins = ours(store, project, "uv.lock", TARGETS[0], "--only-group docs")
    files = read_requirements(project / "uv.lock", name="uv.lock")
    PyPI(store, Http()).fetch(tuple(pins.values()), Asked(requirements=files), moved=lambda _: None)
    assert {store.input_path(pin.digest).stat().st_size for pin in pins.values()} == {
        pin.size for pin in pins.values()
    }


POETRY = """\
[project]
name = "demo"
version = "0.1"
requires-python = ">=3.11,<3.14"
dependencies = [
    "click>=8,<9", "colorama; sys_platform == 'win32'", "uvicorn[standard]",
    "numpy<2; python_version < '3.12'", "numpy>=2; python_version >= '3.12'",
]
[project.optional-dependencies]
cli = ["rich>=13"]
[tool.poetry]
package-mode = false
[tool.poetry.group.dev.dependencies]
pytest = "*"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
attrs = "*"
"""


def run_poetry(folder: Path, *words: str) -> str:
    environ = {**os.environ, "POETRY_VIRTUALENVS_CREATE": "false", "POETRY_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        [
            uv.find_uv_bin(), "run", "--quiet", "--no-project", "--python", sys.executable,
            "--with", "poetry==2.5.1", "--with", "poetry-plugin-export==1.10.1", "poetry", "--no-ansi", *words,
        ],
        cwd=folder, env=environ, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def poetry_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poetry")
    (folder / "empty.in").write_text("")
    told = run_uv(folder, "pip", "compile", "--no-config", "--emit-index-url", "empty.in")
    # By its pages alone, which every mirror has.
    index = re.search(r"^--(?:default-index|index-url)[ =](\S+)", told, re.MULTILINE)
    assert index is not None
    source = f'[[tool.poetry.source]]\nname = "pages"\nurl = "{index[1]}"\n'
    (folder / "pyproject.toml").write_text(POETRY + source)
    run_poetry(folder, "lock")
    return folder


@pytest.mark.parametrize(
    ("options", "exported"),
    [
        ("--only main --extras cli", "--only main --extras cli"),
        ("--with docs --without dev", "--with docs"),
    ],
)
def test_a_poetry_lock_selects_what_poetry_exports(
    store: Store, poetry_project: Path, options: str, exported: str
) -> None:
    """A marker stands beside each package, and the digests of the files that it may be."""
    text = run_poetry(poetry_project, "export", *exported.split())
    wanted: dict[str, set[str]] = {}
    for entry in text.replace("\\\n", " ").splitlines():
        line, *hashes = (part.strip() for part in entry.split("--hash=sha256:"))
        if line and not line.startswith("--"):
            wanted[line] = set(hashes)
    for target in (TARGETS[0], TARGETS[-1]):
        expected = {
            f"{one.name}{one.specifier}": hashes
            for line, hashes in wanted.items()
            if (one := Requirement(line)).marker is None or one.marker.evaluate(target.environment)
        }
        found = ours(store, poetry_project, "poetry.lock", target, options)
        assert {f"{pin.name}=={pin.version}" for pin in found.values()} == expected.keys()
        assert all(pin.digest.hex in expected[f"{pin.name}=={pin.version}"] for pin in found.values())
