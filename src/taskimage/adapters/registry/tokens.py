"""Tokens that the token server of a registry gives (distribution, "Token Authentication Specification")."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from taskimage.adapters.http import network
from taskimage.adapters.http.answers import passing, retry_after, unreachable
from taskimage.adapters.http.connections import Connections, redacted
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry.challenge import Challenge
from taskimage.model.errors import NotAllowed, Unreachable
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from taskimage.adapters.credentials import Credential

__all__ = ["Scope", "Token", "TokenServer"]

# What a token is for: a repository, and what is done there ("pull", or "pull,push").
Scope = tuple[str, str]

_CLIENT: Final = "taskimage"
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_MOST: Final = 1 << 20
# Seconds that a token is good for when its server does not tell, as the specification has it.
_LIFETIME: Final = 60.0
# A fifth of it is left for the request that a token is used for, which may carry much.
_USED: Final = 0.8
_LATER: Final = "try again later"


@dataclass(frozen=True, slots=True)
class Token:
    """What a registry lets in, until the monotonic clock shows ``stale``."""

    secret: str = field(repr=False)
    stale: float


class TokenServer:
    """The token server that a registry names when it asks for a token.

    Args:
        host: The registry, for people.
        connections: What reaches the server.
        trust: Whom a connection to a host believes.
        tried: Where credentials for a repository were looked for.
    """

    def __init__(
        self,
        host: str,
        connections: Connections,
        *,
        trust: Callable[[str], Trust],
        tried: Callable[[str], str],
    ) -> None:
        self._host = host
        self._connections = connections
        self._trust = trust
        self._tried = tried

    def token(self, challenge: Challenge, credential: Credential | None, scopes: Sequence[Scope]) -> Token:
        """A token for ``scopes``, of which the first is of the repository that ``credential`` is for.

        Raises NotAllowed when it is refused, Transient or Unreachable when no token can be had.
        """
        realm = challenge.parameters["realm"]
        self._check(_split(realm))
        service = challenge.parameters.get("service", "")
        wanted = [f"repository:{name}:{actions}" for name, actions in scopes]
        repository = scopes[0][0] if scopes else ""
        began = time.monotonic()
        if credential is not None and credential.kind == "identity":
            form = {"grant_type": "refresh_token", "refresh_token": credential.secret, "client_id": _CLIENT}
            body = urlencode({**form, "service": service, "scope": " ".join(wanted)}).encode()
            answer = self._answer("POST", realm, _FORM, body, repository)
        else:
            query = urlencode([("service", service)] * bool(service) + [("scope", one) for one in wanted])
            url = f"{realm}{'&' if _split(realm).query else '?'}{query}"
            login = credential and network.basic(credential.username, credential.secret)
            answer = self._answer("GET", url, login or {}, None, repository)
        secret = answer.get("token") or answer.get("access_token")
        if not isinstance(secret, str) or not (secret.isascii() and secret.isprintable()):
            raise Unreachable(
                f"cannot get a token for {self._host}: {redacted(realm)} sent none", hint=_LATER
            )
        told = answer.get("expires_in")
        lifetime = float(told) if isinstance(told, int | float) and told > 0 else _LIFETIME
        return Token(secret, began + _USED * lifetime)

    def _check(self, realm: SplitResult) -> None:
        """Credentials go where nobody listens: by TLS, or on this machine, or where the user has allowed all."""
        host = realm.netloc.rpartition("@")[2]
        if realm.scheme == "https" or (
            realm.scheme == "http"
            and (network.is_loopback(realm.hostname or "") or not self._trust(host).verified)
        ):
            return
        raise NotAllowed(
            f"{self._host} names {realm.scheme + '://' + host!r:.200} for its token server, which is not safe to "
            "send credentials to",
            hint=f'if that is meant, say so in config.toml: registries."{host}".insecure = true',
        )

    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, repository: str
    ) -> Mapping[str, Any]:
        import urllib3

        shown = redacted(url)
        trust = self._trust(_split(shown).netloc)
        with self._connections.opened(method, url, headers=headers, body=body, trust=trust) as response:
            status, after = response.status, retry_after(response.headers)
            try:
                data = response.read(_MOST)
            except urllib3.exceptions.HTTPError as error:
                raise unreachable(shown, error) from error
        if status in (400, 401, 403):
            raise NotAllowed(
                f"{self._host} lets nobody in: its token server {shown} answered HTTP {status}\n"
                f"credentials for {self._host} were looked for in:\n{self._tried(repository)}",
                hint=f"log in: taskimage login {self._host} -u USER --password-stdin",
            )
        document = _document(data) if status == 200 else None
        if document is None:
            problem = f"cannot get a token for {self._host}: {shown} answered HTTP {status}"
            raise passing(Unreachable(problem, hint=_LATER), status, after)
        return document


def _split(url: str) -> SplitResult:
    """The parts of an address, all empty where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _document(data: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
