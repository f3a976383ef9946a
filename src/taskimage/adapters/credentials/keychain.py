"""Where a credential is looked for, in order; the first place that has one for the registry wins."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from taskimage.adapters.credentials import authfile
from taskimage.adapters.credentials.clouds import standard_helpers
from taskimage.adapters.credentials.credential import Credential, Found
from taskimage.adapters.credentials.helper import Helper
from taskimage.adapters.credentials.keys import matching, servers
from taskimage.adapters.http import network
from taskimage.adapters.userfolders import configuration
from taskimage.model.errors import BadInput, TaskImageError
from taskimage.model.reference import split_registry
from taskimage.model.registry import HUB, HUB_NAMES, canonical

__all__ = ["Keychain"]

# What came of each place: a line that says so, or the credential, which ends the search.
_Steps: TypeAlias = "Iterator[str | Credential]"

# What may stand in a header as it is: a line break in it would end up in an error, and the token with it.
_SENDABLE: Final = re.compile("[!-~]+")

# As user name, it says that the secret is an identity token (docker-credential-helpers).
_TOKEN_USER: Final = "<token>"  # noqa: S105 - no password


class Keychain:
    """The credentials of a person or a machine. Safe to share between threads.

    What was found is remembered, so that a helper runs once for a registry; who wants it anew, since tokens
    expire, makes a new keychain.

    Args:
        environ: Where all else is named, from HOME on.
        config: A file like docker's ``config.json`` that is looked at before all else; it must be there.
    """

    def __init__(self, environ: Mapping[str, str], *, config: Path | None = None) -> None:
        self._environ = environ
        self._config = config
        self._found: dict[tuple[str, str], Found] = {}
        self._asked: dict[tuple[str, str], tuple[str, str] | TaskImageError | None] = {}
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def find(self, registry: str, repository: str = "") -> Found:
        """The credential for ``repository`` of ``registry``, or none, and what was tried.

        Raises BadInput when ``config`` is not there or cannot be read.
        """
        name = canonical(registry)
        with self._guard:
            lock = self._locks[name]
        # One at a time for a registry; another registry does not wait for its helper.
        with lock:
            if (name, repository) not in self._found:
                self._found[name, repository] = self._search(name, repository)
            return self._found[name, repository]

    def _search(self, registry: str, repository: str) -> Found:
        tried = []
        for step in self._steps(registry, repository):
            if isinstance(step, str):
                tried.append(step)
            elif step.kind == "bearer" and not _SENDABLE.fullmatch(step.secret):
                tried.append(f"{step.source}: the token has characters that no token has")
            else:
                return Found(step, tuple(tried))
        return Found(None, tuple(tried))

    def _steps(self, registry: str, repository: str) -> _Steps:
        if self._config is not None:
            yield from self._in_config(self._config, registry, repository)
        yield from self._in_variables(registry)
        if text := self._environ.get("DOCKER_AUTH_CONFIG"):
            parse = partial(authfile.parse, text)
            yield from self._in_document(parse, "DOCKER_AUTH_CONFIG", registry, repository)
        for path in self._files():
            read = partial(authfile.read, path)
            yield from self._in_document(read, authfile.shown_path(path, self._environ), registry, repository)
        for name in standard_helpers(registry):
            yield from self._by_helper(name, registry, f"docker-credential-{name}")
        yield from self._in_netrc(registry)

    # -- files ---------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[Path]:
        environ = self._environ
        if named := environ.get("REGISTRY_AUTH_FILE"):
            yield Path(named)
        # What containers-auth.json(5) calls the primary file, and the one after it.
        if runtime := environ.get("XDG_RUNTIME_DIR"):
            yield Path(runtime) / "containers" / "auth.json"
        elif sys.platform == "linux":
            yield Path(f"/run/containers/{os.getuid()}/auth.json")
        yield configuration(environ) / "containers" / "auth.json"
        yield authfile.docker_config(environ)

    def _in_config(self, path: Path, registry: str, repository: str) -> _Steps:
        try:
            document = authfile.read(path)
        except BadInput as error:
            raise BadInput(f"registry_config {str(path)!r} {error.message}") from None
        if document is None:
            raise BadInput(
                f"registry_config {str(path)!r} is not there", hint="name a file like docker's config.json"
            )
        yield from self._in_document(lambda: document, str(path), registry, repository)

    def _in_document(
        self, read: Callable[[], Mapping[str, Any] | None], place: str, registry: str, repository: str
    ) -> _Steps:
        try:
            document = read()
        except BadInput as error:
            yield f"{place}: {error.message}"
            return
        if document is None:
            yield f"{place}: not there"
            return
        # Helpers first, as docker has it: what is in the file may have been left there by an earlier login.
        for key, name in authfile.helper_names(document, registry):
            source = f"{key} in {place} (docker-credential-{name})"
            yield from self._by_helper(name, registry, source, before=f"{place}: ")
        auths = authfile.table(document, "auths")
        for key in matching(auths, registry, repository):
            try:
                credential = authfile.credential_in(auths[key], f"auths in {place}")
            except BadInput as error:
                yield f"{place}: {error.message}"
            else:
                if credential:
                    yield credential
        yield f"{place}: no entry for {registry}"

    # -- other places --------------------------------------------------------------------------------------

    def _in_variables(self, registry: str) -> _Steps:
        place = "TASKIMAGE_REGISTRY_TOKEN"
        token = self._environ.get(place, "").strip()
        if not token:
            return
        # A token is for one registry, and which one is said, never guessed.
        named, _ = split_registry(f"{self._environ.get('TASKIMAGE_REGISTRY', '')}/")
        user = self._environ.get("TASKIMAGE_REGISTRY_USER", "").strip()
        if not named:
            yield f"{place}: for no registry, since TASKIMAGE_REGISTRY names no host"
        elif canonical(named) != registry:
            yield f"{place}: for another registry, which TASKIMAGE_REGISTRY names"
        else:
            yield Credential("basic" if user else "bearer", user, token, place)

    def _by_helper(self, name: str, registry: str, source: str, *, before: str = "") -> _Steps:
        """What the helper has for ``registry``; ``before`` stands before each line."""
        helper = Helper(name, self._environ)
        for server in servers(registry):
            answer = self._ask(helper, server)
            if isinstance(answer, TaskImageError):
                yield f"{before}{answer.message}"
                return
            if answer:
                username, secret = answer
                if username == _TOKEN_USER:
                    yield Credential("identity", "", secret, source)
                else:
                    yield Credential("basic", username, secret, source)
        yield f"{before}helper {helper.program} has no entry for {registry}"

    def _ask(self, helper: Helper, server: str) -> tuple[str, str] | TaskImageError | None:
        key = helper.name, server
        if key not in self._asked:
            try:
                self._asked[key] = helper.get(server)
            except TaskImageError as error:
                self._asked[key] = error
        return self._asked[key]

    def _in_netrc(self, registry: str) -> _Steps:
        hosts = HUB_NAMES if registry == HUB else (urlsplit(f"//{registry}").hostname or "",)
        for host in hosts:
            try:
                login = network.netrc_login(host, self._environ)
            except BadInput:
                # What is wrong with it may be quoted in the error.
                yield "netrc: cannot be read"
                return
            if login and login[1]:
                yield Credential("basic", *login, "netrc")
        yield f"netrc: no entry for {registry}"
