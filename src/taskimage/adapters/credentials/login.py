"""Logins as docker keeps them: in its ``config.json``, or with the helper that this names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from taskimage.adapters.atomic import explained, replacing
from taskimage.adapters.credentials import authfile
from taskimage.adapters.credentials.helper import Helper
from taskimage.adapters.credentials.keys import matching, servers
from taskimage.model.errors import BadInput
from taskimage.model.registry import canonical
from taskimage.model.value import dataclass

__all__ = ["Kept", "remove_login", "store_login"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a login is kept, for people; ``plain`` says that the password can be read there."""

    place: str
    plain: bool


def store_login(environ: Mapping[str, str], registry: str, username: str, secret: str) -> Kept:
    """Keep a login as ``docker login`` would, in place of an earlier one; all else in the file stays.

    Raises BadInput (the file cannot be read), NotAllowed, NotFound and CannotBuild (it cannot be written), and
    what `Helper.store` raises.
    """
    name = canonical(registry)
    server = servers(name)[0]
    path, document = _opened(environ)
    place = authfile.shown_path(path, environ)
    helper = _helper(document, name, environ)
    entry = {} if helper else {"auth": authfile.encoded(username, secret)}
    if helper:
        helper.store(server, username, secret)
    auths = document.setdefault("auths", {})
    # Other spellings would be found first by one tool or another.
    for key in set(matching(auths, name)) - {server}:
        del auths[key]
    auths[server] = entry
    _write(path, document)
    return Kept(f"{helper.program} ({place})" if helper else place, plain=not helper)


def remove_login(environ: Mapping[str, str], registry: str) -> str | None:
    """Forget a login as ``docker logout`` would: where it was, or None when there was none. Raises as `store_login`."""
    name = canonical(registry)
    path, document = _opened(environ)
    places = []
    if keys := matching(document.get("auths", {}), name):
        for key in keys:
            del document["auths"][key]
        _write(path, document)
        places.append(authfile.shown_path(path, environ))
    if helper := _helper(document, name, environ):
        held = [server for server in servers(name) if helper.get(server)]
        for server in held:
            helper.erase(server)
        if held:
            places.append(helper.program)
    return " and ".join(places) or None


def _opened(environ: Mapping[str, str]) -> tuple[Path, dict[str, Any]]:
    """Docker's file, where links lead to in the end, and what is in it."""
    path = authfile.docker_config(environ).resolve()
    try:
        document = authfile.read(path)
    except BadInput as error:
        raise BadInput(f"{str(path)!r} {error.message}", hint="correct it, or move it away") from None
    if document is not None and not isinstance(document.get("auths", {}), dict):
        raise BadInput(f"{str(path)!r} has auths that are not a JSON object", hint="correct it")
    return path, document or {}


def _helper(document: Mapping[str, Any], registry: str, environ: Mapping[str, str]) -> Helper | None:
    names = authfile.helper_names(document, registry)
    return Helper(names[0][1], environ) if names else None


def _write(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent="\t", ensure_ascii=False)
    # Where a file is in the way, writing says so.
    with explained(path), suppress(FileExistsError):
        path.parent.mkdir(mode=0o700, parents=True)
    with replacing(path, mode=0o600) as file:
        file.write(text.encode())
