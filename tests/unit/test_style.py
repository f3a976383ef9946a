"""What every module of the package has in common, as far as the linters do not see to it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "taskimage").rglob("*.py"))


def title(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=title)
def test_a_module_says_in_a_line_what_it_is_and_holds_one_idea(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with what it is"
    lines = len(text.splitlines())
    assert lines <= 350, "a module of more than 350 lines holds two ideas"


@pytest.mark.parametrize("path", SOURCES, ids=title)
def test_the_public_names_of_a_module_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = {
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    }
    defined = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public
    ]
    assert [node.name for node in defined if not ast.get_docstring(node)] == []
