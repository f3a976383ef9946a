"""Progress: what is shown where, and that it is never on standard output."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Sequence

import pytest

from taskimage.cli.progress import progress
from taskimage.model.events import Done, Event, Moved, Notice, Started, Warned

_CURSOR_IS_BACK = "\033[?25h"

_STORY: Sequence[Event] = (
    Started("fetch", "Fetching [3] files", 300),
    Moved("fetch", 200),
    Warned("a mirror is slow", hint="name another"),
    Started("count", "Counting", 2, "layers"),
    Moved("count", 1),
    Moved("unknown", 1),
    Notice("one file is old"),
    Done("fetch", "Fetched 3 files"),
    Done("count", "Counted"),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def terminal() -> contextlib.redirect_stderr[Terminal]:
    return contextlib.redirect_stderr(Terminal())


def tell(events: Sequence[Event] = _STORY, *, quiet: bool = False) -> None:
    with progress(quiet=quiet) as listener:
        for event in events:
            listener(event)


def test_elsewhere_than_on_a_terminal_it_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    tell()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Fetching [3] files",
        "warning: a mirror is slow",
        "hint: name another",
        "Counting",
        "one file is old",
        "Fetched 3 files",
        "Counted",
    ]


def test_quiet_leaves_the_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    tell(quiet=True)
    assert capsys.readouterr() == ("", "warning: a mirror is slow\nhint: name another\n")


def test_on_a_terminal_steps_that_ended_and_warnings_stay() -> None:
    with terminal() as screen:
        tell()
    shown = screen.getvalue()
    for text in ("✓ Fetched 3 files", "a mirror is slow", "name another", "one file is old", "Counted"):
        assert text in shown
    assert "\033[" in shown


def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as screen:
        tell([Warned("careful"), Started("a", "A"), Warned("more"), Done("a", "Done")])
    assert not re.search(r"\033\[[0-9;]*3[0-7]m", screen.getvalue())
    assert "warning: careful\n" in screen.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as screen:
        tell()
    assert "\033" not in screen.getvalue()


def test_nothing_is_drawn_while_no_step_is_under_way() -> None:
    """A command that is run may have the terminal to itself."""
    with terminal() as screen, progress() as listener:
        listener(Started("a", "A"))
        listener(Done("a", "A is done"))
        before = screen.getvalue()
        assert _CURSOR_IS_BACK in before
        threading.Event().wait(0.3)
        assert screen.getvalue() == before


def test_the_display_is_taken_off_when_an_error_ends_it() -> None:
    def interrupted() -> None:
        with progress() as listener:
            listener(Started("a", "A"))
            raise KeyboardInterrupt

    with terminal() as screen, pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _CURSOR_IS_BACK in screen.getvalue()


@pytest.mark.parametrize("quiet", [False, True])
def test_lines_of_several_threads_are_not_mixed(capsys: pytest.CaptureFixture[str], *, quiet: bool) -> None:
    with progress(quiet=quiet) as listener:

        def work(number: int) -> None:
            for _ in range(50):
                listener(Warned(f"thread {number} says {'x' * 50}", hint="hint " * 5))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 400
    assert all(line.startswith("warning: thread") for line in lines[::2])
    assert all(line.startswith("hint: hint") for line in lines[1::2])
