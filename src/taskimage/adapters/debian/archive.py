"""The door to Debian's archives: names to pinned packages, and pinned packages to files in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path

from taskimage.adapters.debian.debianbase import DebianBase, check_debian_like
from taskimage.adapters.debian.kept import Keep, Kept, keeping
from taskimage.adapters.debian.mirrors import Mirrors
from taskimage.adapters.debian.packages import fetch_packages, pins_of
from taskimage.adapters.debian.pockets import Pocket, Pockets, opened
from taskimage.adapters.debian.request import Request
from taskimage.adapters.debian.signature import Keyring
from taskimage.adapters.debian.snapshot import Snapshot
from taskimage.adapters.debian.solve import solve
from taskimage.adapters.debian.suite import suite_pockets
from taskimage.adapters.debian.universe import Universe
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.base import BaseFacts
from taskimage.model.events import Listener, ignore
from taskimage.model.lock import DebPin
from taskimage.model.value import dataclass

__all__ = ["Debian", "Resolution"]

_NOTHING = Keep()


@dataclass(frozen=True, slots=True)
class Resolution:
    """The packages of an image: ``apt`` has only what ``base`` lacks. Each is sorted by name."""

    base: tuple[DebPin, ...]
    apt: tuple[DebPin, ...]


class Debian:
    """Debian's archives, read from their mirrors and kept in the store.

    Args:
        store: Where indexes and packages are kept.
        http: The client that fetches them.
        mirrors: URLs of mirrors, each tried for every suite; empty means those of the host's apt sources.
        snapshot: Where packages are looked for that no mirror has any more, as `Snapshot` reads it.
        keyring: The OpenPGP certificates that may sign an index, in place of those that are shipped.
        allow_expired: Whether an index past its Valid-Until will do.
        offline: Whether only what the store has may be used.
        apt_root: The folder of the host's apt sources.
        now: The time that Valid-Until and the keys are held against; the present when it is None.
        listener: Hears which suites are read, and of mirrors that gave a bad answer; from several threads.
    """

    def __init__(
        self,
        store: Store,
        http: Http,
        *,
        mirrors: tuple[str, ...] = (),
        snapshot: str | None = None,
        keyring: Path | None = None,
        allow_expired: bool = False,
        offline: bool = False,
        apt_root: Path = Path("/etc/apt"),
        now: datetime | None = None,
        listener: Listener = ignore,
    ) -> None:
        self._store = store
        self._http = http
        self._settings = mirrors
        self._snapshot = None if snapshot is None else Snapshot.parse(snapshot)
        self._apt_root = apt_root
        self._keyring = keyring
        self._known: dict[tuple[str, str], tuple[Pocket, ...]] = {}
        self._listener = listener
        self._pockets = Pockets(
            store=store,
            http=http,
            now=now or datetime.now(timezone.utc),
            allow_expired=allow_expired,
            offline=offline,
            listener=listener,
        )

    @cached_property
    def _mirrors(self) -> Mirrors:
        return Mirrors.find(self._settings, self._apt_root)

    @cached_property
    def _keys(self) -> Keyring:
        return Keyring.load(self._keyring) if self._keyring else Keyring.load()

    def resolve(
        self,
        suite: str,
        architecture: str,
        *,
        base: Sequence[str],
        apt: Sequence[str] = (),
        keep: Keep = _NOTHING,
    ) -> Resolution:
        """The packages that ``base`` needs by itself, and those that ``apt`` needs on top of it.

        Names are written as for apt-get: ``name``, ``name=version``, ``name/suite``; a version that ``apt``
        asks for holds for the base as well. Recommends are left out, and Essential packages too unless
        something depends on them. What is to be kept stays while it can be had, and goes with the rest. Raises NotFound for unknown names, CannotBuild for what excludes each
        other or cannot be met, IntegrityError for an archive that is not Debian's own.
        """
        base_requests = [Request.parse(text, architecture) for text in base]
        apt_requests = [Request.parse(text, architecture) for text in apt]

        def solved(keep: Keep) -> Resolution:
            with self._universe(suite, architecture, keep) as universe:
                universe.pin([*base_requests, *apt_requests])
                below = solve(universe, universe.wanted(base_requests))
                above = solve(universe, universe.wanted(apt_requests), installed=below)
            return Resolution(pins_of(below), pins_of(above))

        return keeping(solved, keep, listener=self._listener)

    def on(self, facts: BaseFacts) -> DebianBase:
        """The packages that a base image can have, by its own sources; the mirrors that are known come first.

        Raises CannotBuild for a base that has no Debian packages.
        """
        check_debian_like(facts)
        return DebianBase(
            facts,
            store=self._store,
            http=self._http,
            pockets=self._pockets,
            mirrors=lambda: self._mirrors,
            keys=lambda: self._keys,
            snapshot=self._snapshot,
            listener=self._listener,
        )

    def candidate(self, suite: str, architecture: str, package: str, *, keep: Keep = _NOTHING) -> str | None:
        """The version of ``package`` that would be taken, with ``keep`` as for `resolve`; None for no version."""
        with self._universe(suite, architecture, keep) as universe:
            found = universe.candidate(package)
            return found.version if found else None

    def fetch(self, pins: Sequence[DebPin], *, moved: Callable[[int], None]) -> None:
        """Put every package of ``pins`` into the store's inputs; ``moved`` hears the bytes as they come.

        Each is asked of the mirrors of its archive in turn, then of the snapshot, and believed by its digest.
        """
        fetch_packages(
            self._store,
            self._http,
            pins,
            roots=lambda pin: self._mirrors.of(pin.archive),
            snapshot=self._snapshot,
            moved=moved,
        )

    @contextmanager
    def _universe(self, suite: str, architecture: str, keep: Keep) -> Iterator[Universe]:
        key = (suite, architecture)
        if key not in self._known:
            self._known[key] = suite_pockets(
                self._pockets, *key, mirrors=lambda: self._mirrors, keys=lambda: self._keys
            )
        with opened(self._known[key]) as indexes:
            universe = Universe(indexes, suite=suite, architecture=architecture)
            fetch = partial(self.fetch, moved=lambda _: None)
            universe.keep(Kept(keep, universe.versions, store=self._store, fetch=fetch).find)
            yield universe
