"""`login` and `logout`: credentials for a registry, tried before they are kept where docker keeps them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from taskimage.adapters.credentials import Credential, Found, Kept, remove_login, store_login
from taskimage.adapters.http.connections import Connections
from taskimage.adapters.registry.authorization import Authorization
from taskimage.adapters.registry.endpoint import endpoint
from taskimage.adapters.registry.session import Request, Session
from taskimage.adapters.settings import Settings
from taskimage.model.errors import BadInput, NotAllowed
from taskimage.model.events import Listener, Notice, Warned, ignore
from taskimage.model.registry import parse_registry

__all__ = ["Verify", "login", "logout"]

Verify: TypeAlias = Callable[[str, Credential], None]
"""Raises NotAllowed when a registry does not take a credential, and Unreachable when it cannot be asked."""


def login(
    registry: str,
    username: str,
    password: str,
    *,
    environ: Mapping[str, str] | None = None,
    verify: Verify | None = None,
    listener: Listener = ignore,
) -> Kept:
    """Have ``registry`` accept ``username`` and ``password``, and keep them as ``docker login`` would.

    Raises BadInput (no registry, no user, no password), what ``verify`` raises, and what `store_login` raises.
    """
    name = parse_registry(registry)
    if not username or ":" in username or not username.isprintable():
        raise BadInput(f"not a user name: {username!r:.100}; wanted text without ':' (RFC 7617)")
    if not password:
        raise BadInput(f"the password for {name} is empty")
    environ = os.environ if environ is None else environ
    try:
        (verify or partial(_verify, environ))(name, Credential("basic", username, password, "this login"))
    except NotAllowed as error:
        # Further lines tell where credentials were looked for, which is no question here.
        raise NotAllowed(
            error.message.partition("\n")[0],
            hint="look at user and password; some registries want an access token in place of the password",
        ) from error
    kept = store_login(environ, name, username, password)
    listener(Notice(f"logged in to {name}; kept in {kept.place}"))
    if kept.plain:
        listener(
            Warned(
                f"the password is in {kept.place} unencrypted",
                hint="to have it kept by a credential helper, name one there as credsStore, and log in again",
            )
        )
    return kept


def logout(
    registry: str, *, environ: Mapping[str, str] | None = None, listener: Listener = ignore
) -> str | None:
    """Forget what `login` or ``docker login`` kept for ``registry``: where it was, or None when there was none."""
    name = parse_registry(registry)
    place = remove_login(os.environ if environ is None else environ, name)
    listener(Notice(f"logged out of {name}; removed from {place}" if place else f"not logged in to {name}"))
    return place


def _verify(environ: Mapping[str, str], registry: str, credential: Credential) -> None:
    """Ask ``registry``, with ``credential`` and no other, whether it lets anybody in (distribution-spec, end-1)."""
    settings, connections = Settings.load(environ), Connections(environ)
    authorization = Authorization(
        registry,
        connections,
        lambda _: Found(credential, ()),
        trust=lambda host: endpoint(host, settings, environ).trust,
    )
    # Who waits at a terminal tries again without our patience.
    session = Session(endpoint(registry, settings, environ), connections, authorization, pauses=(0.3,))
    session.ask(Request(method="GET", path="/v2/", doing=f"log in to {registry} as {credential.username!r}"))
