"""Threads that work together and stop together: the first failure, or Ctrl-C, ends all at once.

A thread that reads from a slow server notices nothing else; so whoever stops the crew also cuts the
connections that are being read. What still hangs then is left behind: the threads are daemons.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import urllib3

__all__ = ["Crew"]

T = TypeVar("T")

# Seconds for the threads to clean up after they were stopped.
_GRACE = 1.0
_LOOK_UP = 0.2


class _StoppedError(Exception):
    """The crew has stopped; nobody waits for what this thread does."""


class Crew:
    """What the threads of one `run` share."""

    SIZE: Final = 8

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._ended = threading.Semaphore(0)
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._responses: set[urllib3.BaseHTTPResponse] = set()

    @staticmethod
    def current() -> Crew:
        """The crew that this thread belongs to; outside of any `run` one that nobody stops."""
        return _CURRENT.get()

    @classmethod
    def run(cls, work: Callable[[T], object], items: Iterable[T]) -> None:
        """``work`` is done on every item by up to `SIZE` threads; raises the first failure.

        A crew that is run by a member of another one stops with that.
        """
        crew, outer = cls(), cls.current()
        todo = deque(items)
        working = min(cls.SIZE, len(todo))
        try:
            for _ in range(working):
                # What the caller looks on with, its threads look on with too.
                labour = partial(copy_context().run, crew._labour, work, todo)
                threading.Thread(target=labour, daemon=True).start()
            while working and not crew._stopped.is_set():
                # Not Thread.join, which takes the thread for ended after Ctrl-C. And in short waits, since a
                # signal may reach another thread, and then nothing wakes this one.
                working -= crew._ended.acquire(timeout=_LOOK_UP)
                outer.check()
        finally:
            # Whatever was begun in its name and goes on is wanted no more.
            crew._stop()
            deadline = time.monotonic() + _GRACE
            while working and crew._ended.acquire(timeout=max(0.0, deadline - time.monotonic())):
                working -= 1
        if crew._failures:
            raise crew._failures[0]

    @property
    def stopped(self) -> bool:
        """Whether nobody waits any more for what its members do."""
        return self._stopped.is_set()

    def waited(self, seconds: float) -> bool:
        """True after ``seconds``; False, at once, when the crew stops."""
        return not self._stopped.wait(seconds)

    def check(self) -> None:
        """Ends the work of this thread when the crew has stopped: for work that is long and waits for nothing."""
        if self._stopped.is_set():
            raise _StoppedError

    @contextlib.contextmanager
    def watching(self, response: urllib3.BaseHTTPResponse) -> Iterator[None]:
        """Within the block ``response`` is cut off when the crew stops."""
        with self._lock:
            self._responses.add(response)
        try:
            if self._stopped.is_set():
                _cut(response)
            yield
        finally:
            with self._lock:
                self._responses.discard(response)

    def _labour(self, work: Callable[[T], object], todo: deque[T]) -> None:
        _CURRENT.set(self)
        try:
            while not self._stopped.is_set():
                try:
                    item = todo.popleft()
                except IndexError:
                    return
                work(item)
        except BaseException as failure:  # noqa: BLE001 - raised again by `run`
            self._failures.append(failure)
            self._stop()
        finally:
            self._ended.release()

    def _stop(self) -> None:
        self._stopped.set()
        with self._lock:
            for response in self._responses:
                _cut(response)


def _cut(response: urllib3.BaseHTTPResponse) -> None:
    # Raised when the body was read to its end in the meantime.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        response.shutdown()


_ALONE = Crew()
_CURRENT: ContextVar[Crew] = ContextVar("crew", default=_ALONE)
