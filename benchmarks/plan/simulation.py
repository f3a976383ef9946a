"""A year of one way to make layers: what the registry gets, and what the machines pull."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.plan.fleet import Build
from benchmarks.plan.layering import Content, Way
from benchmarks.plan.nodes import Layer, Node, Pull

__all__ = ["Outcome", "Pool", "simulate"]

_SOURCE = 200_000
"""Bytes of copied files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The machines: how many, with room for how many bytes of layers, and what happens to them on a day."""

    nodes: int = 40
    room: int = 50 * 10**9
    starts: int = 400
    replaced: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a year came to: bytes and blobs in the registry, pulls by start, and how many layers each lock had."""

    stored: int
    blobs: int
    pulls: Sequence[Pull]
    layers: Sequence[int]


def simulate(way: Way, year: Sequence[Sequence[Build]], pool: Pool, *, seed: int = 1) -> Outcome:
    """What comes of ``year`` with layers made in that ``way``; equal seeds start the same images on the same machines."""
    random = Random(seed)
    registry = _Registry(way)
    machines = [Node(pool.room) for _ in range(pool.nodes)]
    current: dict[int, tuple[int, Sequence[Layer]]] = {}
    popular: dict[int, float] = {}
    versions = itertools.count()
    pulls = []
    for builds in year:
        for build in builds:
            current[build.image] = next(versions), registry.push(build)
        for _ in range(min(pool.replaced, pool.nodes)):
            machines[random.randrange(pool.nodes)] = Node(pool.room)
        for image in sorted(current.keys() - popular.keys()):
            popular[image] = random.paretovariate(1)
        for image in random.choices([*popular], [*popular.values()], k=pool.starts if popular else 0):
            pull = random.choice(machines).start(*current[image])
            if pull:
                pulls.append(pull)
    return Outcome(stored=registry.stored, blobs=registry.blobs, pulls=pulls, layers=registry.heights)


class _Registry:
    """Every layer that was ever pushed, each once, whatever images have it."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._numbers: dict[Hashable, int] = {}
        self._locks: dict[int, Sequence[Layer]] = {}
        self.stored = self.blobs = 0

    @property
    def heights(self) -> Sequence[int]:
        """The number of layers of each lock."""
        return [len(layers) + 1 for layers in self._locks.values()]

    def push(self, build: Build) -> Sequence[Layer]:
        """The layers of an image, lowest first."""
        # Locks are made once for all images that share them, and live as long as the year.
        if id(build.lock) not in self._locks:
            self._locks[id(build.lock)] = tuple(self._stacked(self._way.layers(build.lock)))
        layers = self._locks[id(build.lock)]
        source = Content(("source", build.image, build.source), _SOURCE)
        return (*layers, self._layer(source, layers[-1].chain))

    def _stacked(self, contents: Sequence[Content]) -> list[Layer]:
        layers: list[Layer] = []
        for content in contents:
            layers.append(self._layer(content, layers[-1].chain if layers else 0))
        return layers

    def _layer(self, content: Content, below: int) -> Layer:
        name = (below, content.name) if self._way.runs_below else content.name
        known = len(self._numbers)
        blob = self._numbers.setdefault(name, known)
        if blob == known:
            self.stored += content.size
            self.blobs += 1
        return Layer(self._numbers.setdefault((below, blob, "chain"), len(self._numbers)), blob, content.size)
