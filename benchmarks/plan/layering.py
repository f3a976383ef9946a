"""Ways to make layers of a lock: ours, with other constants and in other orders too, and those of other builders."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from taskimage.model.lock import DebPin, PlatformLock, WheelPin
from taskimage.transform.plan import WHEELS, Grouping, grouped, plan

__all__ = ["Content", "Way", "big_first", "docker", "ours", "sunk"]

# What the layers that hold no package as it is have in the quickstart's image.
_MADE = {"bytecode": 4_480_521, "effects": 558_731, "environment": 645}


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a layer: things with equal names have equal bytes."""

    name: Hashable
    size: int


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make layers.

    Attributes:
        title: What tables call it.
        layers: The layers of a lock, lowest first, without the copied files.
        runs_below: Whether what is in a layer comes about by running what is below it, and is new where that is.
    """

    title: str
    layers: Callable[[PlatformLock], Sequence[Content]]
    runs_below: bool = False


def ours(
    title: str, grouping: Grouping = WHEELS, order: Callable[[Sequence[WheelPin]], Any] | None = None
) -> Way:
    """The plan's layers, those of wheels by ``grouping`` and, where there is one, in ``order``."""

    def layers(lock: PlatformLock) -> Sequence[Content]:
        groups = grouped(lock.wheels, grouping)
        wheels = sorted(groups, key=order) if order else groups
        return (*_below(replace(lock, wheels=())), *(_content("wheels", group) for group in wheels))

    return Way(title, layers)


def big_first(group: Sequence[WheelPin]) -> tuple[int, int, str]:
    """An order: wheels that stand alone by size, the biggest lowest, then groups.

    A size counts by its power of two, so that a release which is a little bigger stays where it was.
    """
    return (1, 0, "") if len(group) > 1 else (0, -group[0].size.bit_length(), group[0].name)


def sunk(title: str, grouping: Grouping = WHEELS, *, huge: int) -> Way:
    """The plan's layers with the biggest first, and those wheels that are ``huge`` below Debian's packages."""

    def layers(lock: PlatformLock) -> Sequence[Content]:
        groups = sorted(grouped(lock.wheels, grouping), key=big_first)
        lowest = sum(len(group) == 1 and group[0].size >= huge for group in groups)
        wheels = [_content("wheels", group) for group in groups]
        return (*wheels[:lowest], *_below(replace(lock, wheels=())), *wheels[lowest:])

    return Way(title, layers)


def docker(title: str, *, apart: bool) -> Way:
    """A base image, and what ``RUN`` adds: Debian's and Python's packages, each in a layer or ``apart`` in two."""

    def layers(lock: PlatformLock) -> Iterator[Content]:
        yield _content("base", lock.base)
        if apart and lock.apt:
            yield _content("apt", lock.apt)
        yield _content("all", lock.wheels if apart else (*lock.apt, *lock.wheels))

    return Way(title, lambda lock: tuple(layers(lock)), runs_below=True)


@cache
def _below(ground: PlatformLock) -> tuple[Content, ...]:
    """What the plan puts below wheels."""
    plans = plan(ground, effects=["1"], environment=["opt/venv"], bytecode=[ground.python.version])
    return tuple(_content(item.kind, item.debs) for item in plans)


def _content(kind: str, pins: Sequence[DebPin | WheelPin]) -> Content:
    return Content(
        (kind, tuple(pin.digest for pin in pins)), _MADE.get(kind) or sum(pin.size for pin in pins)
    )
