"""Whether an image identifier is also the name of a file, which flytekit would read as a spec."""

from __future__ import annotations

import os

__all__ = ["is_file"]


def is_file(identifier: str) -> bool:
    """Whether the working directory has a file of that name; False for what can be no file's name."""
    try:
        # Asked first, because it answers for what is not there without an exception: the usual case.
        return os.access(identifier, os.F_OK) and os.path.isfile(identifier)  # noqa: PTH113
    except ValueError:  # a NUL in it, or a lone surrogate
        return False
