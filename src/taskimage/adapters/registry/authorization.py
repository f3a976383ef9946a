"""The ``Authorization`` of requests to one registry: Basic, or Bearer tokens that its token server gives.

Tokens are of some scopes and expire (distribution, "Token Authentication Specification"): each is kept for as
long as it is good, asked for once however many threads want it, and asked for again when a registry takes it no
more. Credentials go to the registry and to the token server that it names, and nowhere else.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from taskimage.adapters.credentials import Credential, Found
from taskimage.adapters.http import network
from taskimage.adapters.http.answers import passing, retry_after
from taskimage.adapters.http.connections import Connections, Trust, redacted
from taskimage.adapters.registry.challenge import Challenge, challenges
from taskimage.model.errors import NotAllowed, Unreachable

if TYPE_CHECKING:
    import urllib3

__all__ = ["Authorization", "Scope"]

# What a token is for: a repository, and what is done there ("pull", or "pull,push"). None: to be let in at all.
Scope = tuple[str, str]

_CLIENT: Final = "taskimage"
_MOST: Final = 1 << 20
# Seconds that a token is good for when its server does not tell, as the specification has it.
_LIFETIME: Final = 60.0
_LATER: Final = "try again later"


@dataclass(frozen=True, slots=True)
class _Token:
    secret: str = field(repr=False)
    stale: float  # on the monotonic clock


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
        self._host = host
        self._connections = connections
        self._find = find
        self._trust = trust
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[Scope, ...], _Token] = {}
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
                token = self._tokens[wanted] = self._fetched(challenge, credential, wanted)
        return _bearer(token.secret)

    def renewed(
        self, scopes: Sequence[Scope], told: Mapping[str, str], *, refused: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """The header to try after a 401 whose headers ``told`` something; None when it would be as before."""
        offered = {one.scheme: one for one in reversed(challenges([told.get("WWW-Authenticate", "")]))}
        challenge = offered.get("bearer") or offered.get("basic")
        if challenge is None or (challenge.scheme == "bearer" and not challenge.parameters.get("realm")):
            return None
        self._challenge = challenge
        token = self._tokens.get(tuple(scopes))
        if token is not None and _bearer(token.secret) == refused:
            # It should be good: it was revoked, or clocks differ. Another thread may have a better one by now.
            self._tokens.pop(tuple(scopes), None)
        header = self.header(scopes)
        return None if header == refused else header

    def tried(self, repository: str) -> str:
        """Where credentials were looked for, a line for each place."""
        found = self._find(repository)
        lines = [*found.tried]
        if found.credential is not None:
            lines.append(f"used: {found.credential.source}")
        return "\n".join(f"  {line}" for line in lines)

    def _fetched(
        self, challenge: Challenge, credential: Credential | None, scopes: tuple[Scope, ...]
    ) -> _Token:
        realm = challenge.parameters["realm"]
        self._check_realm(realm)
        asked = [("scope", f"repository:{name}:{actions}") for name, actions in scopes]
        if service := challenge.parameters.get("service"):
            asked.insert(0, ("service", service))
        began = time.monotonic()
        if credential is not None and credential.kind == "identity":
            form = {"grant_type": "refresh_token", "refresh_token": credential.secret, "client_id": _CLIENT}
            # In a form the scopes are one field (OAuth 2.0), in a query each is its own.
            form |= {
                "service": service or "",
                "scope": " ".join(value for name, value in asked if name == "scope"),
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._answer("POST", realm, headers, urlencode(form).encode(), scopes)
        else:
            mark = "&" if urlsplit(realm).query else "?"
            answer = self._answer("GET", f"{realm}{mark}{urlencode(asked)}", _basic(credential), None, scopes)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise Unreachable(
                f"cannot get a token for {self._host}: {redacted(realm)} sent none", hint=_LATER
            )
        lifetime = answer.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else _LIFETIME
        # A fifth is left for the request that it is used for, which may carry much.
        return _Token(token, began + 0.8 * seconds)

    def _check_realm(self, realm: str) -> None:
        parts = urlsplit(realm)
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme == "https" or (parts.scheme == "http" and network.is_loopback(parts.hostname or "")):
            return
        if parts.scheme == "http" and not self._trust(host).verified:
            return
        raise NotAllowed(
            f"{self._host} names {redacted(realm)!r:.200} for its token server, which is not safe to send "
            "credentials to",
            hint=f'if that is meant, say so in config.toml: registries."{host}".insecure = true',
        )

    def _answer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        scopes: Sequence[Scope],
    ) -> Mapping[str, Any]:
        shown = redacted(url)
        trust = self._trust(urlsplit(shown).netloc)
        with self._connections.opened(method, url, headers=headers, body=body, trust=trust) as response:
            status, after = response.status, retry_after(response.headers)
            data = _beginning(response)
        if status in (400, 401, 403):
            tried = self.tried(scopes[0][0] if scopes else "")
            raise NotAllowed(
                f"{self._host} lets nobody in: its token server {shown} answered HTTP {status}\n"
                f"credentials for {self._host} were looked for in:\n{tried}",
                hint=f"log in: taskimage login {self._host} -u USER --password-stdin",
            )
        document = _document(data) if status == 200 else None
        if document is not None:
            return document
        error = Unreachable(
            f"cannot get a token for {self._host}: {shown} answered HTTP {status}", hint=_LATER
        )
        raise passing(error, status, after)


def _beginning(response: urllib3.BaseHTTPResponse) -> bytes:
    import urllib3

    try:
        return response.read(_MOST)
    except urllib3.exceptions.HTTPError:
        return b""


def _document(data: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _basic(credential: Credential | None) -> Mapping[str, str]:
    # An identity token is for token servers alone.
    if credential is None or credential.kind != "basic":
        return {}
    return network.basic(credential.username, credential.secret)
