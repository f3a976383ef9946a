"""The ground that an image will most likely have, as far as it is known before any list of packages is read.

It is a guess, and whoever works by it holds it against the ground itself: what it says wrongly costs time alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from taskimage.model.errors import TaskImageError
from taskimage.model.lock import PlatformLock, PythonPin, Wants
from taskimage.model.oci import Platform
from taskimage.verbs.ground import Ground
from taskimage.verbs.tools import Tools

__all__ = ["STABLE", "likely_ground"]

STABLE: Final = {
    "bullseye": ("3.9.2", (2, 31)),
    "bookworm": ("3.11.2", (2, 36)),
    "trixie": ("3.13.5", (2, 41)),
}
"""The versions of Python and of the C library that a suite was released with, and keeps for as long as it lives."""


def likely_ground(
    tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock]
) -> Ground | None:
    """What Python packages will stand on, and nothing else of it; None where that cannot be guessed."""
    if wants.suite not in STABLE or wants.conda_packages or tools.offline:
        return None
    version, glibc = STABLE[wants.suite]
    if wants.python in {version, version.rpartition(".")[0]}:
        return Ground(python=PythonPin(version=version, source="suite"), glibc=glibc, suite=wants.suite)
    with contextlib.suppress(TaskImageError):
        locked = (one.python for one in kept if one.python.source == "standalone")
        found = next((pin.version for pin in locked if wants.python in {pin.version, pin.minor}), "")
        version = found or tools.cpython.newest(wants.python, platform)
        return Ground(python=PythonPin(version=version, source="standalone"), glibc=glibc, suite=wants.suite)
    return None
