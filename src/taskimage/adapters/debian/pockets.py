"""One suite of an archive: its release and its lists of packages, fetched, verified, and kept in the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from taskimage.adapters.crew import Crew
from taskimage.adapters.debian.index import FORMAT, Index, write_index
from taskimage.adapters.debian.release import Listed, Release
from taskimage.adapters.debian.signature import Keyring
from taskimage.adapters.debian.unpacked import unpacked
from taskimage.adapters.http import Http, redacted
from taskimage.adapters.store import Store
from taskimage.model.digest import verify
from taskimage.model.errors import NotFound, TaskImageError, Unreachable
from taskimage.model.events import Done, Listener, Started, Warned
from taskimage.model.value import dataclass

__all__ = ["Place", "Pocket", "Pockets", "opened"]

_LARGEST_RELEASE = 4 << 20

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a suite is, and who may sign it.

    Attributes:
        suite: Its name; one with a final slash is a folder of a flat archive.
        shelf: The name under which the store keeps its release.
        archive: The alias of its archive, which is Debian's own; None for the one that its release states.
        roots: Asked for the archive's mirrors only when something must be fetched: offline, none need be known.
        keys: Asked for the certificates that may sign its release.
        components: Its parts that are wanted; "" is the one of a flat archive.
        expires: Whether a release past its Valid-Until is refused.
    """

    suite: str
    shelf: str
    archive: str | None
    roots: Callable[[], tuple[str, ...]]
    keys: Callable[[], Keyring]
    components: tuple[str, ...] = ("main",)
    expires: bool = True

    @property
    def folder(self) -> str:
        """The suite's folder below a root, with a final slash where it is not the root."""
        return self.suite.lstrip("/") if self.suite.endswith("/") else f"dists/{self.suite}/"


@dataclass(frozen=True, slots=True)
class Pocket:
    """The list of packages of a component of ``suite``, as a file of the store."""

    archive: str
    suite: str
    priority: int
    path: Path

    def open(self) -> Index:
        """The index; the caller closes it."""
        return Index(self.path, archive=self.archive, suite=self.suite, priority=self.priority)


@contextmanager
def opened(pockets: Iterable[Pocket]) -> Iterator[list[Index]]:
    """The indexes of ``pockets``, which are open until the block ends."""
    with ExitStack() as stack:
        indexes = [pocket.open() for pocket in pockets]
        for index in indexes:
            stack.callback(index.close)
        yield indexes


