"""Figures: what was measured, and on what."""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "Figures", "arriving", "machine", "median", "spread", "versions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command cost once.

    Attributes:
        wall: Seconds.
        cpu: Seconds of all its processes, and of the engine that worked for it.
        memory: The most that one of these had resident, in MB.
        sent: MB that the registry was sent.
        received: MB that it gave.
        requests: That it answered.
        fetched: MB that came in through the network, from whoever was asked for packages; other programs' too.
    """

    wall: float
    cpu: float
    memory: float
    sent: float
    received: float
    requests: int
    fetched: float


Figures = Mapping[str, Mapping[str, Sequence[Cost]]]
"""What was measured, by case and peer."""


def machine() -> str:
    """What the figures were measured on."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Of the peers and of the registry, as they say it."""
    asked = {
        "docker engine": "dockerd",
        "buildah": "buildah",
        "skopeo": "skopeo",
        "docker-registry": "docker-registry",
    }
    found = {}
    for name, program in asked.items():
        if path := shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            number = re.search(r"\d+(\.\d+)+", said)
            found[name] = number.group() if number else "?"
    return found


def arriving() -> int:
    """Bytes that came in through this machine's networks, loopback apart, since it started."""
    lines = Path("/proc/net/dev").read_text("ascii").splitlines()[2:]
    fields = (line.replace(":", " ").split() for line in lines)
    return sum(int(one[1]) for one in fields if one[0] != "lo")


def median(costs: Sequence[Cost], part: str) -> float:
    """The median of one part of what was measured."""
    return float(statistics.median(getattr(cost, part) for cost in costs))


def spread(values: Sequence[float]) -> str:
    """The median, and the smallest and the largest beside it."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
