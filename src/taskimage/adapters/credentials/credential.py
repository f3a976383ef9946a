"""A credential, and what came of looking for one."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from taskimage.model.value import dataclass

__all__ = ["Credential", "Found"]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a registry, or its token server, is shown.

    Attributes:
        kind: ``basic``: user and password. ``identity``: a refresh token, for the token server alone (OAuth 2).
            ``bearer``: a token that the registry itself takes as it is.
        username: Empty where the kind needs none.
        secret: Password or token; in no ``repr``.
        source: Where it was found, for people.
    """

    kind: Literal["basic", "identity", "bearer"]
    username: str
    secret: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Found:
    """The credential for a registry, or None, and a line for each place that was looked at; none has a secret."""

    credential: Credential | None
    tried: tuple[str, ...]
