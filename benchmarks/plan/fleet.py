"""A fleet of images, and a year of what people do to them, all from one seed.

Teams have a stack, projects of a team want nearly the same packages, and the images of a project share its lock, some
with a package more. A project locks all anew now and then, updates single packages, takes Debian's updates once a
month, and people edit sources every day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from benchmarks.plan.catalogue import WEEKS, Catalogue
from benchmarks.plan.stacks import RUNTIME, STACKS, Stack

from taskimage.model.digest import Digest
from taskimage.model.lock import DebPin, PlatformLock
from taskimage.model.lockfile import loads

__all__ = ["Build", "Habits", "year"]

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "image.lock.toml"
WORKDAYS = 5
_MONTH = 4
_FIRST_WEEKS = 8
"""How long it takes until every project has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What is done to a project in a week, and to an image on a day: probabilities."""

    relock: float = 1 / 8
    bump: float = 1 / 4
    add: float = 1 / 40
    edit: float = 1 / 10
    debian: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Build:
    """An image that is built anew: ``lock`` says all but its copied files, of which these are the ``source``-th."""

    image: int
    lock: PlatformLock
    source: int


@dataclass(slots=True)
class _Project:
    """One lock, and for each image the packages that it wants beside those of the project."""

    stack: Stack
    begins: int
    wanted: set[str]
    images: dict[int, frozenset[str]]
    apt: bool
    locked: dict[str, int] = field(default_factory=dict)
    month: int = 0


def year(
    packages: Catalogue, *, images: int = 1000, seed: int = 1, habits: Habits | None = None
) -> Iterator[list[Build]]:
    """What is built on each working day of a year."""
    random, habits = Random(seed), habits or Habits()
    ground = loads(QUICKSTART.read_text(encoding="utf-8"), where=str(QUICKSTART)).platforms[0]
    bases = tuple(_bases(ground.base, random))
    projects = tuple(_projects(random, images))
    current: dict[int, Build] = {}
    for day in range(WEEKS * WORKDAYS):
        week, weekday = divmod(day, WORKDAYS)
        builds: dict[int, Build] = {}
        for project in projects if weekday == 0 else ():
            if _changed(project, week, packages, random, habits):
                at = replace(ground, base=bases[project.month], apt=ground.apt if project.apt else ())
                builds |= {build.image: build for build in _built(project, at, packages, current)}
        for image, build in current.items():
            if random.random() < habits.edit:
                builds[image] = replace(builds.get(image, build), source=build.source + 1)
        current |= builds
        yield list(builds.values())


def _projects(random: Random, images: int) -> Iterator[_Project]:
    first = 0
    while first < images:
        [stack] = random.choices(STACKS, [stack.share for stack in STACKS])
        of_team = _picked(stack, random.randint(3, 10), random)
        for _ in range(random.randint(1, 8)):
            last = min(first + random.randint(1, 5), images)
            yield _Project(
                stack=stack,
                begins=random.randrange(_FIRST_WEEKS),
                wanted={RUNTIME} | of_team | _picked(stack, random.randint(0, 2), random),
                images={
                    image: frozenset(_picked(stack, 1, random) if random.random() < 1 / 3 else ())
                    for image in range(first, last)
                },
                apt=random.random() < 0.15,
            )
            first = last


def _picked(stack: Stack, number: int, random: Random) -> set[str]:
    weights = [1 / (place + 1) ** 0.5 for place in range(len(stack.requirements))]
    return set(random.choices(stack.requirements, weights, k=number))


def _changed(project: _Project, week: int, packages: Catalogue, random: Random, habits: Habits) -> bool:
    """Whether the project has a new lock this week."""
    if week < project.begins:
        return False
    begins, month, wanted = week == project.begins, project.month, len(project.wanted)
    if habits.debian and (begins or (week - project.begins) % _MONTH == 0):
        project.month = week // _MONTH
    if begins or random.random() < habits.relock:
        project.locked = dict.fromkeys(packages, week)
        return True
    if random.random() < habits.add:
        project.wanted |= _picked(project.stack, 1, random)
    bumped = random.random() < habits.bump and _bump(project, week, packages, random)
    return bumped or project.month != month or len(project.wanted) != wanted


def _bump(project: _Project, week: int, packages: Catalogue, random: Random) -> bool:
    """Whether there is a newer release of any package; one of those is taken."""
    names = packages.closure(frozenset(project.wanted))
    newer = [one for one in names if packages[one].pins[week] is not packages[one].pins[project.locked[one]]]
    if newer:
        project.locked[random.choice(newer)] = week
    return bool(newer)


def _built(
    project: _Project, ground: PlatformLock, packages: Catalogue, current: Mapping[int, Build]
) -> Iterator[Build]:
    locks: dict[frozenset[str], PlatformLock] = {}
    for image, own in project.images.items():
        wanted = frozenset(project.wanted) | own
        if wanted not in locks:
            names = packages.closure(wanted)
            wheels = tuple(packages[name].pins[project.locked[name]] for name in names)
            locks[wanted] = replace(ground, wheels=wheels)
        yield Build(image, locks[wanted], current[image].source if image in current else 0)


def _bases(base: Sequence[DebPin], random: Random) -> Iterator[tuple[DebPin, ...]]:
    """Debian's packages month by month: of those that had updates before, three sources each; CPython twice a year."""
    pins = tuple(base)
    updated = sorted({_source(pin) for pin in base if re.search(r"deb\d+u", pin.version)})
    for month in range(WEEKS // _MONTH + 1):
        yield pins
        changed = {*random.sample(updated, 3), *(["python3.11"] if month % 6 == 2 else [])}
        pins = tuple(_update(pin, month) if _source(pin) in changed else pin for pin in pins)


def _source(pin: DebPin) -> str:
    return pin.path.split("/")[-2]


def _update(pin: DebPin, month: int) -> DebPin:
    version = f"{pin.version}.{month}"
    return replace(pin, version=version, digest=Digest.of(f"{pin.package} {version}".encode()))
