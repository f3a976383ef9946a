"""What a solution has chosen so far, what that asks for and excludes, and what it changes of a base.

A package of a base may be replaced by its candidate, never go: who is chosen after it can count on that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import field

from taskimage.adapters.debian.index import Package
from taskimage.adapters.debian.relations import Clause, Relation, parse_relations
from taskimage.adapters.debian.universe import Universe, is_met
from taskimage.model.errors import CannotBuild
from taskimage.model.value import dataclass

__all__ = ["State"]


@dataclass(slots=True)
class _Visit:
    """A package whose dependencies are being met: those that are left, and those that have several answers."""

    package: Package
    clauses: Iterator[Clause]
    undecided: list[Clause]

    @classmethod
    def of(cls, package: Package, universe: Universe) -> _Visit:
        return cls(package, iter(parse_relations(package.depends, universe.architecture)), [])


@dataclass(frozen=True, slots=True)
class _Clash:
    """``owner`` excludes ``other``, by a field of that ``kind``."""

    owner: Package
    kind: str
    relation: Relation
    other: Package


@dataclass(slots=True)
class State:
    """What is chosen so far, and what that still asks for and excludes."""

    universe: Universe
    chosen: dict[str, Package] = field(default_factory=dict)
    wanted_by: dict[str, str] = field(default_factory=dict)
    offered: dict[str, tuple[Package, ...]] = field(default_factory=dict)
    excluded: dict[str, tuple[tuple[Package, str, Relation], ...]] = field(default_factory=dict)
    undecided: deque[tuple[Package, Clause]] = field(default_factory=deque)

    def copy(self) -> State:
        return State(
            self.universe,
            dict(self.chosen),
            dict(self.wanted_by),
            dict(self.offered),
            dict(self.excluded),
            deque(self.undecided),
        )

    def choose(self, package: Package, wanted_by: str) -> None:
        """Take ``package`` because ``wanted_by`` needs it; no name means that the request does."""
        self.wanted_by[package.name] = wanted_by
        before = self.chosen.get(package.name)
        if before is not None:
            self._withdraw(before)
        clashes = list(self._clashes(package))
        self.record(package)
        for clash in clashes:
            self._settle(clash, package)
        if before is not None:
            self._mend(before, package)

    def record(self, package: Package) -> None:
        """``package`` is there, whatever it excludes and needs."""
        self.chosen[package.name] = package
        for name in self._names(package):
            self.offered[name] = (*self.offered.get(name, ()), package)
        for kind, text in (("conflicts with", package.conflicts), ("breaks", package.breaks)):
            for relation in self._relations(text):
                clash = (package, kind, relation)
                self.excluded[relation.name] = (*self.excluded.get(relation.name, ()), clash)

    def descend(self, package: Package) -> None:
        """Take what ``package`` needs, to the end, where one package will do; all else is added to ``undecided``."""
        stack = [_Visit.of(package, self.universe)]
        while stack:
            visit = stack[-1]
            clause = next(visit.clauses, None)
            if clause is None:
                self.undecided.extend((visit.package, clause) for clause in visit.undecided)
                stack.pop()
            elif not self.is_met(clause):
                options = self.options(clause)
                if not options:
                    raise self.unmet(visit.package, clause)
                # A plain name means the package of that name, even where others provide it.
                if len(options) == 1 or (len(clause) == 1 and options[0].name == clause[0].name):
                    self.choose(options[0], visit.package.name)
                    stack.append(_Visit.of(options[0], self.universe))
                else:
                    visit.undecided.append(clause)

    def is_met(self, clause: Clause) -> bool:
        return any(self._matches(relation) for relation in clause)

    def options(self, clause: Clause) -> list[Package]:
        """The packages that would meet ``clause``, in the order of its alternatives."""
        found = (option for relation in clause for option in self.universe.options(relation))
        return [item for item in dict.fromkeys(found) if self._is_open(item)]

    def _is_open(self, option: Package) -> bool:
        # Another version of what is already chosen is no option; what the base has can be upgraded.
        there = self.chosen.get(option.name, option)
        return there == option or there.pin is None

    def unmet(self, owner: Package, clause: Clause) -> CannotBuild:
        reasons = "; ".join(dict.fromkeys(self._why_not(relation) for relation in clause))
        text = " | ".join(map(str, clause))
        return CannotBuild(
            f"{owner} depends on {text!r}, which nothing in {self.universe.place} meets: {reasons}",
            hint=f"it is needed by {self._chain(owner)}",
        )

    def _clashes(self, package: Package) -> Iterator[_Clash]:
        """What excludes ``package``, or is excluded by it."""
        for name in sorted(self._names(package)):
            for owner, kind, relation in self.excluded.get(name, ()):
                if owner.name != package.name and is_met(relation, package, self.universe.architecture):
                    yield _Clash(owner, kind, relation, package)
        for kind, text in (("conflicts with", package.conflicts), ("breaks", package.breaks)):
            for relation in self._relations(text):
                for other in self._matches(relation):
                    yield _Clash(package, kind, relation, other)

    def _settle(self, clash: _Clash, package: Package) -> None:
        """Upgrade what ``package`` clashes with, where the base has it. Raises CannotBuild."""
        there = clash.other if clash.owner == package else clash.owner
        if self.chosen.get(there.name) == there and not self._upgrade(there, package):
            raise self._conflict(clash)

    def _mend(self, before: Package, package: Package) -> None:
        """Upgrade what needed the version ``before`` that ``package`` replaced. Raises CannotBuild."""
        names = self._names(before)
        for other in tuple(self.chosen.values()):
            # A text without the name saves the time to read it.
            if self.chosen[other.name] != other or not any(name in other.depends for name in names):
                continue
            for clause in parse_relations(other.depends, self.universe.architecture):
                needed = any(is_met(relation, before, self.universe.architecture) for relation in clause)
                if needed and not self.is_met(clause):
                    if not self._upgrade(other, package):
                        raise self.unmet(other, clause)
                    break

    def _upgrade(self, there: Package, because: Package) -> bool:
        """Replace ``there`` by its candidate, if the base has it and there is a newer one."""
        candidate = self.universe.candidate(there.name)
        if there.pin is not None or candidate is None or candidate == there:
            return False
        self.choose(candidate, because.name)
        self.descend(candidate)
        return True

    def _withdraw(self, package: Package) -> None:
        del self.chosen[package.name]
        for name in self._names(package):
            self.offered[name] = tuple(item for item in self.offered[name] if item != package)
        for relation in self._relations(f"{package.conflicts}, {package.breaks}"):
            self.excluded[relation.name] = tuple(
                clash for clash in self.excluded[relation.name] if clash[0] != package
            )

    def _conflict(self, clash: _Clash) -> CannotBuild:
        there = next((item for item in (clash.owner, clash.other) if item.pin is None), None)
        chains = f"{self._chain(clash.owner)}, and {self._chain(clash.other)}"
        return CannotBuild(
            f"{clash.owner} {clash.kind} {str(clash.relation)!r}, "
            f"so that {clash.other} cannot be installed beside it",
            hint=f"leave one of them out: {chains}"
            if there is None
            else f"the base image has {there}: leave the other one out ({chains}), or use another base image",
        )

    def _matches(self, relation: Relation) -> list[Package]:
        return [
            package
            for package in self.offered.get(relation.name, ())
            if is_met(relation, package, self.universe.architecture)
        ]

    def _why_not(self, relation: Relation) -> str:
        present = self.chosen.get(relation.name)
        candidate = self.universe.candidate(relation.name)
        if present is not None and present.pin is not None:
            return f"{present} is already chosen"
        if present is not None:
            newer = f", and there is {candidate}" if candidate and candidate != present else ""
            return f"the base image has {present}{newer}"
        return f"there is {candidate}" if candidate else f"there is no {relation.name}"

    def _chain(self, package: Package) -> str:
        names = [package.name]
        while above := self.wanted_by.get(names[-1]):
            names.append(above)
        return " → ".join(reversed(names))

    def _names(self, package: Package) -> set[str]:
        return {package.name, *(item.name for item in self._relations(package.provides))}

    def _relations(self, text: str) -> list[Relation]:
        clauses = parse_relations(text, self.universe.architecture)
        return [relation for clause in clauses for relation in clause]
