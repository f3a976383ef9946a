"""The record of a base's facts: what is written is read again, and what is damaged is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.base import BaseFacts, Distribution, Environment, Interpreter
from taskimage.model.errors import BadInput
from taskimage.model.oci.document import canonical_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers(0, 99)
DISTRIBUTIONS = st.builds(
    Distribution,
    name=TEXT, version=TEXT, location=TEXT, requires=st.tuples(TEXT) | st.just(()), requires_python=TEXT,
)  # fmt: skip
INTERPRETERS = st.builds(
    Interpreter,
    executable=TEXT,
    version=st.builds("3.{}.{}".format, NUMBER, NUMBER),
    distributions=st.lists(DISTRIBUTIONS, max_size=2).map(tuple),
)
FACTS = st.builds(
    BaseFacts,
    os_release=st.dictionaries(TEXT, TEXT, max_size=2),
    glibc=st.none() | st.tuples(NUMBER, NUMBER),
    musl=st.booleans(),
    links=st.dictionaries(TEXT, TEXT, max_size=2),
    interpreters=st.lists(INTERPRETERS, max_size=2).map(tuple),
    environment=st.none() | st.builds(Environment, path=TEXT, executable=TEXT),
    texts=st.dictionaries(TEXT, TEXT, max_size=2),
    keyrings=st.dictionaries(TEXT, st.binary(max_size=20), max_size=2),
)


@given(FACTS)
@settings(max_examples=50)
def test_facts_are_read_as_they_were_written(facts: BaseFacts) -> None:
    assert BaseFacts.from_dict(json.loads(canonical_json(facts.to_dict()))) == facts


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"format": 1}, "base.format is 1"),
        ({"format": None}, "base.format is None"),
        ({"glibc": "two"}, "base.glibc is 'two'; wanted two numbers"),
        ({"glibc": "2.3.4"}, "base.glibc is '2.3.4'"),
        ({"musl": "yes"}, "base.musl is 'yes'"),
        ({"links": []}, "base.links is"),
        ({"environment": {"path": "/opt/venv"}}, "base.environment.executable is None"),
        ({"keyrings": {"k": "no base64"}}, "base.keyrings has 'no base64'"),
        ({"interpreters": [{"executable": "/usr/bin/python3.11"}]}, r"base\.interpreters\[0\]\.version"),
        (
            {"interpreters": [{"executable": "x", "version": "3.11.2", "distributions": [{}]}]},
            r"base\.interpreters\[0\]\.distributions\[0\]\.name",
        ),
    ],
)
def test_a_damaged_record_is_refused_by_the_name_of_its_field(damage: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        BaseFacts.from_dict({**BaseFacts().to_dict(), **damage})


def test_the_minor_version_is_the_first_two_numbers() -> None:
    assert Interpreter(executable="/usr/bin/python3.11", version="3.11.2").minor == "3.11"
