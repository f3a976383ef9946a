"""What a script asks of the world outside its shell, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from taskimage.transform.effects.shell.interpreter import Interpreter

__all__ = ["Call", "Host", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it printed; None where that cannot be known."""

    status: bool | None
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command that is no part of the shell: its words (None: unknown), and what decides its meaning.

    ``sure`` says that it certainly runs; ``stdin`` is what it reads: a here-document, or what a pipe brings.
    """

    name: str
    arguments: tuple[str | None, ...]
    stdin: str | None
    sure: bool


@dataclass(frozen=True, slots=True)
class Host:
    """What the interpreter asks of the world.

    It runs a command, writes a file (path, text, append, sure), and gives the paths that match a pattern.
    """

    run: Callable[[Call, Interpreter], Result]
    write: Callable[[str, str | None, bool, bool], None]
    glob: Callable[[str], list[str]]
