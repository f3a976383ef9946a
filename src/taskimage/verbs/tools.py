"""What the use cases work with: settings, and one adapter for each outside system."""

from __future__ import annotations

import os
from collections.abc import Hashable
from functools import cached_property as _cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from taskimage.adapters.settings import Settings
from taskimage.adapters.store import Store
from taskimage.model.events import Listener, ignore
from taskimage.model.spec.secretkind import SecretKind
from taskimage.model.value import dataclass
from taskimage.verbs.once import Once
from taskimage.verbs.tally import Tally

if TYPE_CHECKING:
    from taskimage.adapters.conda import Conda
    from taskimage.adapters.cpython import CPython
    from taskimage.adapters.debian import Debian
    from taskimage.adapters.http import Http
    from taskimage.adapters.pypi import PyPI
    from taskimage.adapters.registry import Registries
    from taskimage.adapters.specfiles import LoadedSpec
    from taskimage.model.lock import Lock
    from taskimage.transform.base import BaseTree

__all__ = ["Tools"]

T = TypeVar("T")

_MAKING: Final = RLock()


class cached_property(_cached_property[T]):  # noqa: N801 - it stands in its place
    """One that is computed once, whichever thread asks first; from Python 3.12 on the library's is not."""

    def __get__(self, instance: object, owner: type[Any] | None = None) -> T:  # type: ignore[override]
        with _MAKING:
            return super().__get__(instance, owner)


@dataclass(frozen=True)
class Tools:
    """The adapters of one run; each is made, and its module imported, when it is first asked for."""

    settings: Settings
    listener: Listener = ignore
    offline: bool = False
    expired_indexes: bool = False
    registry_config: Path | None = None
    secrets: tuple[tuple[Path, SecretKind], ...] = ()
    together: bool = False
    """Whether several specs are resolved, which are to see the indexes as they are at one moment."""

    @classmethod
    def of(
        cls, loaded: LoadedSpec, *, settings: Settings, listener: Listener = ignore, offline: bool = False,
        together: bool = False,
    ) -> Tools:  # fmt: skip
        """The adapters for one spec, which may decide how indexes are read and who lets it into registries."""
        spec = loaded.spec
        config = spec.registry_config
        return cls(
            settings=settings,
            listener=listener,
            offline=offline,
            expired_indexes=spec.options.expired_indexes,
            registry_config=loaded.beside(config) if config else None,
            secrets=tuple(
                (loaded.beside(source), kind)
                for source, target in spec.pip_secret_mounts or ()
                if (kind := SecretKind.of(target))
            ),
            together=together,
        )

    def also_for(self, loaded: LoadedSpec) -> Tools:
        """The adapters for another spec: these and what they have read, or others where the spec decides so."""
        wanted = Tools.of(
            loaded,
            settings=self.settings,
            listener=self.listener,
            offline=self.offline,
            together=self.together,
        )
        for known in (self, *self._others):
            if known == wanted:
                return known
        self._others.append(wanted)
        return wanted

    @cached_property
    def _others(self) -> list[Tools]:
        """Those that `also_for` made."""
        return []

    @cached_property
    def resolutions(self) -> dict[Hashable, Lock]:
        """What was resolved with these, by all that it was resolved from."""
        return {}

    @cached_property
    def base_trees(self) -> Once[BaseTree]:
        """The files of base images, by the digests of their manifests."""
        return Once()

    @cached_property
    def fetching(self) -> Tally:
        """The packages that are being fetched with these."""
        return Tally(self.listener, "fetch", ("Fetching", "Fetched", "package"))

    @cached_property
    def making(self) -> Tally:
        """The layers that are being made with these."""
        return Tally(self.listener, "layers", ("Making", "Made", "layer"))

    @cached_property
    def sending(self) -> Tally:
        """The layers that are being sent to registries with these, each as soon as it is made."""
        return Tally(self.listener, "send", ("Sending", "Sent", "layer"))

    @cached_property
    def store(self) -> Store:
        """Where everything is kept."""
        return Store(self.settings.home)

    @cached_property
    def http(self) -> Http:
        """The one pool of connections to package sources."""
        from taskimage.adapters.http import Http

        return Http(offline=self.offline)

    @cached_property
    def registries(self) -> Registries:
        """Image registries; the credentials that the spec names are asked before the machine's own."""
        from taskimage.adapters.registry import Registries

        return Registries(self.settings, config=self.registry_config, offline=self.offline)

    @cached_property
    def debian(self) -> Debian:
        """Debian's archives, by the mirrors and keys that the settings name."""
        from taskimage.adapters.debian import Debian

        return Debian(
            self.store,
            self.http,
            mirrors=self.settings.debian_mirrors,
            snapshot=self.settings.debian_snapshot,
            keyring=self.settings.debian_keyring,
            allow_expired=self.expired_indexes,
            offline=self.offline,
            listener=self.listener,
        )

    @cached_property
    def cpython(self) -> CPython:
        """Standalone interpreters."""
        from taskimage.adapters.cpython import CPython

        return CPython(self.store, self.http, environ=os.environ)

    @cached_property
    def conda(self) -> Conda:
        """Conda channels."""
        from taskimage.adapters.conda import Conda

        return Conda(self.store, self.http, environ=os.environ, offline=self.offline)

    @cached_property
    def pypi(self) -> PyPI:
        """The Python package indexes; the secrets that the spec names let it into them, and nobody else anywhere."""
        from taskimage.adapters.pypi import PyPI

        http, environ = self.http, None
        if self.secrets:
            from taskimage.adapters.http import Http
            from taskimage.adapters.pypi.secrets import with_secrets

            environ = with_secrets(self.secrets, os.environ)
            http = Http(environ, offline=self.offline)
        return PyPI(
            self.store,
            http,
            environ=environ,
            offline=self.offline,
            listener=self.listener,
            hold=self.together,
        )
