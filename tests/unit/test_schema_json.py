"""The JSON Schema says of a spec what the reader says, and explains it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Holds
from tests.schemas import is_valid

from taskimage.cli import main
from taskimage.model.errors import InvalidSpec
from taskimage.model.spec import FIELDS, ImageSpec
from taskimage.model.spec.builderoptions import SWITCHES, BuilderOptions
from taskimage.model.spec.fieldrules import RULES
from taskimage.model.spec.jsonschema import schema
from taskimage.model.spec.reading import read_spec
from taskimage.model.spec.sentences import FIELDS_SAID, SWITCHES_SAID

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
SCHEMA = schema()

# What the reader says of what JSON Schema cannot say anything about, and of what JSON cannot hold.
ONLY_THE_READER = re.compile(
    r"python_version is '[34]'|python_version is '3\.[12]'|base_image is not an image identifier|comes twice"
    r"|suite is '(bookwrom|Trixie)'|unknown builder 'task-image'"
)
NO_JSON = re.compile(
    "not YAML|cannot be read|may hold|no end|nests|at the top|is empty;.*mapping|[0-9]{4}-[0-9]{2}-"
)


def problems(text: str | bytes) -> list[str]:
    try:
        read_spec(text if isinstance(text, bytes) else text.encode(), path="image.yaml")
    except InvalidSpec as error:
        return [problem.message for problem in error.problems]
    return []


def allowed(document: Any) -> bool:
    return is_valid(document, SCHEMA, SCHEMA)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_every_field_and_switch_has_its_rule_sentence_and_place() -> None:
    assert tuple(RULES) == tuple(FIELDS_SAID) == tuple(SCHEMA["properties"]) == FIELDS
    switches = SCHEMA["properties"]["builder_options"]["properties"]["taskimage"]["properties"]
    assert tuple(SWITCHES) == tuple(SWITCHES_SAID) == tuple(switches) == BuilderOptions.__slots__


def test_defaults_are_those_of_the_values() -> None:
    assert SCHEMA["properties"]["name"]["default"] == ImageSpec().name
    switches = SCHEMA["properties"]["builder_options"]["properties"]["taskimage"]["properties"]
    given = {name: one["default"] for name, one in switches.items()}
    lists: dict[str, Any] = {"waive_scripts": [], "ca_certificates": [], "build_sdists": []}
    assert BuilderOptions.of({"taskimage": given}) == BuilderOptions(**lists)


@pytest.mark.parametrize("name", FIELDS)
def test_examples_of_a_field_are_valid_and_read_without_an_error(name: str) -> None:
    for example in FIELDS_SAID[name].examples:
        document = {name: example} | ({"source_root": "."} if name == "source_copy_mode" else {})
        assert allowed(document)
        assert problems(yaml.safe_dump(document)) == []


@pytest.mark.parametrize("path", sorted((CORPUS / "good").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_read_is_valid(path: Path) -> None:
    assert allowed(yaml.safe_load(path.read_bytes()))


@pytest.mark.parametrize("path", sorted((CORPUS / "bad").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_refused_is_not_valid(path: Path) -> None:
    """Where it is YAML that JSON could hold, and JSON Schema can say what is wrong."""
    found = problems(path.read_bytes())
    if any(NO_JSON.search(message) for message in found):
        return
    said = [message for message in found if not ONLY_THE_READER.search(message)]
    assert allowed(yaml.safe_load(path.read_bytes())) == (not said)


WORDS = st.sampled_from([
    "", " ", "a", "A/b", "a b", "a--b", "a..b", "3.11", "3.11.4", "3", "-x", "a/..", "../a", "/etc", "a..b/c", "linux/amd64",
    "Linux/ARM64/v8, linux/amd64", "windows/amd64", "linux/mips", "a=b", "numpy=1.2", "numpy==1.2", "numpy 2", "x[y] =1",
    "https://x", "localhost:5000", "ghcr.io/org/", "two\nlines", "é", "{spec_hash}-x", "{hash}", "bookworm", "bookwrom",
    "all", "flytekit", "none", "NONE", "Auto", "true",
])  # fmt: skip
SCALARS = WORDS | st.sampled_from([None, True, False, 0, 3.11, 2.7, 12.4, 7])
LISTS = (
    st.lists(WORDS, max_size=2)
    | st.lists(SCALARS, max_size=2)
    | st.lists(st.lists(WORDS, max_size=3), max_size=2)
)
MAPPINGS = st.dictionaries(WORDS, SCALARS | LISTS, max_size=2)
SWITCHES_GIVEN = st.dictionaries(st.sampled_from([*SWITCHES, "bytcode"]), SCALARS | LISTS, max_size=3)
OPTIONS = st.dictionaries(
    st.sampled_from(["taskimage", "envd", "suite"]), SWITCHES_GIVEN | SCALARS, max_size=2
)
VALUES = SCALARS | LISTS | MAPPINGS | OPTIONS
DOCUMENTS = st.recursive(
    st.dictionaries(st.sampled_from([*FIELDS, "pakages"]), VALUES, max_size=4),
    lambda inner: st.fixed_dictionaries({"base_image": inner, "name": st.just("a")}),
    max_leaves=2,
)


def expect_agreement(document: dict[str, Any]) -> None:
    found = problems(yaml.safe_dump(document))
    # Of what the reader alone says, the schema may say a part: that of a text, and not of a number.
    if not found or not all(map(ONLY_THE_READER.search, found)):
        assert allowed(document) == (not found)


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_valid_by_the_schema_is_valid_by_the_reader(document: dict[str, Any]) -> None:
    """And the other way round, but for what JSON Schema cannot say."""
    expect_agreement(document)


@pytest.mark.parametrize("name", FIELDS)
def test_any_value_of_a_field_is_valid_by_both_or_by_none(name: str) -> None:
    """Each field by itself, so that none is left to chance."""

    @settings(max_examples=25, deadline=None)
    @given(VALUES)
    def agree(value: Any) -> None:
        expect_agreement({name: value})

    agree()


def cell(value: Any) -> str:
    return f"`{json.dumps(value)}`" if isinstance(value, bool) else f"`{value}`" if value else "none"


def test_the_tables_of_the_documentation_are_the_schema_s(holds: Holds) -> None:
    page = ROOT / "docs" / "yaml-and-lock.md"
    text = page.read_text(encoding="utf-8")
    properties = SCHEMA["properties"]
    switches = properties["builder_options"]["properties"]["taskimage"]["properties"]
    tables = {
        "| field | what it is |\n| --- | --- |\n": [
            f"| `{name}` | {one['description']} |\n" for name, one in properties.items()
        ],
        "| option | default | what it decides |\n| --- | --- | --- |\n": [
            f"| `{name}` | {cell(one['default'])} | {one['description']} |\n"
            for name, one in switches.items()
        ],
    }
    for head, rows in tables.items():
        before, found, after = text.partition(head)
        assert found
        text = before + head + "".join(rows) + re.sub(r"\A(\|.*\n)*", "", after)
    holds(page, text)
