"""Machines that start images: what they have, what they pull, and what they put away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Layer", "Node", "Pull"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in its place: ``chain`` stands for it and all below it, ``blob`` for its bytes."""

    chain: int
    blob: int
    size: int


@dataclass(frozen=True, slots=True)
class Pull:
    """Bytes that one start took: those that were not there as blobs, and those not there on what is below them."""

    blobs: int
    chains: int


class Node:
    """A machine whose disk has room for layers of so many bytes; what was started longest ago goes first."""

    def __init__(self, room: int) -> None:
        self._free = room
        self._images: OrderedDict[int, Sequence[Layer]] = OrderedDict()
        self._chains: dict[int, int] = {}
        self._blobs: dict[int, int] = {}

    def start(self, image: int, layers: Sequence[Layer]) -> Pull | None:
        """What has to be pulled to start ``image``; None when it is there."""
        if image in self._images:
            self._images.move_to_end(image)
            return None
        blobs = chains = 0
        for layer in layers:
            if _held(self._blobs, layer.blob) == 1:
                blobs += layer.size
            if _held(self._chains, layer.chain) == 1:
                chains += layer.size
        self._images[image] = layers
        self._free -= chains
        while self._free < 0 and len(self._images) > 1:
            self._remove()
        return Pull(blobs, chains)

    def _remove(self) -> None:
        _, layers = self._images.popitem(last=False)
        for layer in layers:
            _let_go(self._blobs, layer.blob)
            if not _let_go(self._chains, layer.chain):
                self._free += layer.size


def _held(users: dict[int, int], thing: int) -> int:
    users[thing] = users.get(thing, 0) + 1
    return users[thing]


def _let_go(users: dict[int, int], thing: int) -> int:
    users[thing] -= 1
    return users[thing] or users.pop(thing)
