"""Commands that the benchmarks run, and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Command", "CommandFailed", "Usage", "measured", "run"]

# Linux counts the memory of whoever starts a program as that program's, so something small starts them.
_STOPWATCH = """
import json, os, sys, time
told = os.dup(1)
os.dup2(2, 1)
started = time.perf_counter()
_, status, usage = os.wait4(os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]), 0)
seconds = time.perf_counter() - started
figures = seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss
os.write(told, json.dumps(figures).encode())
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, and the variables that it gets beside those of the benchmark."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class CommandFailed(Exception):
    """A command ended with an error, and this is what it said."""


class Usage(NamedTuple):
    """Seconds on the wall and of CPU, and the most memory that one process had resident, in MB."""

    wall: float
    cpu: float
    memory: float


def measured(command: Command) -> Usage:
    """What ``command`` takes, its own children included."""
    told = run(Command([sys.executable, "-I", "-S", "-c", _STOPWATCH, *command.words], command.environment))
    wall, cpu, kibibytes = json.loads(told)
    return Usage(wall, cpu, kibibytes * 1024 / 1e6)


def run(command: Command, *, check: bool = True) -> str:
    """What ``command`` writes. Raises CommandFailed."""
    done = subprocess.run(
        command.words,
        env={**os.environ, **command.environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(command.words)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
