"""The packages of a base image: what it has installed, and what its own archives add to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

from taskimage.adapters.debian.basesources import base_place, base_sources, why_unusable
from taskimage.adapters.debian.installed import STATUS, Installed
from taskimage.adapters.debian.kept import Keep, Kept, keeping
from taskimage.adapters.debian.mirrors import Mirrors
from taskimage.adapters.debian.packages import fetch_packages, pins_of
from taskimage.adapters.debian.pockets import Place, Pocket, Pockets, opened
from taskimage.adapters.debian.release import Listed, Release
from taskimage.adapters.debian.request import Request
from taskimage.adapters.debian.signature import Keyring
from taskimage.adapters.debian.snapshot import Snapshot
from taskimage.adapters.debian.solve import solve
from taskimage.adapters.debian.sources import Source
from taskimage.adapters.debian.universe import Universe
from taskimage.adapters.http import Http, redacted
from taskimage.adapters.store import Store
from taskimage.model.base import BaseFacts
from taskimage.model.errors import CannotBuild, NotFound
from taskimage.model.events import Listener, Warned
from taskimage.model.lock import DebPin

__all__ = ["DebianBase", "check_debian_like"]

_NOTHING = Keep()
_FAMILY = frozenset(("debian", "ubuntu"))


def check_debian_like(facts: BaseFacts) -> None:
    """Raise CannotBuild unless the base of ``facts`` has packages in Debian's format, and says that it has."""
    name = facts.os_release.get("PRETTY_NAME") or facts.os_release.get("ID") or "an unknown system"
    family = {facts.os_release.get("ID", ""), *facts.os_release.get("ID_LIKE", "").split()}
    if not family & _FAMILY:
        reason = f"the base image is {name!r}, which is neither Debian nor Ubuntu nor made from them"
    elif STATUS not in facts.texts:
        reason = f"the base image is {name!r}, and has no record of its packages in /{STATUS}"
    else:
        return
    raise CannotBuild(
        f"apt_packages cannot be installed: {reason}",
        hint="use a base image of Debian or Ubuntu, leave base_image out, or put the packages into your base image",
    )


class DebianBase:
    """What `Debian` is for an image without a base, for one on the base of ``facts``.

    ``mirrors`` and ``keys`` are asked for the host's or the settings' own, where the base needs Debian's archives.
    """

    def __init__(
        self,
        facts: BaseFacts,
        *,
        store: Store,
        http: Http,
        pockets: Pockets,
        mirrors: Callable[[], Mirrors],
        keys: Callable[[], Keyring],
        snapshot: Snapshot | None,
        listener: Listener,
    ) -> None:
        self._facts = facts
        self._store = store
        self._http = http
        self._pockets = pockets
        self._mirrors = mirrors
        self._keys = keys
        self._snapshot = snapshot
        self._listener = listener

    def resolve(self, architecture: str, *, apt: Sequence[str], keep: Keep = _NOTHING) -> tuple[DebPin, ...]:
        """What ``apt-get install --no-install-recommends`` would fetch for the names ``apt``, sorted by name.

        A package that the base has stays as it is unless it is named, or another one needs a newer version of
        it; ``keep`` is as for `Debian.resolve`. Raises what that raises, and CannotBuild where a package of the base would be removed.
        """
        installed = Installed.parse(self._facts.texts[STATUS], architecture)
        requests = [Request.parse(text, architecture) for text in apt]
        suite = self._facts.os_release.get("VERSION_CODENAME") or "the base image"
        pockets = self._read(architecture)

        def solved(keep: Keep) -> tuple[DebPin, ...]:
            with opened(pockets) as indexes:
                universe = Universe(indexes, suite=suite, architecture=architecture, installed=installed)
                fetch = partial(self.fetch, moved=lambda _: None)
                universe.keep(Kept(keep, universe.versions, store=self._store, fetch=fetch).find)
                universe.pin(requests)
                return pins_of(solve(universe, universe.wanted(requests)))

        return keeping(solved, keep, listener=self._listener)

    def fetch(self, pins: Sequence[DebPin], *, moved: Callable[[int], None]) -> None:
        """As `Debian.fetch`; each package is asked of the archives that the base has its suite from."""
        fetch_packages(self._store, self._http, pins, roots=self._roots, snapshot=self._snapshot, moved=moved)

    def _roots(self, pin: DebPin) -> tuple[str, ...]:
        places = [self._place(source) for source in self._sources if source.suite == pin.suite]
        if not places:
            raise NotFound(f"no source of the base image has the suite {pin.suite!r} of {pin.package!r}")
        return tuple(dict.fromkeys(root for place in places for root in place.roots()))

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        return tuple(
            source for source in base_sources(self._facts) if why_unusable(source, self._facts) is None
        )

    def _place(self, source: Source) -> Place:
        return base_place(source, self._facts, mirrors=self._mirrors, keys=self._keys)

    def _read(self, architecture: str) -> list[Pocket]:
        """The lists of packages of all sources for ``architecture``."""
        self._tell_unusable()
        places = [
            self._place(source)
            for source in self._sources
            if architecture in source.architectures or not source.architectures
        ]
        if not places:
            raise CannotBuild(
                f"the base image has no source of packages for {architecture!r} that could serve apt_packages",
                hint="add one in /etc/apt of your base image, with its keyring",
            )
        releases = self._pockets.each(self._release, places)
        found = [
            (place, release, forms)
            for place, release in zip(places, releases, strict=True)
            for forms in self._listed(place, release, architecture)
        ]
        return self._pockets.each(lambda item: self._pockets.pocket(*item, architecture), found)

    def _release(self, place: Place) -> Release:
        release = self._pockets.release(place)
        if release is None:
            raise self._pockets.absent(
                place,
                hint="the apt sources of the base image name it: use a base image whose sources are there",
            )
        return release

    def _listed(self, place: Place, release: Release, architecture: str) -> Iterator[Sequence[Listed]]:
        for component in place.components:
            try:
                yield release.packages(architecture, component)
            except NotFound as error:
                self._listener(Warned(f"a source of the base image is passed over: {error.message}"))

    def _tell_unusable(self) -> None:
        for source in base_sources(self._facts):
            if reason := why_unusable(source, self._facts):
                where = f"{redacted(source.uri)} {source.suite}"
                self._listener(Warned(f"a source of the base image is passed over: {where}: {reason}"))
