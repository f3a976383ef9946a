"""The parts of a suite (release, updates, security): fetched, verified, and kept in the store as indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from taskimage.adapters.crew import Crew
from taskimage.adapters.debian.index import FORMAT, Index, unpack, write_index
from taskimage.adapters.debian.mirrors import Mirrors, archive_of
from taskimage.adapters.debian.release import Listed, Release
from taskimage.adapters.debian.signature import Keyring
from taskimage.adapters.http import Http, redacted
from taskimage.adapters.store import Store
from taskimage.model.digest import verify
from taskimage.model.errors import NotFound, TaskImageError, Unreachable
from taskimage.model.events import Done, Listener, Started, Warned

__all__ = ["Pocket", "Pockets"]

_LARGEST_RELEASE = 4 << 20

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pocket:
    """The index of ``suite``, as a file of the store."""

    archive: str
    suite: str
    path: Path

    def open(self) -> Index:
        """The index; the caller closes it."""
        return Index(self.path, archive=self.archive, suite=self.suite)


@dataclass(frozen=True, kw_only=True)
class Pockets:
    """Reads suites from mirrors, or ``offline`` from what the store has of them.

    ``mirrors`` is asked only when something must be fetched: offline, none need be known.
    """

    store: Store
    http: Http
    mirrors: Callable[[], Mirrors]
    keyring: Path | None
    now: datetime
    allow_expired: bool
    offline: bool
    listener: Listener
    _known: dict[tuple[str, str], tuple[Pocket, ...]] = field(default_factory=dict)

    def of(self, suite: str, architecture: str) -> tuple[Pocket, ...]:
        """The pockets of ``suite``: itself, then its updates, then its security fixes.

        A suite that has only one of them (such as sid) is complete without the others; for one that Debian
        serves with both, an absent one is an error. Asked once for each suite and architecture.
        """
        key = (suite, architecture)
        if key not in self._known:
            self._known[key] = tuple(self._read(suite, architecture))
        return self._known[key]

    def _read(self, suite: str, architecture: str) -> list[Pocket]:
        names = (suite, f"{suite}-updates", f"{suite}-security")
        releases = self._each(self._release, names)
        main = releases[0]
        if main is None:
            raise self._absent(suite)
        for name, release in zip(names, releases, strict=True):
            if release is None and main.is_served:
                raise self._absent(name)
        present = [release for release in releases if release is not None]
        return self._each(lambda release: self._pocket(release, architecture), present)

    def _each(self, read: Callable[[S], T], items: Sequence[S]) -> list[T]:
        """What ``read`` gives for each item, all of them at a time."""
        results: dict[int, T] = {}

        def work(numbered: tuple[int, S]) -> None:
            number, item = numbered
            results[number] = read(item)

        self.http.each(work, enumerate(items))
        return [results[number] for number in range(len(items))]

    def _absent(self, suite: str) -> NotFound:
        if self.offline:
            return NotFound(
                f"the store has no index of suite {suite!r}", hint="run once without offline to fetch it"
            )
        roots = ", ".join(redacted(root) for root in self.mirrors().of(archive_of(suite)))
        return NotFound(
            f"suite {suite!r} is on none of the mirrors: {roots}",
            hint="look at the suite's name, and at TASKIMAGE_DEBIAN_MIRROR (it may name several mirrors)",
        )

    # -- InRelease -------------------------------------------------------------------------------------

    def _release(self, suite: str) -> Release | None:
        """The signed release of ``suite``; None when every mirror says that there is none."""
        path = self.store.home / "indexes" / "debian" / f"{suite}.InRelease"
        if self.offline:
            return self._verified(path.read_bytes(), suite, str(path)) if path.exists() else None

        def fetch(root: str) -> tuple[bytes, Release]:
            url = f"{root}/dists/{suite}/InRelease"
            data = self.http.get(url, limit=_LARGEST_RELEASE)
            return data, self._verified(data, suite, redacted(url))

        try:
            data, release = self._from_any_mirror(suite, fetch)
        except NotFound:
            return None
        self.store.write_file(path, data)
        return release

    def _verified(self, data: bytes, suite: str, where: str) -> Release:
        text = self._keys.signed_text(data, now=self.now, where=where)
        release = Release.parse(text, where=where)
        release.check(suite, now=self.now, allow_expired=self.allow_expired)
        return release

    # -- Packages --------------------------------------------------------------------------------------

    def _pocket(self, release: Release, architecture: str) -> Pocket:
        listed = release.packages(architecture)
        name = f"{listed.digest.hex}.{FORMAT}.sqlite"
        path = self.store.home / "indexes" / "debian" / name
        if not path.exists():
            with self.store.locked(f"debian-{release.codename}-{architecture}"):
                if not path.exists():
                    self._make_index(release, listed, architecture, path)
        return Pocket(archive_of(release.codename), release.codename, path)

    def _make_index(self, release: Release, listed: Listed, architecture: str, path: Path) -> None:
        if self.offline:
            raise NotFound(
                f"the store has no index of {release.codename!r} for {architecture!r}",
                hint="run once without offline to fetch it",
            )
        suite = release.codename
        folder, _, _ = listed.path.rpartition("/")
        file = f"{folder}/by-hash/SHA256/{listed.digest.hex}" if release.by_hash else listed.path

        def fetch(root: str) -> bytes:
            url = f"{root}/dists/{suite}/{file}"
            return verify(self.http.get(url, limit=listed.size), listed.digest, where=redacted(url))

        step = f"index {suite}"
        self.listener(Started(step, f"Reading the packages of {suite}"))
        try:
            packed = self._from_any_mirror(suite, fetch)
        except NotFound as error:
            raise Unreachable(
                f"the list of packages that {suite!r} is signed for is not there yet: {error.message}",
                hint="the mirror is probably being updated: try again in a few minutes",
            ) from error
        where = f"{suite} {listed.path}"
        with self.store.explained(), self.store.temporary_directory() as temporary:
            made = Path(temporary) / "index.sqlite"
            chunks = unpack(packed, release.unpacked_size(listed), where=where)
            write_index(_while_wanted(chunks), architecture, made, where=where)
            self.store.write_file(path, made.read_bytes())
        self.listener(Done(step, f"Read the packages of {suite}"))

    # -- mirrors ---------------------------------------------------------------------------------------

    @cached_property
    def _keys(self) -> Keyring:
        return Keyring.load(self.keyring) if self.keyring else Keyring.load()

    def _from_any_mirror(self, suite: str, fetch: Callable[[str], T]) -> T:
        """What the first mirror gives that gives something good; a bad answer is told, and passed over.

        Raises NotFound only when every mirror says so, and else the first reason that is not that.
        """
        failures: list[TaskImageError] = []
        for root in self.mirrors().of(archive_of(suite)):
            try:
                result = fetch(root)
            except TaskImageError as error:
                failures.append(error)
            else:
                for failure in failures:
                    if not isinstance(failure, NotFound):
                        self.listener(Warned(f"another mirror was used: {failure.message}", failure.hint))
                return result
        failure = next((error for error in failures if not isinstance(error, NotFound)), failures[0])
        if isinstance(failure, Unreachable):
            failure.hint = f"{failure.hint}; other mirrors are set with TASKIMAGE_DEBIAN_MIRROR"
        raise failure


def _while_wanted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks``, until the crew stops."""
    for chunk in chunks:
        Crew.current().check()
        yield chunk
