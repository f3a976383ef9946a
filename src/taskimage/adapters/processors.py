"""This machine's processors, by turns: threads that compute wait for one another, the most urgent and largest first.

More of them at a time than there are processors would only get in each other's way, the more so as they share the
interpreter's lock. Whoever waits for something else, such as the network, takes no turn.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Final

__all__ = ["COMPUTING", "Turns", "available"]


def available() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Turns:
    """Lets in so many threads at a time."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[bool, int, int]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def turn(self, weight: int, *, awaited: bool = False) -> Iterator[None]:
        """Within the block it is this thread's turn; of those who wait, what is ``awaited`` comes first, then the heaviest.

        A thread that has a turn must not wait for another one.
        """
        with self._changed:
            mine = (not awaited, -weight, next(self._numbers))
            heapq.heappush(self._waiting, mine)
            self._changed.wait_for(lambda: self._free > 0 and self._waiting[0] == mine)
            heapq.heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()


COMPUTING: Final = Turns(available())
"""The turns of this process's threads: to unpack packages, which others wait for, and to write layers."""
