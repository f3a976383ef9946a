"""Turns: who computes, how many at a time, and who is next."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.adapters.processors import Turns


def served(waiting: Sequence[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Those of ``waiting`` (weight, awaited), in the order in which a single turn was theirs."""
    turns, order, lock = Turns(1), list[tuple[int, bool]](), threading.Lock()
    queued = threading.Semaphore(0)

    def work(weight: int, *, awaited: bool) -> None:
        queued.release()
        with turns.turn(weight, awaited=awaited), lock:
            order.append((weight, awaited))

    with turns.turn(0):
        threads = [threading.Thread(target=work, args=one[:1], kwargs={"awaited": one[1]}) for one in waiting]
        for thread in threads:
            thread.start()
            queued.acquire()
        while len(turns._waiting) < len(waiting):  # the last ones may not stand in line yet
            pass
    for thread in threads:
        thread.join(10)
    return order


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6))
@settings(max_examples=30, deadline=None)
def test_what_others_wait_for_comes_first_and_then_the_heaviest(waiting: list[tuple[int, bool]]) -> None:
    assert served(waiting) == sorted(waiting, key=lambda one: (not one[1], -one[0]))


@given(st.integers(1, 4), st.integers(0, 12))
@settings(max_examples=20, deadline=None)
def test_no_more_are_let_in_than_there_are_turns(count: int, threads: int) -> None:
    turns, lock = Turns(count), threading.Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with turns.turn(1):
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1

    working = [threading.Thread(target=work) for _ in range(threads)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join(10)
    assert most <= count
    assert (most > 0) == (threads > 0)


def test_a_turn_that_ends_badly_is_given_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        try:
            with turns.turn(1):
                raise ValueError
        except ValueError:
            pass
    with turns.turn(1):
        pass
