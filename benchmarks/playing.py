"""The cases played, and what they cost."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, turns
from benchmarks.commands import Command, CommandFailed, measured
from benchmarks.figures import Cost, arriving
from benchmarks.peers import Ground, Peer
from benchmarks.processes import cpu_seconds, forget_peak, peak
from benchmarks.registries import Metered, metered_registry

__all__ = ["played"]


def played(
    peers: Sequence[Peer], wanted: Container[str], runs: int, folder: Path
) -> Iterator[tuple[str, str, Cost]]:
    """Who played which of the cases in ``wanted``, and what it cost; in each of ``runs`` turns the peers take turns.

    Where a command fails, that is said, and what is left of its scene is left out.
    """
    for run in range(runs):
        for peer in peers:
            for cases in turns(wanted, peer.cases, run, peer.most):
                try:
                    for case, cost in _scene(peer, cases, folder):
                        if case.name in wanted:
                            yield peer.name, case.name, cost
                except CommandFailed as error:
                    print(f"turn {run + 1}: {peer.name}: {error}", file=sys.stderr)


def _scene(peer: Peer, cases: Sequence[Case], folder: Path) -> Iterator[tuple[Case, Cost]]:
    """What each of ``cases``, one after the other, costs ``peer``."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        metered_registry(folder) as first,
        metered_registry(folder) as second,
    ):
        ground = Ground(first.host, second.host, Path(own))
        for case in cases:
            if case.fresh_machine:
                peer.forget()
            yield case, _measure(peer.ready(case, ground), peer.engine, (first, second))


@dataclass(frozen=True, slots=True)
class _Standing:
    """What was counted up to now."""

    cpu: float
    network: int
    sent: int
    received: int
    requests: int

    @classmethod
    def now(cls, engine: int | None, registries: Sequence[Metered]) -> _Standing:
        counts = [registry.counts() for registry in registries]
        return cls(
            cpu_seconds(engine) if engine else 0.0,
            arriving(),
            sum(one.sent for one in counts),
            sum(one.received for one in counts),
            sum(one.requests for one in counts),
        )


def _measure(command: Command, engine: int | None, registries: Sequence[Metered]) -> Cost:
    """What ``command`` costs, and ``engine`` that works for it."""
    # Nobody pays for what others have left to write.
    os.sync()
    if engine:
        forget_peak(engine)
    before = _Standing.now(engine, registries)
    usage = measured(command)
    after = _Standing.now(engine, registries)
    return Cost(
        wall=round(usage.wall, 3),
        cpu=round(usage.cpu + after.cpu - before.cpu, 2),
        memory=round(max(usage.memory, peak(engine) if engine else 0), 1),
        sent=round((after.sent - before.sent) / 1e6, 4),
        received=round((after.received - before.received) / 1e6, 4),
        requests=after.requests - before.requests,
        fetched=round((after.network - before.network) / 1e6, 2),
    )
