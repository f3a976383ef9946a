"""What a check found, all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from taskimage.model.value import dataclass

__all__ = ["Finding", "Findings", "Say"]

Say: TypeAlias = Callable[[str], None]

_MOST = 1000  # a hostile archive could have as many faults as bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: ``where`` is ``manifest``, ``config`` or ``layer N``, counted from the lowest, 0."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Findings:
    """A list of faults that grows."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def at(self, where: str) -> Say:
        """A function that adds a fault of ``where``."""

        def say(message: str) -> None:
            if len(self._found) < _MOST:
                self._found.append(Finding(where, message))

        return say

    @property
    def all(self) -> tuple[Finding, ...]:
        """The faults, in the order in which they were found."""
        return tuple(self._found)
