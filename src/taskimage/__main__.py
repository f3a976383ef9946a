"""The command as a process of its own: ``taskimage``, or ``python -m taskimage``."""

from __future__ import annotations

import gc
import sys

from taskimage.cli import main

__all__ = ["run"]

# Objects more than there were: as many as a build that copies one file anew imports and makes, next to none of them garbage.
_SELDOM = 50_000


def run() -> int:
    """Do what the command line asks for, and give the exit code with which this process is to end."""
    gc.set_threshold(_SELDOM)
    code = main()
    # What is there goes away with the process: nobody needs to find out whether it is garbage.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(run())