@dataclass(frozen=True, kw_only=True)
class Pockets:
    """Reads suites from mirrors, or ``offline`` from what the store has of them."""

    store: Store
    http: Http
    now: datetime
    allow_expired: bool
    offline: bool
    listener: Listener

    def each(self, read: Callable[[S], T], items: Sequence[S]) -> list[T]:
        """What ``read`` gives for each item, all of them at a time."""
        results: dict[int, T] = {}

        def work(numbered: tuple[int, S]) -> None:
            number, item = numbered
            results[number] = read(item)

        self.http.each(work, enumerate(items))
        return [results[number] for number in range(len(items))]

    def absent(self, place: Place, *, hint: str) -> NotFound:
        """The error that no mirror has the suite."""
        if self.offline:
            return NotFound(
                f"the store has no index of suite {place.suite!r}",
                hint="run once without offline to fetch it",
            )
        roots = ", ".join(redacted(root) for root in place.roots())
        return NotFound(f"suite {place.suite!r} is on none of the mirrors: {roots}", hint=hint)

    # -- InRelease -------------------------------------------------------------------------------------

    def release(self, place: Place) -> Release | None:
        """The signed release of the suite; None when every mirror says that there is none."""
        path = self._indexes / f"{place.shelf}.InRelease"
        if self.offline:
            return self._verified(path.read_bytes(), place, str(path)) if path.exists() else None

        def fetch(root: str) -> tuple[bytes, Release]:
            url = f"{root}/{place.folder}InRelease"
            data = self.http.get(url, limit=_LARGEST_RELEASE)
            return data, self._verified(data, place, redacted(url))

        try:
            data, release = self._from_any_mirror(place, fetch)
        except NotFound:
            return None
        self.store.write_file(path, data)
        return release

    def _verified(self, data: bytes, place: Place, where: str) -> Release:
        text = place.keys().signed_text(data, now=self.now, where=where)
        release = Release.parse(text, where=where)
        release.check(place.suite, now=self.now, allow_expired=self.allow_expired or not place.expires)
        return release

    @property
    def _indexes(self) -> Path:
        return self.store.home / "indexes" / "debian"

    # -- Packages --------------------------------------------------------------------------------------

    def pocket(self, place: Place, release: Release, forms: Sequence[Listed], architecture: str) -> Pocket:
        """A list of packages in the release of the suite, read; it is there in ``forms``, the best first."""
        path = self._known(forms)
        if path is None:
            with self.store.locked(f"debian-{forms[0].digest.hex}"):
                path = self._known(forms) or self._made(place, release, forms, architecture)
        return Pocket(place.archive or _alias(release.origin), place.suite, release.priority, path)

    def _known(self, forms: Sequence[Listed]) -> Path | None:
        return next(filter(Path.exists, map(self._path, forms)), None)

    def _path(self, listed: Listed) -> Path:
        return self._indexes / f"{listed.digest.hex}.{FORMAT}.packages"

    def _made(self, place: Place, release: Release, forms: Sequence[Listed], architecture: str) -> Path:
        if self.offline:
            raise NotFound(
                f"the store has no index of {place.suite!r} for {architecture!r}",
                hint="run once without offline to fetch it",
            )
        folder = forms[0].path.rpartition("/")[0]
        step = f"index {place.shelf} {folder}"
        label = " ".join(filter(None, (place.suite, folder.partition("/binary-")[0].removeprefix("main"))))
        self.listener(Started(step, f"Reading the packages of {label}"))
        listed, packed = self._fetched(place, release, forms, architecture)
        where = f"{place.suite} {listed.path}"
        with self.store.explained(), self.store.temporary_directory() as temporary:
            made = Path(temporary) / "index"
            chunks = unpacked(packed, release.unpacked_size(listed), where=where)
            write_index(_while_wanted(chunks), made, where=where)
            self.store.move_in(made, self._path(listed))
        self.listener(Done(step, f"Read the packages of {label}"))
        return self._path(listed)

    def _fetched(
        self, place: Place, release: Release, forms: Sequence[Listed], architecture: str
    ) -> tuple[Listed, bytes]:
        """The first of ``forms`` that is on a mirror: a release may state some that are nowhere."""
        for listed in forms:
            try:
                return listed, self._from_any_mirror(place, partial(self._fetch, place, release, listed))
            except NotFound as error:
                missing = error
        raise Unreachable(
            f"the list of packages that {place.suite!r} is signed for is not there yet: {missing.message}",
            hint=f"the mirror is being updated (try again in a few minutes), or does not carry {architecture!r}",
        ) from missing

    def _fetch(self, place: Place, release: Release, listed: Listed, root: str) -> bytes:
        folder, slash, _ = listed.path.rpartition("/")
        by_hash = f"{folder}{slash}by-hash/SHA256/{listed.digest.hex}"
        url = f"{root}/{place.folder}{by_hash if release.by_hash else listed.path}"
        return verify(self.http.get(url, limit=listed.size), listed.digest, where=redacted(url))

    # -- mirrors ---------------------------------------------------------------------------------------

    def _from_any_mirror(self, place: Place, fetch: Callable[[str], T]) -> T:
        """What the first mirror gives that gives something good; a bad answer is told, and passed over.

        Raises NotFound only when every mirror says so, and else the first reason that is not that.
        """
        failures: list[TaskImageError] = []
        for root in place.roots():
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
        if isinstance(failure, Unreachable) and place.archive:
            failure.hint = f"{failure.hint}; other mirrors are set with TASKIMAGE_DEBIAN_MIRROR"
        raise failure


def _alias(origin: str) -> str:
    """The name of an archive in a lock, from who says that it is theirs."""
    return re.sub(r"[^a-z0-9]+", "-", origin.lower()).strip("-") or "other"


def _while_wanted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks``, until the crew stops."""
    for chunk in chunks:
        Crew.current().check()
        yield chunk
