"""Results on standard output, one line for each input; what fails does not stop the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from taskimage.cli.errors import exit_code_of, fail
from taskimage.model.errors import NotAllowed, TaskImageError

__all__ = ["each", "give_up_output", "show"]

_T = TypeVar("_T")


def each(inputs: Iterable[_T], do: Callable[[_T], int]) -> int:
    """``do`` each of ``inputs``, which gives an exit code; the first that is not 0, or 0."""
    first = 0
    for item in inputs:
        try:
            code = do(item)
        except TaskImageError as error:
            fail(error)
            code = exit_code_of(error)
        first = first or code
    return first


def show(line: str) -> None:
    """Write ``line`` to standard output at once."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_output()
        raise NotAllowed(f"cannot write the result to standard output: {error.strerror}") from error


def give_up_output() -> None:
    """Standard output leads nowhere from now on: what is left in its buffer must not fail again at exit.

    From Python 3.13 on that would decide the exit code.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
