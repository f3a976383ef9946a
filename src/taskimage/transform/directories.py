"""The directories of an image whose mode or owner is not the plain 0755 of root.

A layer carries the parents of its paths, so every layer has to state them alike, whichever package the
directory came with; and the writable ones must stay so for any user (sticky /tmp, group 0 at home).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["MODES"]

MODES: Mapping[str, tuple[int, int, int]] = MappingProxyType({
    "etc/ssl/private": (0o700, 0, 0),
    "home/flyte": (0o775, 1000, 0),
    "home/flytekit": (0o775, 1000, 0),
    "root": (0o775, 1000, 0),
    "run/lock": (0o1777, 0, 0),
    "tmp": (0o1777, 0, 0),
    "var/cache/ldconfig": (0o700, 0, 0),
    "var/local": (0o2775, 0, 50),
    "var/mail": (0o2775, 0, 8),
    "var/tmp": (0o1777, 0, 0),
})  # fmt: skip
"""Path -> mode, uid, gid."""
