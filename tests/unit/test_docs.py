"""Every Python example, in the documentation's pages and in docstrings, does what it shows."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import taskimage
from taskimage.testing import Registry

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """The language, the text and the first line of each fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(found[1], found[2], text.count("\n", 0, found.start(2))) for found in FENCE.finditer(text)]


def run(test: doctest.DocTest) -> None:
    """Run the examples; a failure shows what was written and what came."""
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.FAIL_FAST)
    assert not runner.run(test, out=said.append, clear_globs=False).failed, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_page_do_what_they_show(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one session from top to bottom, as somebody new, beside the files that the page shows under ``# NAME``."""
    monkeypatch.chdir(tmp_path)
    # A copy, so that what a page sets is gone after it.
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    session: dict[str, object] = {"__name__": page.stem}
    try:
        for language, text, line in blocks(page):
            if named := re.match(r"# (\S+\.(?:yaml|toml))\n", text):
                file = Path(named[1].replace("~", str(tmp_path)))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            elif language == "pycon" and "import flyte" not in text:  # those run beside flytekit, or flyte
                test = doctest.DocTestParser().get_doctest(text, session, page.name, str(page), line)
                assert test.examples, f"{page.name}:{line} has no example"
                session = test.globs
                run(test)
    finally:
        for left in session.values():
            if isinstance(left, Registry):
                left.close()


def test_no_example_is_left_out() -> None:
    """Python is written as a session, whose results are shown, or not at all."""
    assert PAGES
    languages = {language for page in PAGES for language, _, _ in blocks(page)}
    assert languages <= {"console", "diff", "pycon", "text", "toml", "yaml"}


def test_every_spec_of_the_examples_is_listed_with_what_it_shows() -> None:
    specs = sorted((ROOT / "examples" / "specs").glob("*.yaml"))
    rows = [
        f"| `{path.stem}` | {path.read_text('utf-8').splitlines()[0].removeprefix('# ')} |" for path in specs
    ]
    assert "\n".join(rows) in (ROOT / "docs" / "yaml-and-lock.md").read_text("utf-8")


def test_the_first_page_leads_to_every_other() -> None:
    """And the menu has all of them."""
    linked = set(re.findall(r"\]\(([\w-]+\.md)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    listed = re.findall(r"^  - (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert linked | {"index.md"} == set(listed) == {page.name for page in PAGES}


def shown_commands(page: Path) -> Iterator[list[str]]:
    """Each `taskimage` command of a page, without that word: at a prompt, in a step of a CI job, in a container."""
    for language, text, _ in blocks(page):
        if language == "console":
            lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
        elif language == "yaml":
            lines = [line for value in _commands(yaml.safe_load(text)) for line in value.splitlines()]
        else:
            continue
        for line in lines:
            found = re.search(r"(?:^|[|&;] *)taskimage ([^|&;<>]*)", line)
            if found:
                yield shlex.split(found[1], comments=True)


def _commands(document: Any) -> Iterator[str]:
    """What a document of YAML has run: `run` of GitHub's steps, `command` of Kubernetes's containers."""
    if isinstance(document, list):
        for part in document:
            yield from _commands(part)
    elif isinstance(document, dict):
        if isinstance(run := document.get("run"), str):
            yield run
        if isinstance(command := document.get("command"), list):
            yield shlex.join(command)
        for value in document.values():
            yield from _commands(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_are_ones_that_there_are(page: Path) -> None:
    """With the options and arguments that they have."""
    for command, *words in shown_commands(page):
        own = words[: words.index("--")] if "--" in words else words
        importlib.import_module(f"taskimage.cli.{command}").parser().parse(own)


@pytest.mark.parametrize("name", ["from-docker.md", "in-the-cluster.md"])
def test_the_guides_show_commands(name: str) -> None:
    assert len(list(shown_commands(ROOT / "docs" / name))) >= 2


def test_every_chosen_deviation_has_an_example() -> None:
    """A heading with a number is a deviation, and what it says is shown to be so."""
    text = (ROOT / "docs" / "from-flytekit.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [int(section.split(".")[0]) for section in sections] == list(range(1, 10))
    assert [section.split("\n")[0] for section in sections if "\n>>> " not in section] == []


def with_examples() -> list[str]:
    """The modules of the package that have an example in a docstring."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(ROOT / "src").with_suffix("").parts
            found.append(".".join(part for part in parts if part != "__init__"))
    return found


@pytest.mark.parametrize("module", with_examples())
def test_examples_of_docstrings_do_what_they_show(module: str) -> None:
    imported: ModuleType = importlib.import_module(module)
    tests = [test for test in doctest.DocTestFinder().find(imported) if test.examples]
    assert tests
    for test in tests:
        run(test)


@pytest.mark.parametrize("name", sorted(set(taskimage.__all__) - {"__version__"}))
def test_public_names_and_their_members_are_documented(name: str) -> None:
    """What a member is comes from the class that defines it, ours or a base of ours."""
    value = getattr(taskimage, name)
    assert inspect.getdoc(value)
    members = inspect.getmembers(value) if inspect.isclass(value) else []
    undocumented = [
        member
        for member, what in members
        if not member.startswith("_")
        and (inspect.isroutine(what) or isinstance(what, property))
        and (getattr(what, "__module__", None) or "taskimage").startswith("taskimage")
        and not inspect.getdoc(what)
    ]
    assert undocumented == []


def test_every_public_name_is_in_the_reference() -> None:
    """By itself, or with its module."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^::: (\S+)", text, re.MULTILINE))
    homes = {
        name: {f"taskimage.{name}", getattr(taskimage, name).__module__}
        for name in set(taskimage.__all__) - {"__version__"}
    }
    assert {name for name, places in homes.items() if not places & listed} == set()
