"""Commands that the benchmarks run, and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


class Cost(NamedTuple):
    """Seconds on the wall and of CPU, and the most memory that was resident, in MB."""

    wall: float
    cpu: float
    memory: float


def measured(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """What ``command`` costs, its own children included."""
    told = run([sys.executable, "-I", "-S", "-c", _STOPWATCH, *command], environment)
    wall, cpu, kibibytes = json.loads(told)
    return Cost(round(wall, 3), round(cpu, 3), round(kibibytes * 1024 / 1e6, 1))


def run(command: Sequence[str], environment: Mapping[str, str], *, check: bool = True) -> str:
    """What ``command`` writes; where it fails, this program ends with what it says."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
