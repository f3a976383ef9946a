"""Imports point down the floors only, in no circle, and cost little: the architecture, as far as a test can tell."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("model", "transform", "adapters", "verbs", "faces")
FACES = ("cli", "flyte", "testing")

# The API of these values says that they look at the outside; each does it inside of one function.
EXCEPTIONS = {
    ("taskimage.model.config", "taskimage.verbs.flyteconfig"),
    ("taskimage.model.image", "taskimage.adapters.settings"),
    ("taskimage.model.image", "taskimage.verbs.lookup"),
    ("taskimage.model.image", "taskimage.verbs.namesake"),
    ("taskimage.model.image", "taskimage.verbs.pin"),
    ("taskimage.model.spec", "taskimage.adapters.specfiles"),
    ("taskimage.model.spec", "taskimage.adapters.thispython"),
}

# A module that another one builds on may ask it for what is seldom wanted, when that is wanted.
BACK = {
    ("taskimage.model.codec", "taskimage.model.schema"),
    ("taskimage.model.reference", "taskimage.model.misreference"),
    ("taskimage.model.spec", "taskimage.model.spec.tag"),
    ("taskimage.verbs.lock", "taskimage.verbs.below"),
}

# Floors 0 and 1 run with network, clock, other programs and temporary files gone.
OUTSIDE = {
    "fcntl", "http", "multiprocessing", "platformdirs", "random", "secrets", "shutil", "socket", "sqlite3",
    "ssl", "subprocess", "tempfile", "time", "urllib3", "uv",
}  # fmt: skip

# What extras bring (`taskimage[conda]`), and what is there when it loads us as a plug-in.
EXTRAS = {"rattler"}
HOSTS = {"click", "flyte", "flytekit"}

# What no one should pay for who only handles identifiers.
HEAVY = {
    "asyncio", "deflate", "installer", "isal", "lzma", "marshmallow", "packaging", "platformdirs", "pysequoia",
    "rich", "ssl", "urllib3", "uv", "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One import statement's effect: ``module`` uses ``target``, at once or inside of a function."""

    module: str
    target: str
    lazy: bool


def name_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in (ROOT / "src" / "taskimage").rglob("*.py")}


def statements(node: ast.AST, *, lazy: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The import statements below ``node`` that run, and whether they wait for a call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from statements(child, lazy=lazy or inside)


def imports() -> Iterator[Import]:
    """Every import of the package."""
    for module, path in SOURCES.items():
        for statement, lazy in statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.Import):
                targets = [alias.name for alias in statement.names]
            else:
                assert statement.level == 0, f"{module} has a relative import"
                origin = statement.module or ""
                names = [f"{origin}.{alias.name}" for alias in statement.names]
                targets = [name if name in SOURCES else origin for name in names]
            yield from (Import(module, target, lazy) for target in dict.fromkeys(targets))


ALL = list(imports())
OWN = [one for one in ALL if one.target.split(".")[0] == "taskimage"]
FOREIGN = [one for one in ALL if one.target.split(".")[0] != "taskimage"]


def floor(module: str) -> int:
    """The floor on which a module stands; the package itself and its main stand above all."""
    part = module.split(".")[1] if "." in module else ""
    part = "faces" if part in FACES else part
    return FLOORS.index(part) if part in FLOORS else len(FLOORS)


def test_every_module_stands_on_a_floor() -> None:
    above = {module for module in SOURCES if floor(module) == len(FLOORS)}
    assert above == {"taskimage", "taskimage.__main__"}


def test_imports_point_down_only() -> None:
    # Whoever asks for the package itself asks for its names, which are resolved from anywhere.
    upward = {
        (one.module, one.target)
        for one in OWN
        if one.target != "taskimage" and floor(one.target) > floor(one.module)
    }
    assert upward == EXCEPTIONS


def test_the_exceptions_wait_for_a_call() -> None:
    assert {one for one in OWN if (one.module, one.target) in EXCEPTIONS | BACK and not one.lazy} == set()


def test_no_module_imports_itself_over_others() -> None:
    graph: dict[str, set[str]] = {}
    for one in OWN:
        if (one.module, one.target) not in EXCEPTIONS | BACK:
            graph.setdefault(one.module, set()).add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_values_and_transforms_know_nothing_of_the_outside() -> None:
    known = {
        (one.module, one.target)
        for one in FOREIGN
        if floor(one.module) <= 1 and {one.target, one.target.split(".")[0]} & OUTSIDE
    }
    assert known == set()


def test_everything_that_is_imported_is_a_declared_dependency() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert listed is not None
    declared = set(re.findall(r'^\s+"([\w-]+)', listed[1], re.MULTILINE))
    needed = (
        {one.target.split(".")[0] for one in FOREIGN} - sys.stdlib_module_names - {"tomllib"} - EXTRAS - HOSTS
    )
    assert {{"yaml": "pyyaml"}.get(name, name) for name in needed} <= declared


@pytest.mark.parametrize("code", ["from taskimage import Image, Reference", "import taskimage.cli"])
def test_what_everybody_imports_is_light(code: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert HEAVY & set(printed.stdout.split()) == set()
