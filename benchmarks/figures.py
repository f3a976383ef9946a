"""Figures, as the tables show them."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence


def machine() -> str:
    """What the figures were measured on."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def spread(values: Sequence[float]) -> str:
    """The median, and the smallest and the largest beside it."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
