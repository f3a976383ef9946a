"""Who may do what: Basic credentials, or tokens from a token server (distribution, "Token Authentication")."""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import parse_qsl

from taskimage.model.value import dataclass
from taskimage.testing.messages import Answer, Refusal, Request

__all__ = ["ALL", "Access", "Scope"]

ALL = ("pull", "push", "delete")


@dataclass(frozen=True, slots=True)
class Scope:
    """Some actions on one repository: ``repository:team/app:pull,push``."""

    name: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Scope | None:
        """The scope that ``text`` writes; None for one that is of no repository."""
        kind, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        return cls(name, frozenset(actions.split(","))) if kind == "repository" and name else None

    def __str__(self) -> str:
        return f"repository:{self.name}:{','.join(one for one in ALL if one in self.actions)}"


@dataclass(frozen=True, slots=True)
class _Grant:
    scopes: tuple[Scope, ...]
    until: float

    def covers(self, wanted: Scope) -> bool:
        granted = {action for scope in self.scopes if scope.name == wanted.name for action in scope.actions}
        return wanted.actions <= granted


class Access:
    """The rules of a registry, and its token server.

    Args:
        kind: How clients say who they are; None where nobody is asked.
        username: Whom the rules are for. Without one, the token server knows no users and gives everybody
            what they ask for.
        password: What proves it.
        actions: What the user may do.
        public: Whether everybody may pull.
        lifetime: Seconds that a token is good for.
        secure: Whether the token server is behind TLS.
    """

    def __init__(
        self,
        kind: Literal["basic", "bearer"] | None,
        *,
        username: str,
        password: str,
        actions: Iterable[str],
        public: bool,
        lifetime: float,
        secure: bool,
    ) -> None:
        self.kind = kind
        self.identity_token = secrets.token_urlsafe()
        self._user = (username, password)
        self._actions = frozenset(actions)
        self._public = public
        self._lifetime = lifetime
        self._protocol = "https" if secure else "http"
        self._lock = threading.Lock()
        self._grants: dict[str, _Grant] = {}

    def check(self, request: Request, wanted: Iterable[Scope]) -> None:
        """Raise Refusal unless all of ``wanted`` is allowed."""
        if self.kind == "basic":
            self._check_basic(request, wanted)
        elif self.kind == "bearer":
            self._check_bearer(request, tuple(wanted))

    def issue(self, scopes: Iterable[str]) -> str:
        """A token for these scopes, whoever asks."""
        parsed = tuple(scope for text in scopes if (scope := Scope.parse(text)))
        token = secrets.token_urlsafe()
        with self._lock:
            self._grants[token] = _Grant(parsed, time.monotonic() + self._lifetime)
        return token

    def expire(self) -> None:
        """All tokens that were given out are good for nothing from now on; identity tokens stay."""
        with self._lock:
            self._grants.clear()

    # -- the registry ----------------------------------------------------------------------------------

    def _check_basic(self, request: Request, wanted: Iterable[Scope]) -> None:
        named = _basic(request)
        actions = frozenset[str]().union(*(scope.actions for scope in wanted))
        if self._public and named is None and actions == {"pull"}:
            return
        if named != self._user:
            raise _unauthorized('Basic realm="registry"')
        if not actions <= self._actions:
            raise Refusal("DENIED", "requested access to the resource is denied")

    def _check_bearer(self, request: Request, wanted: tuple[Scope, ...]) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            grant = self._grants.get(token) if scheme.lower() == "bearer" else None
        fresh = grant is not None and time.monotonic() < grant.until
        if grant is not None and fresh and all(grant.covers(scope) for scope in wanted):
            return
        realm = f"{self._protocol}://{request.headers['host']}/token"
        challenge = f'Bearer realm="{realm}",service="registry"'
        if wanted:
            challenge += f',scope="{" ".join(map(str, wanted))}"'
        if fresh:
            challenge += ',error="insufficient_scope"'
        elif token:
            challenge += ',error="invalid_token"'
        raise _unauthorized(challenge)

    # -- the token server ------------------------------------------------------------------------------

    def token(self, request: Request) -> Answer:
        """What the token server says: GET with Basic credentials or none, or POST as in OAuth 2.0."""
        if request.method == "POST":
            form = dict(parse_qsl(b"".join(request.body).decode()))
            known = self._knows(form)
            asked = form.get("scope", "").split()
            offline = form.get("access_type") == "offline" or form.get("grant_type") == "refresh_token"
        else:
            named = _basic(request)
            if "authorization" in request.headers and named != self._user:
                raise _unauthorized('Basic realm="tokens"')
            known = named is not None
            asked = request.query.get("scope", "").split()
            offline = request.query.get("offline_token") == "true"
        allowed = self._allowed(known=known)
        scopes = [Scope(scope.name, scope.actions & allowed) for scope in map(Scope.parse, asked) if scope]
        granted = [str(scope) for scope in scopes if scope.actions]
        token = self.issue(granted)
        document = {
            "token": token,
            "access_token": token,
            "expires_in": int(self._lifetime),
            "scope": " ".join(granted),
        }
        identity = {"refresh_token": self.identity_token} if offline and known else {}
        return Answer.json({**document, **identity})

    def _knows(self, form: Mapping[str, str]) -> bool:
        grant_type = form.get("grant_type")
        if grant_type == "refresh_token" and form.get("refresh_token") == self.identity_token:
            return True
        if grant_type == "password" and (form.get("username"), form.get("password")) == self._user:
            return True
        raise _unauthorized('Basic realm="tokens"')

    def _allowed(self, *, known: bool) -> frozenset[str]:
        if known or not self._user[0]:
            return self._actions
        return self._actions & {"pull"} if self._public else frozenset()


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return username, password


def _unauthorized(challenge: str) -> Refusal:
    return Refusal("UNAUTHORIZED", "authentication required", headers={"WWW-Authenticate": challenge})
