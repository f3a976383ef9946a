"""One thing that is wrong with a spec, by the key it is about; a reader of text adds line and column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, TypeAlias

from taskimage.model.shown import shown
from taskimage.model.value import dataclass

__all__ = ["Key", "SpecProblem", "dotted", "suggestion"]

Key: TypeAlias = "tuple[str | int, ...]"


def dotted(key: Key) -> str:
    """``key`` for people.

    >>> dotted(("env", "HOME")), dotted(("packages", 2))
    ('env.HOME', 'packages[2]')
    """
    first, *others = key
    return str(first) + "".join(
        f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{part!r:.80}]" for part in others
    )


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """What is wrong with the value at ``key``, or ``at_key`` with the key itself, and what to do about it."""

    key: Key
    message: str
    hint: str | None = None
    at_key: bool = False

    @classmethod
    def wrong(cls, key: Key, value: Any, wanted: str, hint: str | None = None) -> SpecProblem:
        """A value that is not what its key wants."""
        given = "empty" if value is None else _as_written(value)
        return cls(key, f"{dotted(key)} is {given}; wanted {wanted}", hint)


def _as_written(value: Any) -> str:
    return str(value) if isinstance(value, dt.date) else shown(value, longest=80)


def suggestion(name: object, known: Iterable[str]) -> str | None:
    """A hint with the nearest of the ``known`` names; None when none is near."""
    import difflib

    text = str(name)[:80].lower().replace("-", "_")
    names = tuple(known)
    started = [candidate for candidate in names if len(text) > 2 and candidate.startswith(text)]
    near = started or difflib.get_close_matches(text, names, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else None
