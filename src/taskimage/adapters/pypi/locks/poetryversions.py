"""Versions as poetry writes bounds on them: ``^1.2``, ``~1.2``, ``>=1,<2 || >3``, ``*``."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["allows"]


def allows(constraint: str, version: str) -> bool:
    """Whether ``version`` is within ``constraint``. Raises ValueError for one that cannot be read."""
    from packaging.specifiers import SpecifierSet

    return any(
        SpecifierSet(",".join(_specifiers(part))).contains(version, prereleases=True)
        for part in re.split(r"\s*\|\|?\s*", constraint)
    )


def _specifiers(text: str) -> Iterator[str]:
    """The specifiers of PEP 440 that mean the same."""
    # A space joins bounds as a comma does, unless it stands behind an operator.
    for bound in re.split(r"\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^\d])", text.strip()):
        match = re.fullmatch(r"(\^|~=|~|===?|!=|<=|>=|<|>)?\s*(.*)", bound)
        operator, version = (match[1] or "", match[2]) if match else ("", bound)
        if version in {"*", ""}:
            continue
        if operator in {"^", "~"}:
            yield f">={version}"
            yield f"<{_next(version, caret=operator == '^')}"
        elif operator in {"", "="}:
            yield f"=={version}"
        else:
            yield f"{operator}{version}"


def _next(version: str, *, caret: bool) -> str:
    """The first version that ``^version`` or ``~version`` does not allow."""
    from packaging.version import Version

    release = list(Version(version).release)
    if caret:
        # The leftmost number that is not 0 stays; of zeros alone, the last.
        stays = next((place for place, number in enumerate(release) if number), len(release) - 1)
    else:
        stays = min(1, len(release) - 1)
    return ".".join(map(str, (*release[:stays], release[stays] + 1)))
