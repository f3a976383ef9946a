"""What several threads do, told as one step: it ends when all that was expected has come, or failed."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Mapping

from taskimage.model.events import Done, Listener, Moved, Started, counted

__all__ = ["Tally"]


class Tally:
    """Counts things of one kind, each once. Safe to share between threads.

    Args:
        listener: Hears of the step, and again when more is expected while it is under way.
        step: Its name.
        words: What is being done, what was done, and with what: ``("Fetching", "Fetched", "package")``.
    """

    def __init__(self, listener: Listener, step: str, words: tuple[str, str, str]) -> None:
        self._listener = listener
        self._step = step
        self._doing, self._done, self._noun = words
        self._lock = threading.Lock()
        self._open: set[Hashable] = set()
        self._seen: dict[Hashable, int] = {}
        self._sizes: list[int] = []

    def expect(self, sizes: Mapping[Hashable, int]) -> None:
        """Things to come, with a guess of how many bytes each is; those that are expected already count once."""
        with self._lock:
            new = {thing: size for thing, size in sizes.items() if thing not in self._seen}
            if not new:
                return
            self._seen |= new
            self._open |= new.keys()
            label = f"{self._doing} {counted(len(self._seen), self._noun)}"
            self._listener(Started(self._step, label, sum(self._seen.values())))

    def moved(self, amount: int) -> None:
        """``amount`` more bytes of them have come."""
        self._listener(Moved(self._step, amount))

    def came(self, sizes: Mapping[Hashable, int]) -> None:
        """They are there, with so many bytes."""
        with self._lock:
            self._sizes += [size for thing, size in sizes.items() if thing in self._open]
            self._settle(sizes)

    def failed(self, things: Iterable[Hashable]) -> None:
        """Those of ``things`` that are still expected will not come."""
        with self._lock:
            self._settle(things)

    def _settle(self, things: Iterable[Hashable]) -> None:
        was_open = bool(self._open)
        self._open.difference_update(things)
        if was_open and not self._open:
            if self._sizes:
                what = counted(len(self._sizes), self._noun)
                self._listener(Done(self._step, f"{self._done} {what}, {sum(self._sizes) / 1e6:.1f} MB"))
            self._seen.clear()
            self._sizes.clear()
