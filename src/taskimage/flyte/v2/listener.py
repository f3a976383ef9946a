"""What happens while an image is built, told in flyte's own lines on standard error."""

from __future__ import annotations

from contextvars import copy_context

from taskimage.model.events import Done, Event, Notice, Started, Warned

__all__ = ["Teller"]


class Teller:
    """Shows events the way flyte shows its own where the build was asked for, whichever thread tells them."""

    def __init__(self) -> None:
        self._context = copy_context()

    def here(self) -> None:
        """From now on events belong to what this thread does: flyte indents lines, and chooses their form, by that."""
        self._context = copy_context()

    def __call__(self, event: Event) -> None:
        # Of its own for each: threads may tell at once.
        self._context.copy().run(_show, event)


def _show(event: Event) -> None:
    from flyte._status import status

    if isinstance(event, Warned):
        status.warn(f"{event.text}\nhint: {event.hint}" if event.hint else event.text)
    elif isinstance(event, Started | Done):
        status.step(event.label)
    elif isinstance(event, Notice):
        status.info(event.text)
