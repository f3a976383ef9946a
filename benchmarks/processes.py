"""What a program that keeps running has used so far: a Docker engine works for the commands that ask it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cpu_seconds", "forget_peak", "peak"]

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU of the process, of what it started and what that started, whether it has ended or runs."""
    return sum(_spent(one) for one in _family(pid)) / _TICK


def forget_peak(pid: int) -> None:
    """The peak of a process is what it has now (proc(5), ``clear_refs``)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def peak(pid: int) -> float:
    """The most memory, in MB, that was resident since it was forgotten."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


def _family(pid: int) -> Iterator[int]:
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _fields(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    waiting = [pid]
    while waiting:
        yield (one := waiting.pop())
        waiting += children[one]


def _spent(pid: int) -> int:
    # utime, stime, and those of children that were waited for.
    return sum(map(int, _fields(pid)[11:15]))


def _fields(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` behind the name, which may have blanks; none where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
