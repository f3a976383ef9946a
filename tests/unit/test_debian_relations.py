"""Relations between packages are read as they are written."""

from __future__ import annotations

import pytest

from taskimage.adapters.debian.relations import Relation, parse_relations
from taskimage.model.errors import BadInput

FIELDS = [
    ("", []),
    (" , ", []),
    ("libc6", [["libc6"]]),
    ("libc6 (>= 2.36)", [["libc6 (>= 2.36)"]]),
    ("libc6(>=2.36),zlib1g( << 2:1 )", [["libc6 (>= 2.36)"], ["zlib1g (<< 2:1)"]]),
    ("default-mta | mail-transport-agent, adduser", [["default-mta", "mail-transport-agent"], ["adduser"]]),
    ("python3:any (>= 3.11~)", [["python3:any (>= 3.11~)"]]),
    ("g++, libstdc++-12-dev,\n r-base", [["g++"], ["libstdc++-12-dev"], ["r-base"]]),
    ("a [amd64 arm64], b [!amd64], c [linux-any], d [any-arm64]", [["a"], ["c"]]),
    ("a [i386] | b", [["b"]]),
    ("a <!nocheck>, b <cross>, c <!nocheck !nodoc> <stage1>, d <stage1 !nodoc>", [["a"], ["c"]]),
]
WRONG = [
    "a b",
    "a (1.0)",
    "a (>= )",
    "a (>= 1.0",
    "a (=> 1.0)",
    "a (>= 1_0)",
    "-a",
    "a | | b",
    "a; b",
    "a [amd64",
]


@pytest.mark.parametrize(("field", "clauses"), FIELDS)
def test_a_field_is_clauses_of_alternatives_for_the_architecture(
    field: str, clauses: list[list[str]]
) -> None:
    parsed = parse_relations(field, "amd64")
    assert [[str(relation) for relation in clause] for clause in parsed] == clauses


@pytest.mark.parametrize("field", WRONG)
def test_what_is_no_relation_is_refused(field: str) -> None:
    with pytest.raises(BadInput):
        parse_relations(field, "amd64")


def test_a_relation_without_version_allows_every_version() -> None:
    assert Relation("a").allows("0~")
    assert not Relation("a", ">=", "1").allows("0~")
