"""Every error that taskimage raises on purpose, as one tree with an exit code per family.

TaskImageError              70  a bug of ours, when raised bare
├── BadInput                 2  what was given cannot be read or makes no sense
│   ├── InvalidReference     2  text that names no image
│   ├── InvalidSpec          2  a YAML file or ImageSpec with problems, all of them listed
│   └── StaleLock            2  a lock that no longer says what its spec wants
├── NotFound                 3  a file, image, package or version that is not there
├── NotAllowed               4  credentials or permissions are missing
├── Unreachable              5  no answer, or none that can be trusted: worth a retry
├── IntegrityError           6  a digest or signature does not match
└── CannotBuild              7  what is wanted is understood and cannot be made
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "BadInput",
    "CannotBuild",
    "IntegrityError",
    "InvalidReference",
    "InvalidSpec",
    "NotAllowed",
    "NotFound",
    "Problem",
    "StaleLock",
    "TaskImageError",
    "Unreachable",
]


class TaskImageError(Exception):
    """The root of every error raised on purpose.

    Args:
        message: What was being done, the value in ``repr``, what would be accepted.
        where: The place it is about (``file:line:column``, a layer, a member), when that is known.
        hint: What to do next, shown after the message.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\nhint: {self.hint}" if self.hint else text


class BadInput(TaskImageError):
    """What was given cannot be read or makes no sense."""

    exit_code = 2


class InvalidReference(BadInput, ValueError):
    """Text that names no image. ``position`` is the offset of the first character that is wrong."""

    def __init__(
        self, message: str, *, identifier: str, position: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.identifier = identifier
        self.position = position


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a document; lines and columns count from 1."""

    line: int
    column: int
    message: str
    hint: str | None = None


class InvalidSpec(BadInput, ValueError):
    """A spec with problems: ``problems`` has all of them, in the order of the file ``path``."""

    def __init__(self, path: str, problems: tuple[Problem, ...], *, hint: str | None = None) -> None:
        self.path = path
        self.problems = tuple(sorted(problems))
        lines = []
        for problem in self.problems:
            place = f"{path}:{problem.line}:{problem.column}" if problem.line else path
            lines.append(f"{place}: {problem.message}")
            if problem.hint:
                lines.append(f"  hint: {problem.hint}")
        super().__init__("\n".join(lines), hint=hint)


class StaleLock(BadInput):
    """A lock that no longer says what its spec wants; ``changes`` names each difference."""

    def __init__(self, message: str, *, changes: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.changes = changes


class NotFound(TaskImageError):
    """A file, image, package or version that is not there."""

    exit_code = 3


class NotAllowed(TaskImageError):
    """Credentials or permissions are missing."""

    exit_code = 4


class Unreachable(TaskImageError):
    """No answer, or none that can be trusted. The only family that is worth a retry."""

    exit_code = 5


class IntegrityError(TaskImageError):
    """Bytes that are not the ones that a digest, signature, size or checksum promised."""

    exit_code = 6


class CannotBuild(TaskImageError):
    """What is wanted is understood and cannot be made: says which input, which platform, what to do."""

    exit_code = 7
