"""The files that hold credentials: docker's ``config.json`` and containers' ``auth.json``.

    {"auths": {"HOST": {"auth": base64 of "user:password"}}, "credHelpers": {"HOST": NAME}, "credsStore": NAME}

An entry may hold ``identitytoken`` or ``registrytoken`` too. What HOST may be is in `keys`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from taskimage.adapters.credentials.credential import Credential
from taskimage.adapters.credentials.keys import matching
from taskimage.adapters.userfolders import home
from taskimage.model.errors import BadInput

__all__ = [
    "credential_in",
    "docker_config",
    "encoded",
    "helper_names",
    "parse",
    "read",
    "shown_path",
    "table",
]

_FIELDS: Final = {"auth", "username", "password", "identitytoken", "registrytoken"}


# -- where they are --------------------------------------------------------------------------------------


def docker_config(environ: Mapping[str, str]) -> Path:
    """Docker's ``config.json``, whether it is there or not."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else home(environ) / ".docker") / "config.json"


def shown_path(path: Path, environ: Mapping[str, str]) -> str:
    """``path`` for people, with ``~`` for their own folder."""
    try:
        return f"~/{path.relative_to(home(environ))}"
    except ValueError:
        return str(path)


# -- what is in them -------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, Any] | None:
    """The document in the file ``path``, or None when there is no file. Raises BadInput, which has no content."""
    try:
        return parse(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}") from error


def parse(text: str | bytes) -> dict[str, Any]:
    """The document that ``text`` writes. Raises BadInput, which has none of the text."""
    # The causes are left out below since they carry the whole text.
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError):
        raise BadInput("is not JSON") from None
    if not isinstance(document, dict):
        raise BadInput("is not a JSON object")
    return document


def table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table under ``key``, empty when there is none."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def helper_names(document: Mapping[str, Any], registry: str) -> list[tuple[str, str]]:
    """The helpers that ``document`` names for ``registry`` and under which key, in docker's order."""
    special = table(document, "credHelpers")
    named = [("credHelpers", special[key]) for key in matching(special, registry)[:1]]
    return [
        (key, name)
        for key, name in (*named, ("credsStore", document.get("credsStore")))
        if isinstance(name, str) and name
    ]


def credential_in(entry: object, source: str) -> Credential | None:
    """The credential that the value under a key of ``auths`` holds. Raises BadInput, which has none of it."""
    fields = {key: value for key, value in entry.items() if value} if isinstance(entry, dict) else {}
    if not all(isinstance(value, str) for key, value in fields.items() if key in _FIELDS):
        raise BadInput("the entry holds what is no text")
    username, password = fields.get("username", ""), fields.get("password", "")
    if "auth" in fields:
        username, password = _decoded(fields["auth"])
    if "registrytoken" in fields:
        return Credential("bearer", "", fields["registrytoken"], source)
    if "identitytoken" in fields:
        return Credential("identity", username, fields["identitytoken"], source)
    return Credential("basic", username, password, source) if password else None


def encoded(username: str, password: str) -> str:
    """User and password as the ``auth`` of an entry."""
    return b64encode(f"{username}:{password}".encode()).decode()


def _decoded(auth: str) -> tuple[str, str]:
    try:
        username, colon, password = b64decode(auth, validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        colon = ""
    if not colon:
        raise BadInput("the entry's auth is not base64 of user:password")
    # Old versions of docker filled it up with zeros.
    return username, password.rstrip("\0")
