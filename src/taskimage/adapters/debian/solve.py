"""Which packages a list of names needs: Depends and Pre-Depends, never Recommends.

What has one answer is settled first, to its end; then each open choice in turn, those of a package after those
of what it depends on. A choice takes the first alternative that what is already chosen allows. So the answer does
not depend on the order of the request. It is apt's own, but where apt takes an alternative before it sees that
another one is needed anyway, and among providers of a virtual package that nothing ranks, where apt follows the
order of its cache and this the alphabet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from taskimage.adapters.debian.index import Package
from taskimage.adapters.debian.relations import Clause, Relation, parse_relations
from taskimage.adapters.debian.universe import Universe, is_met
from taskimage.model.errors import CannotBuild

__all__ = ["solve"]


def solve(
    universe: Universe, wanted: Iterable[Package], installed: Iterable[Package] = ()
) -> tuple[Package, ...]:
    """``wanted`` and the packages that they need beside those ``installed``, sorted by name.

    Raises CannotBuild when a dependency cannot be met (with the chain that leads to it) or when two packages
    exclude each other (with both).
    """
    state = _State(universe)
    for package in installed:
        state.admit(package)
    present = set(state.chosen)
    roots = {package.name: package for package in wanted if package.name not in present}
    for name in sorted(roots):
        state.choose(roots[name], "")
    for name in sorted(roots):
        state.descend(roots[name])
    while state.undecided:
        owner, clause = state.undecided.popleft()
        if not state.is_met(clause):
            state = _decide(state, owner, clause)
    return tuple(state.chosen[name] for name in sorted(state.chosen.keys() - present))


def _decide(state: _State, owner: Package, clause: Clause) -> _State:
    failure: CannotBuild | None = None
    for option in state.options(clause):
        attempt = state.copy()
        # What the option leaves open is decided before what was open already.
        attempt.undecided.clear()
        try:
            attempt.choose(option, owner.name)
            attempt.descend(option)
        except CannotBuild as error:
            failure = failure or error
        else:
            attempt.undecided.extend(state.undecided)
            return attempt
    raise failure or state.unmet(owner, clause)


@dataclass(slots=True)
class _Visit:
    """A package whose dependencies are being met: those that are left, and those that have several answers."""

    package: Package
    clauses: Iterator[Clause]
    undecided: list[Clause]

    @classmethod
    def of(cls, package: Package, universe: Universe) -> _Visit:
        return cls(package, iter(parse_relations(package.depends, universe.architecture)), [])


@dataclass(slots=True)
class _State:
    """What is chosen so far, and what that still asks for and excludes."""

    universe: Universe
    chosen: dict[str, Package] = field(default_factory=dict)
    wanted_by: dict[str, str] = field(default_factory=dict)
    offered: dict[str, tuple[Package, ...]] = field(default_factory=dict)
    excluded: dict[str, tuple[tuple[Package, str, Relation], ...]] = field(default_factory=dict)
    undecided: deque[tuple[Package, Clause]] = field(default_factory=deque)

    def copy(self) -> _State:
        return _State(
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
        self.admit(package)

    def admit(self, package: Package) -> None:
        """Take ``package`` as it is. Raises CannotBuild when it and another exclude each other."""
        self._refuse_conflicts(package)
        self.chosen[package.name] = package
        for name in {package.name, *(item.name for item in self._relations(package.provides))}:
            self.offered[name] = (*self.offered.get(name, ()), package)

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
        # Another version of what is already there is no option.
        return [item for item in dict.fromkeys(found) if self.chosen.get(item.name, item) == item]

    def unmet(self, owner: Package, clause: Clause) -> CannotBuild:
        reasons = "; ".join(dict.fromkeys(self._why_not(relation) for relation in clause))
        text = " | ".join(map(str, clause))
        return CannotBuild(
            f"{owner} depends on {text!r}, which nothing in {self.universe.place} meets: {reasons}",
            hint=f"it is needed by {self._chain(owner)}",
        )

    def _refuse_conflicts(self, package: Package) -> None:
        names = {package.name, *(item.name for item in self._relations(package.provides))}
        for name in sorted(names):
            for owner, kind, relation in self.excluded.get(name, ()):
                if owner.name != package.name and is_met(relation, package, self.universe.architecture):
                    raise self._conflict(owner, kind, relation, package)
        for kind, text in (("conflicts with", package.conflicts), ("breaks", package.breaks)):
            for relation in self._relations(text):
                for other in self._matches(relation):
                    raise self._conflict(package, kind, relation, other)
                self.excluded[relation.name] = (
                    *self.excluded.get(relation.name, ()),
                    (package, kind, relation),
                )

    def _conflict(self, owner: Package, kind: str, relation: Relation, other: Package) -> CannotBuild:
        chains = f"{self._chain(owner)}, and {self._chain(other)}"
        return CannotBuild(
            f"{owner} {kind} {str(relation)!r}, so that {other} cannot be installed beside it",
            hint=f"leave one of them out: {chains}",
        )

    def _matches(self, relation: Relation) -> list[Package]:
        return [
            package
            for package in self.offered.get(relation.name, ())
            if is_met(relation, package, self.universe.architecture)
        ]

    def _why_not(self, relation: Relation) -> str:
        present = self.chosen.get(relation.name)
        if present is not None:
            return f"{present} is already chosen"
        candidate = self.universe.candidate(relation.name)
        return f"there is {candidate}" if candidate else f"there is no {relation.name}"

    def _chain(self, package: Package) -> str:
        names = [package.name]
        while above := self.wanted_by.get(names[-1]):
            names.append(above)
        return " → ".join(reversed(names))

    def _relations(self, text: str) -> list[Relation]:
        clauses = parse_relations(text, self.universe.architecture)
        return [relation for clause in clauses for relation in clause]
