"""The parts of a shell script: words with their expansions, and commands."""

from __future__ import annotations

from typing import Literal, TypeAlias, Union

from taskimage.model.value import dataclass

__all__ = [
    "AndOr", "Case", "Command", "For", "Function", "Group", "If", "Node", "Part", "Pipeline", "Redirect",
    "ShellSyntaxError", "Simple", "While", "Word",
]  # fmt: skip


class ShellSyntaxError(ValueError):
    """A script that is not understood."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: ``text`` is literal text, what stands in ``${…}``, or the script in ``$(…)``."""

    kind: Literal["literal", "variable", "command"]
    text: str
    quoted: bool


Word: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    """``>`` or ``>>`` to ``target``, ``<`` from it, or for ``<<`` its text."""

    operator: str
    target: Word
    descriptor: str


@dataclass(frozen=True, slots=True)
class Simple:
    """Assignments, words, redirections; a command is its first word."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands between bars."""

    commands: tuple[Command, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class AndOr:
    """``first``, then each command whose operator (``&&``, ``||``) the status before it satisfies."""

    first: Command
    rest: tuple[tuple[str, Command], ...]


@dataclass(frozen=True, slots=True)
class If:
    """``branches`` are (condition, body); ``otherwise`` is the body of ``else``."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class For:
    """``body`` once for each of ``words``; None stands for the script's arguments."""

    variable: str
    words: tuple[Word, ...] | None
    body: Node


@dataclass(frozen=True, slots=True)
class While:
    """``body`` while ``condition`` holds (``until``: does not hold)."""

    condition: Node
    body: Node
    until: bool


@dataclass(frozen=True, slots=True)
class Case:
    """The first of ``branches`` with a pattern that ``word`` matches."""

    word: Word
    branches: tuple[tuple[tuple[Word, ...], Node], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of ``name``."""

    name: str
    body: Command


@dataclass(frozen=True, slots=True)
class Group:
    """``{ … }`` or, as ``subshell``, ``( … )``; redirections are of the whole."""

    body: Node
    redirects: tuple[Redirect, ...]
    subshell: bool = False


Command: TypeAlias = Union["Simple", "Pipeline", "AndOr", "If", "For", "While", "Case", "Function", "Group"]
Node: TypeAlias = tuple[Command, ...]
