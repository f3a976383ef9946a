"""What a run looked at on this disk, with marks by which a later run sees whether any of it has changed.

Whoever reads a file that somebody else may edit says `saw`; of a folder whose names matter, and of a file that is not
there, too. Whoever has read all of one, or has listed one, also says what it `took`: then the same bytes, or names,
written anew are no change. Only inside of `watching` does any of it cost anything.

A mark is believed of what had been at rest for a tick of the clock that stamps files when the run began: what was
written later may be written once more under the same stamp. Of such a file only what was taken counts, and that is a
digest of the very bytes that the run went on with. So what changes while a run reads leaves a witness that is not sure,
or marks that do not hold:

* changed before it was read: what was taken is what is there now, and what the image is made of;
* changed after it was read: what is there is not what was taken;
* read twice, with other bytes: there are two answers to what was taken, and the witness is not sure;
* changed and changed back, or its mode was, or while somebody read it who does not say what he took (git its
  ``.gitignore``): it is stamped with a time after the beginning of the run, and the witness is not sure.

The digests are of what an image, or its lock, is made of. Whatever may hold credentials (settings, ``netrc``) is only
seen, never taken: a digest tells a short secret to whoever tries all of them.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = [
    "Mark", "Witness", "is_there", "listed", "lost_sight", "mark", "saw", "took", "unchanged", "watching",
]  # fmt: skip

Mark = list[int] | None
"""Kind and mode, inode, size and times of a file or folder; None for what is not there."""

# Bytes: what is larger takes too long to be read only to see whether it has changed.
_SMALL = 1 << 20

# A change within one tick of the clock that stamps files shows in no mark.
_TICK_NS = 1_000_000_000


class Witness:
    """What was looked at, by absolute path.

    Attributes:
        marks: Of all that was seen, when it was first.
        contents: Digests of what was taken.
        sure: Whether all of it was seen.
    """

    def __init__(self) -> None:
        self.marks: dict[str, Mark] = {}
        self.contents: dict[str, str] = {}
        self.sure = True
        self._began = time.time_ns()
        self._seeing = threading.Lock()

    def see(self, path: str) -> None:
        """Note ``path`` as it is now; the first look counts."""
        with self._seeing:
            if path not in self.marks:
                self.marks[path] = mark(path)

    def take(self, path: str, content: str) -> None:
        """Note that the run goes on with what has the digest ``content``."""
        self.see(path)
        with self._seeing:
            self.sure = self.sure and self.contents.setdefault(path, content) == content

    def settled(self) -> Mapping[str, Mark] | None:
        """Marks that a later run can rely on, now that all was read; None when it can not."""
        if not self.sure or not unchanged(self.marks, {}):
            return None
        marks = dict(self.marks)
        for path, seen in self.marks.items():
            if seen is not None and seen[-1] >= self._began - _TICK_NS:
                if seen[-1] >= self._began or path not in self.contents:
                    return None
                marks[path] = seen[:1]  # which no later mark equals
        return marks


_WATCHING: ContextVar[Witness | None] = ContextVar("_WATCHING", default=None)


@contextmanager
def watching() -> Iterator[Witness]:
    """Whatever is seen in this block, by this thread and the crews that it runs."""
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


def took(path: str | os.PathLike[str], content: str, size: int) -> None:
    """Of what is at ``path`` the run depends on ``size`` bytes with the SHA-256 ``content``, and on the mode."""
    if size <= _SMALL and (witness := _WATCHING.get()) is not None:
        witness.take(os.path.abspath(path), content)  # noqa: PTH100 -- as above


def listed(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Of what is at ``folder`` the run depends on there being ``names``, and nothing else."""
    if (witness := _WATCHING.get()) is not None:
        witness.take(os.path.abspath(folder), _digest_of_names(names))  # noqa: PTH100 -- as above


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything at ``path``, which the run depends on."""
    saw(path)
    return os.path.lexists(path)


def lost_sight() -> None:
    """The run depends on something that cannot be named."""
    if (witness := _WATCHING.get()) is not None:
        witness.sure = False


def unchanged(marks: Mapping[str, Mark], contents: Mapping[str, str]) -> bool:
    """Whether everything still is as it was seen, or as it was taken."""
    return all(
        mark(path) == known or (known is not None and _is_same(path, known, contents.get(path)))
        for path, known in marks.items()
    )


def mark(path: str) -> Mark:
    """What is at ``path``, so that another thing there, or the same one changed, has another mark."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- thousands of files
    except (OSError, ValueError):
        return None
    return [found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _is_same(path: str, known: list[int], content: str | None) -> bool:
    """Whether there is a file or a folder with the mode of ``known`` and the digest ``content``, and no link to one."""
    if content is None:
        return False
    try:
        found = os.lstat(path)
        if found.st_mode != known[0]:
            return False
        if stat.S_ISDIR(found.st_mode):
            return _digest_of_names(os.listdir(path)) == content  # noqa: PTH208 -- names are all that is wanted
        if not stat.S_ISREG(found.st_mode) or found.st_size > _SMALL:
            return False
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- thousands of files
            return hashlib.sha256(file.read()).hexdigest() == content
    except OSError:
        return False


def _digest_of_names(names: Iterable[str]) -> str:
    return hashlib.sha256("/".join(sorted(names)).encode("utf-8", "surrogateescape")).hexdigest()
