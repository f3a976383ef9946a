"""Progress on standard error: live on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskimage.cli.errors import warn
from taskimage.model.events import Done, Event, Listener, Notice, Started, Warned

if TYPE_CHECKING:
    from taskimage.cli.live import Live

__all__ = ["progress"]


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Listener]:
    """A listener, for any number of threads, that shows events until the block ends."""
    if quiet:
        yield _Quiet()
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        terminal = _Terminal()
        try:
            yield terminal
        finally:
            terminal.close()
    else:
        yield _Plain()


class _Quiet:
    """Warnings only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._show(event)

    def _show(self, event: Event) -> None:
        if isinstance(event, Warned):
            warn(event.text, event.hint)


class _Plain(_Quiet):
    """A line when a step begins, and one when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: set[str] = set()

    def _show(self, event: Event) -> None:
        if isinstance(event, Started) and event.step in self._steps:
            return  # it has grown
        if isinstance(event, Started | Done):
            (self._steps.add if isinstance(event, Started) else self._steps.discard)(event.step)
            print(event.label, file=sys.stderr, flush=True)
        elif isinstance(event, Notice):
            print(event.text, file=sys.stderr, flush=True)
        else:
            super()._show(event)


class _Terminal(_Quiet):
    """Bars for the steps under way, above them a line for each that ended.

    Nothing is drawn, and rich is not imported, while no step is under way: a command may have the terminal.
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None

    def _show(self, event: Event) -> None:
        if isinstance(event, Started) and self._live is None:
            from taskimage.cli.live import Live

            self._live = Live()
        if self._live is not None:
            self._live.show(event)
            if self._live.idle:
                self.close()
        elif isinstance(event, Notice | Done):
            print(event.text if isinstance(event, Notice) else event.label, file=sys.stderr)
        else:
            super()._show(event)

    def close(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None
