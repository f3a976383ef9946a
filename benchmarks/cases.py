"""What is measured, in the order in which it happens, and what of it is chosen."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["CASES", "SCENES", "Case", "Scene", "chosen", "needed", "titled", "turns"]


@dataclass(frozen=True, slots=True)
class Case:
    """Something that is measured.

    Attributes:
        name: What it is called on the command line.
        title: What it is called in a table.
        against: The case of a peer that is the same as this one, where that is not its own.
        fresh_machine: Whether the caches of this machine are emptied before it.
    """

    name: str
    title: str
    against: str = ""
    fresh_machine: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Cases that happen one after the other, with one registry, which is empty at first.

    Attributes:
        most: In how many turns it is played at most: what takes minutes is not repeated.
    """

    cases: Sequence[Case]
    most: int = 99


COLD = Case("cold", "cold: nothing but package sources", fresh_machine=True)
NOTHING = Case("nothing", "nothing changed")
EDITED = Case("edited", "one source file edited")
SCENES = (
    Scene((
        COLD,
        NOTHING,
        EDITED,
        Case("added", "one small package added"),
        Case("bumped", "one big package bumped"),
        Case("locked", "cold machine, lock, warm registry", fresh_machine=True),
    )),
    Scene((Case("plain", "cold, without bytecode", fresh_machine=True),)),
    Scene((
        # The peers stand on a base image anyway.
        Case("base-cold", "on a base image: cold", against="cold", fresh_machine=True),
        Case("base-nothing", "on a base image: nothing changed", against="nothing"),
        Case("base-edited", "on a base image: one source file edited", against="edited"),
    )),
    Scene((Case("fleet", "20 specs that share most packages", fresh_machine=True),), most=1),
    Scene((
        Case("push", "moving it: layout to empty registry", fresh_machine=True),
        Case("pull", "moving it: registry to layout", fresh_machine=True),
        Case("copy", "moving it: registry to registry", fresh_machine=True),
    )),
    Scene((Case("big", "synthetic wheels", fresh_machine=True),), most=1),
)  # fmt: skip
CASES = {case.name: case for scene in SCENES for case in scene.cases}


def chosen(names: Sequence[str], *, big: bool) -> frozenset[str]:
    """The cases that are measured where ``names`` are asked for; without any, all but the one that fills a disk."""
    wanted = set(names or (name for name in CASES if name != "big"))
    return frozenset(wanted | {"big"} if big else wanted)


def turns(wanted: Container[str], offered: Container[str], run: int, most: int) -> Iterator[Sequence[Case]]:
    """What a peer plays in the turn numbered ``run``: of each scene what it offers, up to the last case that is wanted.

    ``most`` is how many turns the peer takes at most.
    """
    for scene in SCENES:
        cases = [case for case in scene.cases if case.name in offered]
        while cases and cases[-1].name not in wanted:
            cases.pop()
        if cases and run < min(scene.most, most):
            yield cases


def needed(wanted: Container[str]) -> frozenset[str]:
    """The cases that are played so that those that are wanted can be."""
    return frozenset(case.name for cases in turns(wanted, CASES, 0, 1) for case in cases)


def titled(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The names and titles of cases, in the order of tables."""
    there = set(names)
    return ((name, case.title) for name, case in CASES.items() if name in there)
