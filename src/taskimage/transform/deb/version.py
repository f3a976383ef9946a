"""Versions of Debian packages and their order (policy 5.6.12)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from taskimage.model.errors import BadInput

__all__ = ["OPERATORS", "SortKey", "sort_key"]

SortKey: TypeAlias = tuple[Any, ...]

_VERSION = re.compile(r"(?:([0-9]{1,9}):)?([A-Za-z0-9.+~-]+?)(?:-([A-Za-z0-9.+~]+))?(?<!-)\Z")
_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_LONGEST = 512

# The relations of policy 7.1; `<` and `>` are old spellings that mean "or equal".
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">>": operator.gt,
    "<": operator.le, ">": operator.ge,
}  # fmt: skip


@lru_cache(maxsize=1 << 16)
def sort_key(version: str) -> SortKey:
    """A value that compares as ``version`` does. Raises BadInput for what is no version.

    >>> sort_key("1.0~rc1-1") < sort_key("1.0-1") < sort_key("1.0-1+deb12u1") < sort_key("1:0.9-1")
    True
    """
    match = _VERSION.match(version) if len(version) <= _LONGEST else None
    if match is None:
        raise BadInput(f"not a Debian version: {version[:80]!r}; wanted [epoch:]upstream[-revision]")
    epoch, upstream, revision = match.groups()
    return int(epoch or 0), _part_key(upstream), _part_key(revision or "0")


def _part_key(text: str) -> tuple[Any, ...]:
    # Text and numbers take turns, and the last turn is an empty text, so that any two keys compare part
    # by part: an end sorts before everything but a tilde.
    return tuple((_text_key(text), int(number or 0)) for text, number in _PARTS.findall(text))


def _text_key(text: str) -> tuple[int, ...]:
    weights = [-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in text]
    return (*weights, 0)
