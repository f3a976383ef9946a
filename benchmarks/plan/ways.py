"""The ways to make layers that are compared: the plan, what other builders do, and the plan with something else in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from benchmarks.plan.catalogue import Catalogue, read
from benchmarks.plan.layering import big_first, docker, ours, sunk

from taskimage.model.lock import WheelPin
from taskimage.transform.plan import WHEELS, Grouping

__all__ = ["WAYS"]

_MIB: Final = 1 << 20
_catalogue = cache(read)


def _releases(group: Sequence[WheelPin]) -> int:
    """How often the year changes a group, which no build can know."""
    packages: Catalogue = _catalogue()
    return sum(len(packages[pin.name].releases) for pin in group)


WAYS: Final = {
    "the plan": (
        ours("the plan"),
        docker("all in one layer", apart=False),
        docker("apt and pip in two", apart=True),
        ours("one per package", Grouping(big=0, most_big=sys.maxsize, groups=1)),
    ),
    "in another order": (
        ours("biggest lowest", order=big_first),
        ours("seldom changed lowest", order=_releases),
        ours("groups lowest", order=lambda group: len(group) == 1),
        sunk("biggest below Debian", huge=8 * _MIB),
    ),
    "with other constants, biggest lowest": (
        *(ours(f"{groups} groups", replace(WHEELS, groups=groups), big_first) for groups in (4, 16, 32)),
        *(
            ours(f"alone from {mib} MiB", replace(WHEELS, big=int(mib * _MIB)), big_first)
            for mib in (0.25, 0.5, 2, 4, 8)
        ),
        *(ours(f"at most {most} alone", replace(WHEELS, most_big=most), big_first) for most in (16, 24, 48)),
        ours("16 groups, at most 24 alone", replace(WHEELS, groups=16, most_big=24), big_first),
        sunk("16 groups, biggest below Debian", replace(WHEELS, groups=16), huge=8 * _MIB),
    ),
}
