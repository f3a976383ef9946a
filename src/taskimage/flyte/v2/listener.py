"""What happens while an image is built, told in flyte's own lines on standard error."""

from __future__ import annotations

from taskimage.model.events import Done, Event, Notice, Started, Warned

__all__ = ["tell"]


def tell(event: Event) -> None:
    """Show ``event``."""
    from flyte._status import status

    if isinstance(event, Warned):
        status.warn(f"{event.text}\nhint: {event.hint}" if event.hint else event.text)
    elif isinstance(event, Started | Done):
        status.step(event.label)
    elif isinstance(event, Notice):
        status.info(event.text)
