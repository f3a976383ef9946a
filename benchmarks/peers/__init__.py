"""Who is measured: ours, those whom people use today, and the least that any program has to do."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.cases import Case
from benchmarks.commands import Command

__all__ = ["Ground", "Peer"]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where one peer plays one scene: a registry, another one, and a folder, all empty at first."""

    host: str
    second: str
    folder: Path


class Peer(Protocol):
    """Somebody who can do some of the cases."""

    @property
    def name(self) -> str:
        """What it is called, in one word."""

    @property
    def cases(self) -> Container[str]:
        """What it can do."""

    @property
    def most(self) -> int:
        """In how many turns it takes part at most."""

    @property
    def engine(self) -> int | None:
        """The process that works for its commands, where that is another one."""

    def forget(self) -> None:
        """Empty every cache of this machine."""

    def ready(self, case: Case, ground: Ground) -> Command:
        """Bring everything into the state of ``case``; the command that is measured."""
