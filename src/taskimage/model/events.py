"""What a use case tells while it works: values for a face to show. Nothing here is a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from taskimage.model.value import dataclass

__all__ = ["Done", "Event", "Listener", "Moved", "Notice", "Started", "Warned", "counted", "ignore"]


@dataclass(frozen=True, slots=True)
class Started:
    """A step began, or has grown. ``step`` names it within the run; ``total`` is in bytes or items, when known."""

    step: str
    label: str
    total: int | None = None
    unit: str = "bytes"


@dataclass(frozen=True, slots=True)
class Moved:
    """``amount`` more of a step's total is done."""

    step: str
    amount: int


@dataclass(frozen=True, slots=True)
class Done:
    """A step ended; ``label`` says what came of it."""

    step: str
    label: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should look at."""

    text: str
    hint: str | None = None


Event: TypeAlias = Started | Moved | Done | Notice | Warned
Listener: TypeAlias = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """A listener for callers that want no progress."""


def counted(number: int, noun: str) -> str:
    """A number of things, in words: ``1 layer``, ``2 layers``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
