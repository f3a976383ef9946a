"""Threads that work together and stop together: the first failure, or Ctrl-C, ends all at once.

A thread that reads from a slow server, or waits for a program, notices nothing else; so whoever stops the crew also
cuts the connections that are being read, and ends the programs. What still hangs then is left behind: the threads are
daemons.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Final, TypeVar

__all__ = ["Crew"]

T = TypeVar("T")

# Seconds for the threads to clean up after they were stopped.
_GRACE = 1.0
_LOOK_UP = 0.2


class _StoppedError(Exception):
    """The crew has stopped; nobody waits for what this thread does."""


class Crew:
    """What the threads of one `run` share, or the one that works `beside` another."""

    SIZE: Final = 8

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._ended = threading.Semaphore(0)
        self._working = 0
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._ends: set[Callable[[], object]] = set()

    @staticmethod
    def current() -> Crew:
        """The crew that this thread belongs to; outside of any `run` one that nobody stops."""
        return _CURRENT.get()

    @classmethod
    def run(cls, work: Callable[[T], object], items: Iterable[T]) -> None:
        """``work`` is done on every item by up to `SIZE` threads; raises the first failure.

        A crew that is run by a member of another one stops with that.
        """
        crew, todo = cls(), deque(items)
        try:
            crew._begin(work, todo)
            crew._wait()
        finally:
            crew._finish()

    @classmethod
    @contextlib.contextmanager
    def beside(cls, work: Callable[[], T]) -> Iterator[Callable[[], T]]:
        """A thread does ``work`` beside the block, and is stopped where the block ends.

        What is given waits for it: for what it returns, or to raise what it raised.
        """
        crew = cls()
        made: list[T] = []

        def result() -> T:
            crew._wait()
            return made[0]

        try:
            crew._begin(lambda _: made.append(work()), deque((None,)))
            yield result
        finally:
            crew._finish()

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
    def watching(self, end: Callable[[], object]) -> Iterator[None]:
        """Within the block ``end`` is called when the crew stops: it ends what the thread waits for."""
        with self._lock:
            self._ends.add(end)
        try:
            if self._stopped.is_set():
                _call(end)
            yield
        finally:
            with self._lock:
                self._ends.discard(end)

    def _begin(self, work: Callable[[T], object], todo: deque[T]) -> None:
        for _ in range(min(self.SIZE, len(todo))):
            if not todo:  # the first have done everything meanwhile
                break
            # What the caller looks on with, its threads look on with too.
            labour = partial(copy_context().run, self._labour, work, todo)
            threading.Thread(target=labour, daemon=True).start()
            self._working += 1

    def _wait(self) -> None:
        """All is done; raises the first failure."""
        outer = Crew.current()
        while self._working and not self._stopped.is_set():
            # Not Thread.join, which takes the thread for ended after Ctrl-C. And in short waits, since a
            # signal may reach another thread, and then nothing wakes this one.
            self._working -= self._ended.acquire(timeout=_LOOK_UP)
            outer.check()
        if self._failures:
            raise self._failures[0]

    def _finish(self) -> None:
        """Whatever was begun in its name and goes on is wanted no more."""
        self._stop()
        deadline = time.monotonic() + _GRACE
        while self._working and self._ended.acquire(timeout=max(0.0, deadline - time.monotonic())):
            self._working -= 1

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
            for end in self._ends:
                _call(end)


def _call(end: Callable[[], object]) -> None:
    # Raised when it has come to its end in the meantime.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        end()


_ALONE = Crew()
_CURRENT: ContextVar[Crew] = ContextVar("crew", default=_ALONE)
