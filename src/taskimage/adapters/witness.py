"""What a run looked at on this disk, with marks by which a later run sees whether any of it has changed.

Whoever reads a file that somebody else may edit says `saw`, before reading; of a folder whose names matter, and of a
file that is not there, too. Only inside of `watching` does that cost anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Mark", "Witness", "is_there", "lost_sight", "mark", "saw", "unchanged", "watching"]

Mark = list[int] | None
"""Kind, inode, size and times of a file or folder; None for what is not there."""

# A change within one tick of the clock that stamps files shows in no mark.
_TICK_NS = 1_000_000_000


class Witness:
    """What was looked at, by absolute path. ``sure``: all of it was seen, and at rest for a while."""

    def __init__(self) -> None:
        self.marks: dict[str, Mark] = {}
        self.sure = True
        self._rest = time.time_ns() - _TICK_NS

    def see(self, path: str) -> None:
        """Note ``path`` as it is now; the first look counts."""
        if path not in self.marks:
            seen = self.marks[path] = mark(path)
            self.sure = self.sure and (seen is None or seen[-1] < self._rest)


_WATCHING: ContextVar[Witness | None] = ContextVar("_WATCHING", default=None)


@contextmanager
def watching() -> Iterator[Witness]:
    """Whatever is seen in this block, in this thread."""
    witness = Witness()
    token = _WATCHING.set(witness)
    try:
        yield witness
    finally:
        _WATCHING.reset(token)


def saw(path: str | os.PathLike[str]) -> None:
    """The run depends on what is at ``path``, or on nothing being there; for a folder, on the names in it."""
    if (witness := _WATCHING.get()) is not None:
        witness.see(os.path.abspath(path))  # noqa: PTH100 -- pathlib would resolve nothing else, and takes longer


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything at ``path``, which the run depends on."""
    saw(path)
    return os.path.lexists(path)


def lost_sight() -> None:
    """The run depends on something that cannot be named."""
    if (witness := _WATCHING.get()) is not None:
        witness.sure = False


def unchanged(marks: Mapping[str, Mark]) -> bool:
    """Whether everything still is as it was seen."""
    return all(mark(path) == known for path, known in marks.items())


def mark(path: str) -> Mark:
    """What is at ``path``, so that another thing there, or the same one changed, has another mark."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- thousands of files
    except (OSError, ValueError):
        return None
    return [found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
