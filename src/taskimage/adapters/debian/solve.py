"""Which packages a list of names needs: Depends and Pre-Depends, never Recommends.

What has one answer is settled first, to its end; then each open choice in turn, those of a package after those
of what it depends on. A choice takes the first alternative that what is already chosen allows. So the answer does
not depend on the order of the request. It is apt's own, but where apt takes an alternative before it sees that
another one is needed anyway, and among providers of a virtual package that nothing ranks, where apt follows the
order of its cache and this the alphabet.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import suppress

from taskimage.adapters.debian.index import Package
from taskimage.adapters.debian.relations import Clause
from taskimage.adapters.debian.state import State
from taskimage.adapters.debian.universe import Universe
from taskimage.model.errors import CannotBuild

__all__ = ["solve"]


def solve(
    universe: Universe, wanted: Iterable[Package], installed: Iterable[Package] = ()
) -> tuple[Package, ...]:
    """``wanted`` and the packages that they need beside those ``installed``, sorted by name.

    Those that the universe has installed are there as well. They stay as they are, unless they are wanted or
    another version of them is needed: then the newest one takes their place.

    Raises CannotBuild when a dependency cannot be met (with the chain that leads to it) or when two packages
    exclude each other (with both).
    """
    state = State(universe)
    for package in (*universe.installed.packages.values(), *installed):
        state.record(package)
    present = dict(state.chosen)
    roots = {package.name: package for package in wanted if present.get(package.name) != package}
    for name in sorted(roots):
        if state.chosen.get(name) != roots[name]:
            state.choose(roots[name], "")
    for name in sorted(roots):
        state.descend(roots[name])
    state = _with_twins(_decided(state))
    return tuple(item for _, item in sorted(state.chosen.items()) if present.get(item.name) != item)


def _with_twins(state: State) -> State:
    """What the base has of the same sources is upgraded too where it can be, as newer versions of apt do.

    Packages that are built together often work together alone, whatever they say of each other.
    """
    tried: set[str] = set()
    while twin := _twin(state, tried):
        tried.add(twin.name)
        attempt = state.copy()
        with suppress(CannotBuild):
            attempt.choose(twin, "")
            attempt.descend(twin)
            state = _decided(attempt)
    return state


def _twin(state: State, tried: Container[str]) -> Package | None:
    """An upgrade from the source of something that is chosen, if any is left."""
    sources = {item.source for item in state.chosen.values() if item.pin}
    for name, there in sorted(state.universe.installed.packages.items()):
        candidate = state.universe.candidate(name)
        is_upgrade = candidate is not None and candidate != there and state.chosen[name] == there
        if candidate and is_upgrade and candidate.source in sources and name not in tried:
            return candidate
    return None


def _decided(state: State) -> State:
    """``state`` with every open choice made."""
    while state.undecided:
        owner, clause = state.undecided.popleft()
        if not state.is_met(clause):
            state = _decide(state, owner, clause)
    return state


def _decide(state: State, owner: Package, clause: Clause) -> State:
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
