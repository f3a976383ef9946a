"""Errors on standard error, and exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from taskimage.model.errors import TaskImageError

__all__ = ["colour", "exit_code_of", "fail", "say", "warn"]

_INTERRUPTED = 130
_BUG = 70
_STYLES = {"error": "\033[1;31m", "warning": "\033[1;33m", "hint": "\033[1;36m"}


def exit_code_of(error: BaseException) -> int:
    """The exit code of the family that ``error`` belongs to."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    return error.exit_code if isinstance(error, TaskImageError) else _BUG


def fail(error: BaseException) -> None:
    """Say on standard error what went wrong and what to do next."""
    if isinstance(error, KeyboardInterrupt):
        say("error", "interrupted")
    elif isinstance(error, TaskImageError) and error.exit_code != _BUG:
        say("error", str(error))
    else:
        say("error", f"{type(error).__name__}: {error}")
        say("hint", _report(error))
    if os.environ.get("TASKIMAGE_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)


def warn(text: str, hint: str | None = None) -> None:
    """Say on standard error what a person should look at."""
    say("warning", text)
    if hint:
        say("hint", hint)


def colour(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that wants colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _report(error: BaseException) -> str:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    code = where.tb_frame.f_code if where is not None else None
    place = f" at {Path(code.co_filename).name}, {code.co_name}" if code is not None else ""
    return (
        f"this is a bug in taskimage{place}. Please report it with the command, the YAML file, and what the "
        "same command prints with TASKIMAGE_DEBUG=1"
    )


def say(kind: str, text: str) -> None:
    """Write ``text`` to standard error after its kind: ``error``, ``warning`` or ``hint``.

    Further lines that begin with a kind of their own keep that.
    """
    for number, line in enumerate(text.splitlines() or [""]):
        label, separator, rest = line.partition(": ")
        if number and label in _STYLES and separator:
            _write(label, rest)
        elif number:
            print(line, file=sys.stderr)
        else:
            _write(kind, line)


def _write(kind: str, text: str) -> None:
    label = f"{_STYLES[kind]}{kind}\033[0m" if colour(sys.stderr) else kind
    print(f"{label}: {text}", file=sys.stderr)
