"""The door to image registries: references to repositories, over one pool of connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from taskimage.adapters.http.connections import Connections
from taskimage.adapters.http.network import proxy
from taskimage.adapters.registry.authorization import Authorization
from taskimage.adapters.registry.endpoint import Endpoint, endpoint, mirrors
from taskimage.adapters.registry.repository import Repository
from taskimage.adapters.registry.session import PAUSES, Session
from taskimage.adapters.settings import Settings
from taskimage.model.errors import TaskImageError
from taskimage.model.reference import Reference

if TYPE_CHECKING:
    from taskimage.adapters.credentials import Found, Keychain

__all__ = ["Registries"]

T = TypeVar("T")


class Registries:
    """All registries that a run talks to. Safe to share between threads.

    Args:
        settings: What is decided for single registries.
        environ: Where credentials, proxies and authorities are named; the process's own by default.
        config: A docker configuration with credentials, asked before all others.
        offline: Ask nobody.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str] | None = None,
        *,
        config: Path | None = None,
        offline: bool = False,
    ) -> None:
        self._settings = settings
        self._environ = os.environ if environ is None else environ
        self._connections = Connections(self._environ, offline=offline)
        self._config = config
        self._keychain: Keychain | None = None
        self._sessions: dict[tuple[str, bool], Session] = {}
        self._making = threading.Lock()

    def repository(self, reference: Reference, *, push: bool = False) -> Repository:
        """The repository of ``reference``; with ``push`` its requests ask for the right to write at once."""
        session = self.session(reference.registry)
        return Repository(session, reference.repository, push=push)

    def read(self, reference: Reference, ask: Callable[[Repository], T | None]) -> T | None:
        """What ``ask`` gives for the first of `sources` that has an answer; None when its own registry has none.

        A mirror that does not answer, or lacks what is asked for, is passed over.
        """
        *between, own = self.sources(reference)
        for mirror in between:
            try:
                if (answer := ask(mirror)) is not None:
                    return answer
            except TaskImageError:
                continue
        return ask(own)

    def sources(self, reference: Reference) -> tuple[Repository, ...]:
        """Where the images of ``reference`` are read: the mirrors that the settings name, then its own registry."""
        found = mirrors(reference.registry, reference.repository, self._settings, self._environ)
        return (
            *(Repository(self._session(where, patient=False), path) for where, path in found),
            self.repository(reference),
        )

    def plain_address(self, reference: Reference) -> str | None:
        """Where the manifest of ``reference``, which has a tag, is had by plain HTTP and through no proxy."""
        (root, *others) = endpoint(reference.registry, self._settings, self._environ).roots
        if others or not root.startswith("http:") or proxy(root, self._environ):
            return None
        return f"{root}/v2/{reference.repository}/manifests/{reference.tag}"

    def session(self, registry: str) -> Session:
        """What talks to ``registry``."""
        return self._session(endpoint(registry, self._settings, self._environ))

    def _session(self, where: Endpoint, *, patient: bool = True) -> Session:
        with self._making:
            if (where.registry, patient) not in self._sessions:
                authorization = Authorization(
                    where.registry,
                    self._connections,
                    lambda repository: self._credential(where.registry, repository),
                    trust=lambda host: endpoint(host, self._settings, self._environ).trust,
                )
                # A mirror is a shortcut: nobody waits for one.
                pauses = PAUSES if patient else ()
                session = Session(where, self._connections, authorization, pauses=pauses)
                self._sessions[where.registry, patient] = session
            return self._sessions[where.registry, patient]

    def _credential(self, registry: str, repository: str) -> Found:
        """What is looked for once a registry has asked for it: many let everybody in."""
        with self._making:
            if self._keychain is None:
                from taskimage.adapters.credentials import Keychain

                self._keychain = Keychain(self._environ, config=self._config)
        return self._keychain.find(registry, repository)
