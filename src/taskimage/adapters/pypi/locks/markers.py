"""Markers of lock files, in which ``extra`` may be several at once."""

from __future__ import annotations

import re
from collections.abc import Collection

from taskimage.adapters.pypi.target import Target

__all__ = ["applies"]

_EXTRA = re.compile(r"""\bextra\s*(==|!=)\s*(['"])(.*?)\2""")
_ALWAYS, _NEVER = "python_version >= '3'", "python_version < '3'"


def applies(marker: str | None, target: Target, extras: Collection[str] = ()) -> bool:
    """Whether ``marker`` (PEP 508) is true for ``target`` with all of ``extras``. Raises ValueError for no marker."""
    if not marker:
        return True
    from packaging.markers import Marker

    def truth(match: re.Match[str]) -> str:
        return _ALWAYS if (match[3] in extras) == (match[1] == "==") else _NEVER

    return Marker(_EXTRA.sub(truth, marker)).evaluate(target.environment)
