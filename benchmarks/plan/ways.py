"""The ways to make layers that are compared: the plan, what other builders do, and the plan with something else in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from benchmarks.plan.catalogue import Catalogue, read
from benchmarks.plan.layering import docker, ours

from taskimage.model.lock import WheelPin
from taskimage.transform.plan import WHEELS, Grouping

__all__ = ["WAYS"]

_MIB: Final = 1 << 20
_NEVER: Final = sys.maxsize  # so many bytes has no wheel
_catalogue = cache(read)


def _releases(group: Sequence[WheelPin]) -> int:
    """How often the year changes a group, which no build can know."""
    packages: Catalogue = _catalogue()
    return sum(len(packages[pin.name].releases) for pin in group)


def _name(group: Sequence[WheelPin]) -> tuple[bool, str]:
    return len(group) > 1, group[0].name


WAYS: Final = {
    "the plan": (
        ours("the plan"),
        docker("all in one layer", apart=False),
        docker("apt and pip in two", apart=True),
        ours("one per package", Grouping(big=0, most_big=sys.maxsize, groups=1)),
    ),
    "in another order": (
        ours("above Debian", huge=_NEVER),
        ours("by name, above Debian", order=_name, huge=_NEVER),
        ours("by name, in 8 groups", replace(WHEELS, groups=8), _name, huge=_NEVER),
        ours("seldom changed lowest", order=_releases, huge=_NEVER),
        ours("groups lowest", order=lambda group: len(group) == 1, huge=_NEVER),
    ),
    "with other constants": (
        *(ours(f"{groups} groups", replace(WHEELS, groups=groups)) for groups in (4, 8, 32)),
        *(
            ours(f"alone from {mib} MiB", replace(WHEELS, big=int(mib * _MIB)))
            for mib in (0.25, 0.5, 2, 4, 8)
        ),
        *(ours(f"at most {most} alone", replace(WHEELS, most_big=most)) for most in (16, 24, 48)),
        *(ours(f"below Debian from {mib} MiB", huge=mib * _MIB) for mib in (1, 2, 4, 16, 32, 128)),
    ),
}
