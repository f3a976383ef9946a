"""What a registry was asked, and what it answered."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import field

from taskimage.model.value import dataclass
from taskimage.testing.faults import Fault

__all__ = ["Exchange", "Exchanges"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer.

    Attributes:
        method: In capitals.
        path: As it was asked, with the query.
        headers: Of the request, by names in lower case.
        status: Of the answer; None when the connection was gone before there was one.
        received: How many bytes of the request's body arrived.
        sent: How many bytes of the answer's body were sent.
        fault: What was made to go wrong, if anything.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    status: int | None = None
    received: int = 0
    sent: int = 0
    fault: Fault | None = field(default=None, repr=False)

    @property
    def authorization(self) -> str:
        """The credentials that came with the request, or nothing."""
        return self.headers.get("authorization", "")


class Exchanges:
    """All exchanges in the order of their answers; safe for threads.

    An exchange stands here before its answer is out, so that whoever has the answer finds it. It is corrected
    when the answer could not be sent whole.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._all: dict[int, Exchange] = {}

    def add(self, exchange: Exchange) -> int:
        """Remember ``exchange``; its number, for `correct`."""
        with self._lock:
            number = next(self._numbers)
            self._all[number] = exchange
            return number

    def correct(self, number: int, exchange: Exchange) -> None:
        """Put ``exchange`` where ``number`` is, unless that was cleared away."""
        with self._lock:
            if number in self._all:
                self._all[number] = exchange

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._all.clear()

    def all(self) -> tuple[Exchange, ...]:
        """What is remembered."""
        with self._lock:
            return tuple(self._all.values())
