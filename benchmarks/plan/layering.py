"""Ways to make layers of a lock: ours, with other constants and in other orders too, and those of other builders."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import takewhile
from typing import Any

from taskimage.model.lock import DebPin, PlatformLock, WheelPin
from taskimage.transform.plan import HUGE, WHEELS, Grouping, grouped, plan

__all__ = ["Content", "Way", "docker", "ours"]

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
    title: str,
    grouping: Grouping = WHEELS,
    order: Callable[[Sequence[WheelPin]], Any] | None = None,
    *,
    huge: int = HUGE,
) -> Way:
    """The plan's layers: those of wheels by ``grouping`` and in ``order``, below Debian's packages from ``huge`` bytes on.

    Without an ``order`` it is the plan's own. What stands below Debian's are wheels that come first in it.
    """

    def layers(lock: PlatformLock) -> Sequence[Content]:
        groups = grouped(lock.wheels, grouping)
        wheels = sorted(groups, key=order) if order else groups
        *system, environment = _below(replace(lock, wheels=()))
        venv = (environment, *(_content("wheels", group) for group in wheels))
        count = len([*takewhile(lambda group: len(group) == 1 and group[0].size >= huge, wheels)])
        lowest = 1 + count if count else 0
        return (*venv[:lowest], *system, *venv[lowest:])

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
    """What the plan puts below wheels that are not huge; the environment is last."""
    plans = plan(ground, effects=["1"], environment=["opt/venv"], bytecode=[ground.python.version])
    return tuple(_content(item.kind, item.debs) for item in plans)


def _content(kind: str, pins: Sequence[DebPin | WheelPin]) -> Content:
    return Content(
        (kind, tuple(pin.digest for pin in pins)), _MADE.get(kind) or sum(pin.size for pin in pins)
    )
