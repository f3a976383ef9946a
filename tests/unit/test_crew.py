"""Threads that work together: what stops them, and what they stop."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from taskimage.adapters.crew import Crew


def test_what_is_done_beside_a_block_is_given_when_it_is_asked_for() -> None:
    begun = threading.Event()

    def work() -> int:
        begun.set()
        return 42

    with Crew.beside(work) as result:
        assert begun.wait(5)
        assert result() == result() == 42


def test_what_fails_beside_a_block_fails_when_it_is_asked_for_and_only_then() -> None:
    def work() -> int:
        raise ValueError("no")

    with Crew.beside(work):
        pass
    with Crew.beside(work) as result, pytest.raises(ValueError, match="no"):
        result()


class Sleeper:
    """Work that waits for a program, which ends by itself too late for any test."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.begun = threading.Event()

    def __call__(self) -> int:
        self.process = subprocess.Popen(["sleep", "60"])
        with Crew.current().watching(self.process.kill):
            self.begun.set()
            return self.process.wait()


def test_what_is_not_waited_for_ends_with_the_block() -> None:
    sleeper, start = Sleeper(), time.monotonic()
    with Crew.beside(sleeper):
        assert sleeper.begun.wait(5)
    assert sleeper.process is not None
    assert sleeper.process.poll() is not None
    assert time.monotonic() - start < 5


def test_a_block_that_fails_ends_what_is_beside_it_and_tells_its_own_failure() -> None:
    sleeper = Sleeper()

    def block() -> None:
        with Crew.beside(sleeper):
            assert sleeper.begun.wait(5)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block()
    assert sleeper.process is not None
    assert sleeper.process.poll() is not None


@pytest.mark.parametrize("waits", [lambda result: result(), lambda _: Crew.current().waited(60)])
def test_what_is_beside_a_member_ends_with_its_crew(waits: Callable[[Callable[[], int]], object]) -> None:
    sleeper = Sleeper()

    def work(member: int) -> None:
        if member:
            with Crew.beside(sleeper) as result:
                waits(result)
        else:
            assert sleeper.begun.wait(5)
            raise ValueError("another")

    start = time.monotonic()
    with pytest.raises(ValueError, match="another"):
        Crew.run(work, range(2))
    assert sleeper.process is not None
    assert sleeper.process.wait(5) != 0
    assert time.monotonic() - start < 10


def test_what_is_watched_after_the_crew_has_stopped_ends_at_once() -> None:
    ended: list[str] = []

    def work(_: int) -> None:
        crew = Crew.current()
        crew._stop()
        with crew.watching(lambda: ended.append("x")):
            pass

    Crew.run(work, range(1))
    assert ended == ["x"]
