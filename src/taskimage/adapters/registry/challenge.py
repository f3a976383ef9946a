"""What a registry asks for when it answers 401: ``WWW-Authenticate`` (RFC 9110, 11.6.1; RFC 6750, 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from taskimage.model.value import dataclass

__all__ = ["Challenge", "challenges"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# A parameter, or the name of a scheme; which of the two shows in the "=".
_PART = re.compile(
    rf'[\s,]*(?P<name>{_WORD})(?:\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_WORD})))?(?=[\s,]|\Z)'
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to be let in: a scheme in lower case, and its parameters by names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of some ``WWW-Authenticate`` headers, in order; what cannot be read is left out.

    >>> challenges(['Bearer realm="https://a.example/token",service=registry'])[0].parameters["service"]
    'registry'
    """
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        position = 0
        while match := _PART.match(header, position):
            position = match.end()
            value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            if value is None:
                found.append((match["name"].lower(), {}))
            elif found:
                found[-1][1].setdefault(match["name"].lower(), value)
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)
