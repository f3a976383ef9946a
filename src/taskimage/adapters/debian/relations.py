"""What packages say of each other: the fields of policy chapter 7."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass
from taskimage.transform.deb.version import OPERATORS, sort_key

__all__ = ["NAME", "Clause", "Relation", "parse_relations"]

NAME = r"[A-Za-z0-9][A-Za-z0-9+.-]*"
"""The names of packages (5.6.1) as a regular expression; capitals are read, though no name has any."""

_RELATION = re.compile(
    rf"""\s* (?P<name>{NAME}) (?: :(?P<qualifier>[a-z0-9-]+) )? \s*
    (?: \( \s* (?P<operator><<|<=|=|>=|>>|<|>) \s* (?P<version>[^\s()]+) \s* \) )? \s*
    (?: \[ (?P<architectures>[^\[\]]*) \] )? \s*
    (?P<profiles> (?: < [^<>]* > \s* )* ) \Z""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Relation:
    """One package, real or virtual, and the versions of it that are meant."""

    name: str
    operator: str = ""
    version: str = ""
    qualifier: str = ""
    architectures: tuple[str, ...] = ()
    profiles: tuple[tuple[str, ...], ...] = ()

    def allows(self, version: str) -> bool:
        """Whether ``version`` is one that is meant."""
        return not self.operator or OPERATORS[self.operator](sort_key(version), sort_key(self.version))

    def applies(self, architecture: str) -> bool:
        """Whether the relation counts on ``architecture``, where no build profile is active (7.1)."""
        if self.architectures:
            negated = self.architectures[0].startswith("!")
            named = any(_is_within(architecture, item.lstrip("!")) for item in self.architectures)
            if named == negated:
                return False
        return not self.profiles or any(
            all(term.startswith("!") for term in formula) for formula in self.profiles
        )

    def __str__(self) -> str:
        qualifier = f":{self.qualifier}" if self.qualifier else ""
        return f"{self.name}{qualifier}" + (f" ({self.operator} {self.version})" if self.operator else "")


Clause: TypeAlias = tuple[Relation, ...]
"""Alternatives, the preferred one first: any of them will do."""


@lru_cache(maxsize=1 << 14)
def parse_relations(field: str, architecture: str) -> tuple[Clause, ...]:
    """The clauses of a field such as Depends that count on ``architecture``. Raises BadInput.

    >>> [[str(relation) for relation in clause] for clause in parse_relations("a (>= 2) | b, c:any", "amd64")]
    [['a (>= 2)', 'b'], ['c:any']]
    """
    return tuple(_clauses(field, architecture))


def _clauses(field: str, architecture: str) -> Iterator[Clause]:
    for text in field.split(","):
        if text.strip():
            alternatives = (_relation(alternative) for alternative in text.split("|"))
            if clause := tuple(item for item in alternatives if item.applies(architecture)):
                yield clause


def _relation(text: str) -> Relation:
    match = _RELATION.match(text)
    if match is None:
        raise BadInput(f"not a relation between packages: {text.strip()[:200]!r}; wanted name (>= version)")
    if match["version"]:
        sort_key(match["version"])
    return Relation(
        match["name"],
        match["operator"] or "",
        match["version"] or "",
        match["qualifier"] or "",
        tuple((match["architectures"] or "").split()),
        tuple(tuple(formula.split()) for formula in re.findall(r"<([^<>]*)>", match["profiles"])),
    )


def _is_within(architecture: str, wildcard: str) -> bool:
    # Policy 11.1: every architecture here runs Linux, and is named by its processor alone.
    return wildcard in ("any", "linux-any", architecture, f"any-{architecture}", f"linux-{architecture}")
