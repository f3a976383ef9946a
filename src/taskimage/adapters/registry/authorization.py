"""The ``Authorization`` of requests to one registry: Basic, or Bearer tokens that its token server gives.

Tokens are of some scopes and expire (distribution, "Token Authentication Specification"): each is kept for as
long as it is good, asked for once however many threads want it, and asked for again when a registry takes it no
more. Credentials go to the registry and to the token server that it names, and nowhere else.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from taskimage.adapters.http import network
from taskimage.adapters.http.connections import Connections
from taskimage.adapters.http.trust import Trust

if TYPE_CHECKING:
    from taskimage.adapters.credentials import Credential, Found
    from taskimage.adapters.registry.challenge import Challenge
    from taskimage.adapters.registry.tokens import Scope, Token, TokenServer

__all__ = ["Authorization"]


class Authorization:
    """What lets requests into one registry. Safe to share between threads.

    Args:
        host: The registry, for people.
        connections: What reaches the token server.
        find: The credential for a repository, and where it was looked for.
        trust: Whom a connection to a host believes.
    """

    def __init__(
        self,
        host: str,
        connections: Connections,
        find: Callable[[str], Found],
        *,
        trust: Callable[[str], Trust],
    ) -> None:
        self._find = find
        self._host = host
        self._connections = connections
        self._trust = trust
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[Scope, ...], Token] = {}
        self._lock = threading.Lock()
        self._fetching: defaultdict[tuple[Scope, ...], threading.Lock] = defaultdict(threading.Lock)

    def header(self, scopes: Sequence[Scope]) -> Mapping[str, str]:
        """The header for a request of ``scopes``; nothing until the registry has asked for something.

        The first scope is of the repository whose credential serves.
        """
        challenge = self._challenge
        if challenge is None:
            return {}
        repository = scopes[0][0] if scopes else ""
        credential = self._find(repository).credential
        if credential is not None and credential.kind == "bearer":
            return _bearer(credential.secret)
        if challenge.scheme == "basic":
            return _basic(credential)
        wanted = tuple(scopes)
        with self._lock:
            fetching = self._fetching[wanted]
        # One thread asks; the others find what it got.
        with fetching:
            token = self._tokens.get(wanted)
            if token is None or time.monotonic() >= token.stale:
                token = self._tokens[wanted] = self._server.token(challenge, credential, wanted)
        return _bearer(token.secret)

    def renewed(
        self, scopes: Sequence[Scope], told: Mapping[str, str], *, refused: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """The header to try after a 401 whose headers ``told`` something; None when it would be as before."""
        from taskimage.adapters.registry.challenge import challenges

        challenge = _preferred(challenges([told.get("WWW-Authenticate", "")]))
        if challenge is None:
            return None
        self._challenge = challenge
        token = self._tokens.get(tuple(scopes))
        if token is not None and _bearer(token.secret) == refused:
            # It should be good: it was revoked, or clocks differ. Another thread may have a better one by now.
            self._tokens.pop(tuple(scopes), None)
        header = self.header(scopes)
        return None if header == refused else header

    @cached_property
    def _server(self) -> TokenServer:
        from taskimage.adapters.registry.tokens import TokenServer

        return TokenServer(self._host, self._connections, trust=self._trust, tried=self.tried)

    def tried(self, repository: str) -> str:
        """Where credentials were looked for, a line for each place."""
        found = self._find(repository)
        lines = [*found.tried]
        if found.credential is not None:
            lines.append(f"used: {found.credential.source}")
        return "\n".join(f"  {line}" for line in lines)


def _preferred(offered: Sequence[Challenge]) -> Challenge | None:
    """The way to be let in that is taken: by a token rather than by a password."""
    for challenge in offered:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return next((challenge for challenge in offered if challenge.scheme == "basic"), None)


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _basic(credential: Credential | None) -> Mapping[str, str]:
    # An identity token is for token servers alone.
    if credential is None or credential.kind != "basic":
        return {}
    return network.basic(credential.username, credential.secret)
