"""Simulate a year of a fleet with each way to make layers; print tables, draw the first two of them."""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from benchmarks.plan.catalogue import read
from benchmarks.plan.chart import drawn
from benchmarks.plan.fleet import Build, year
from benchmarks.plan.simulation import Outcome, Pool, simulate
from benchmarks.plan.ways import WAYS

MOST_LAYERS = 127  # what Docker's overlay driver can stack
CHART = Path(__file__).with_name("plan.svg")
DRAWN = ("the plan", "in another order")
COLUMNS = (
    "registry, GB", "blobs sent", "pulled where blobs stay, TB", "a start, MB", "pulled by chain, TB", "a start, MB",
    f"layers (over {MOST_LAYERS})",
)  # fmt: skip


def main() -> None:
    """Simulate, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="how many images the fleet has")
    parser.add_argument("--seed", type=int, default=1, help="another number is another fleet")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="how many ways are simulated at once"
    )
    parser.add_argument("--chart", type=Path, default=CHART, help="where the picture goes")
    arguments = parser.parse_args()
    kinds = [(kind, number) for kind, ways in WAYS.items() for number in range(len(ways))]
    with ProcessPoolExecutor(arguments.jobs) as executor:
        outcomes = executor.map(
            outcome, *zip(*kinds, strict=True), [arguments.images] * len(kinds), [arguments.seed] * len(kinds)
        )
        found = dict(zip(kinds, outcomes, strict=True))
    for kind, ways in WAYS.items():
        print(f"\n| {kind} | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}")
        for number, way in enumerate(ways):
            print(f"| {way.title} | {' | '.join(figures(found[kind, number]))} |")
    shown = {WAYS[kind][number].title: bars(found[kind, number]) for kind, number in kinds if kind in DRAWN}
    arguments.chart.write_text(
        drawn(("registry, GB", "pulled where blobs stay, TB", "pulled by chain, TB"), shown), encoding="utf-8"
    )


@cache
def fleet(images: int, seed: int) -> Sequence[Sequence[Build]]:
    """A year, made once in each process."""
    return tuple(year(read(), images=images, seed=seed))


def outcome(kind: str, number: int, images: int, seed: int) -> Outcome:
    """What comes of one of the ways."""
    return simulate(WAYS[kind][number], fleet(images, seed), Pool(), seed=seed)


def bars(outcome: Outcome) -> Sequence[float]:
    """What the chart shows."""
    return (
        outcome.stored / 1e9,
        sum(pull.blobs for pull in outcome.pulls) / 1e12,
        sum(pull.chains for pull in outcome.pulls) / 1e12,
    )


def figures(outcome: Outcome) -> Sequence[str]:
    """What a table shows, as `COLUMNS` says; a start is one that pulls: the median, and one in twenty takes more."""
    stored, blobs, chains = bars(outcome)
    over = sum(height > MOST_LAYERS for height in outcome.layers) / len(outcome.layers)
    return (
        f"{stored:,.1f}",
        f"{outcome.blobs:,}",
        f"{blobs:,.2f}",
        _start([pull.blobs for pull in outcome.pulls]),
        f"{chains:,.2f}",
        _start([pull.chains for pull in outcome.pulls]),
        f"{statistics.median(outcome.layers):.0f}, most {max(outcome.layers)}"
        + (f" ({over:.0%})" if over else ""),
    )


def _start(pulled: Sequence[int]) -> str:
    twentieths = statistics.quantiles(pulled, n=20)
    return f"{twentieths[9] / 1e6:,.1f} to {twentieths[-1] / 1e6:,.0f}"


if __name__ == "__main__":
    main()
