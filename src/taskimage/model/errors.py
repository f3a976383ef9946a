"""Every error that taskimage raises on purpose, as one tree with an exit code per family.

TaskImageError              70  a bug of ours, when raised bare
├── BadInput                 2  what was given cannot be read or makes no sense
│   ├── InvalidReference     2  text that names no image (also a ValueError)
│   ├── InvalidSpec          2  a YAML file or ImageSpec with problems, all of them listed (also a ValueError)
│   ├── InvalidTemplate      2  a template that cannot be filled in (also an AssertionError)
│   ├── InvalidValue         2  values that contradict each other (also a ValueError)
│   ├── MissingKey           2  a document without a key that it must have (also a KeyError)
│   ├── MissingVersion       2  an image with neither tag nor digest (also an AssertionError)
│   ├── StaleLock            2  a lock that no longer says what its spec wants
│   └── WrongType            2  a value of another type than is read (also a TypeError)
├── NotFound                 3  a file, image, package or version that is not there
│   └── MissingSpec          3  a spec's file that is not there (also an AssertionError)
├── NotAllowed               4  credentials or permissions are missing
├── Unreachable              5  no answer, or none that can be trusted: worth a retry
├── IntegrityError           6  a digest or signature does not match
└── CannotBuild              7  what is wanted is understood and cannot be made

The built-in kind beside each name is the one that flytekit raises there, so that code which catches it still does.
`ImageWarning` stands apart: it is shown and nothing is stopped.
"""

from __future__ import annotations

from taskimage.model.value import dataclass

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds and this module is imported first
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BadInput",
    "CannotBuild",
    "ImageWarning",
    "IntegrityError",
    "InvalidReference",
    "InvalidSpec",
    "InvalidTemplate",
    "InvalidValue",
    "MissingKey",
    "MissingSpec",
    "MissingVersion",
    "NotAllowed",
    "NotFound",
    "Problem",
    "StaleLock",
    "TaskImageError",
    "Unreachable",
    "WrongType",
]


class TaskImageError(Exception):
    """The root of every error raised on purpose.

    Args:
        message: What was being done, the value in ``repr``, what would be accepted.
        where: The place it is about (``file:line:column``, a layer, a member), when that is known.
        hint: What to do next, shown after the message.
    """

    exit_code: int = 70

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\nhint: {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from `args` alone, which loses keyword-only fields: errors cross process pools.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[TaskImageError], args: tuple[object, ...], fields: dict[str, object]
) -> TaskImageError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


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


class InvalidTemplate(BadInput, AssertionError):
    """A template such as ``{{.image.NAME.fqn}}`` that cannot be filled in."""


class InvalidValue(BadInput, ValueError):
    """Values that are read well and contradict each other, or another rule."""


class MissingKey(BadInput, KeyError):
    """A document without the key ``key`` that it must have."""

    def __init__(self, message: str, *, key: str, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint)
        self.key = key


class MissingVersion(BadInput, AssertionError):
    """An image with neither tag nor digest, where one is needed."""


class StaleLock(BadInput):
    """A lock that no longer says what its spec wants; ``changes`` names each difference."""

    def __init__(self, message: str, *, changes: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.changes = changes


class WrongType(BadInput, TypeError):
    """A value of another type than is read there."""


class NotFound(TaskImageError):
    """A file, image, package or version that is not there."""

    exit_code = 3


class MissingSpec(NotFound, AssertionError):
    """An identifier that is spelled as a spec's file, which is not there."""


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


class ImageWarning(UserWarning):
    """Shown for an image that means something else than was probably meant, or that no registry can serve."""
