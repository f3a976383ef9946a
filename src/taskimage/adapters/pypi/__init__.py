"""Python packages: resolved by uv, chosen by tags for a target that need not be the host, fetched by digest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters.crew import Crew
from taskimage.adapters.http import Http
from taskimage.adapters.pypi.defaultindex import DefaultIndex
from taskimage.adapters.pypi.indexes import DIRECT, Index, index_of_pin, indexes
from taskimage.adapters.pypi.locks import index_names, locked_in, read_lock, select
from taskimage.adapters.pypi.resolution import Resolution
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.store import Store
from taskimage.model.base import Distribution
from taskimage.model.digest import Digest
from taskimage.model.errors import Unreachable
from taskimage.model.events import Listener, Notice, Warned, ignore
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform
from taskimage.model.spec.installoptions import DEFAULTS, InstallOptions

if TYPE_CHECKING:
    from taskimage.adapters.pypi.chosen import Chosen
    from taskimage.adapters.pypi.fetching import Places
    from taskimage.adapters.pypi.installed import Installed
    from taskimage.adapters.pypi.locked import Locations
    from taskimage.adapters.pypi.requirements import Requirements
    from taskimage.adapters.pypi.resolver import Uv
    from taskimage.adapters.pypi.sdists import Builder, Sdists
    from taskimage.adapters.pypi.target import Target

__all__ = ["PyPI", "Resolution"]


class PyPI:
    """The Python package indexes of this machine and of a spec.

    Args:
        store: Where wheels go, and what is worth remembering about them.
        http: The client that fetches them.
        environ: Where indexes are named (`indexes` says how); the process's own by default.
        offline: Ask no index: what the store and uv's cache lack is an error.
        listener: Hears of settings that are not honoured.
        hold: What an index said holds for a minute, whatever it says itself: for several resolutions at one moment.
    """

    def __init__(
        self,
        store: Store,
        http: Http,
        *,
        environ: Mapping[str, str] | None = None,
        offline: bool = False,
        listener: Listener = ignore,
        hold: bool = False,
    ) -> None:
        self._store = store
        self._http = http
        self._environ = os.environ if environ is None else environ
        self._offline = offline
        self._listener = listener
        self._hold = hold
        self._told = False
        self._default = DefaultIndex()

    # -- resolving -------------------------------------------------------------------------------------

    def resolve(
        self,
        asked: Asked,
        *,
        python: str,
        platform: Platform,
        glibc: tuple[int, int] = (2, 36),
        keep: Sequence[WheelPin] = (),
        installed: Sequence[Distribution] = (),
        upgrade_packages: Sequence[str] = (),
        builder: Builder | None = None,
        unread: bool = True,
        meanwhile: Callable[[], object] | None = None,
    ) -> Resolution:
        """A wheel for each package that is wanted, directly or by another, unless the base has it.

        What is ``installed`` counts wherever some version of all else goes with it, even if that is not the
        newest. Where none does, a wheel overrides it, and the listener hears what in the base is at odds with
        that.

        Args:
            asked: What is wanted, and of which indexes. Where the first of its ``requirements`` is a lock file, that
                alone says what is wanted, whatever the base has.
            python: The version of the image's interpreter, three numbers.
            platform: What the image is for.
            glibc: The version of the image's C library.
            keep: Pins whose versions are preferred while they still fit, to those of the same base as well.
            installed: What the base's Python has; a requirement with hashes is not met by it.
            upgrade_packages: Names that are to be the newest that fit, whatever ``keep`` and the base have.
            builder: Builds what has no wheel, where it may.
            unread: Nobody is going to read the wheels now, to see whether they allow this Python: indexes are asked.
            meanwhile: Called while uv is waited for.

        Raises:
            BadInput: A requirement, a lock file or an index's address cannot be read.
            StaleLock: A lock file no longer says what its project wants.
            NotFound: There is no such package or version.
            NotAllowed: An index wants credentials.
            Unreachable: An index does not answer.
            IntegrityError: A requirement's hashes allow none of the files.
            CannotBuild: Requirements contradict each other, a package has no wheel for the target, or does
                not allow its Python.
        """
        with self._looking_up_default(asked):
            from packaging.utils import canonicalize_name

            from taskimage.adapters.pypi.installed import Installed
            from taskimage.adapters.pypi.pins import pinned
            from taskimage.adapters.pypi.sdists import Sdists
            from taskimage.adapters.pypi.target import Target

            target = Target(python, platform, glibc)
            sdists = Sdists(self._http, self._store, builder, target)
            if locked_in(asked.requirements):
                return self._locked(target, asked, sdists, unread=unread)
            wanted = self._requirements(asked)
            if not wanted.lines:
                return Resolution()
            known = self._indexes(asked, wanted)
            if known[-1].url is None and "PIP_INDEX_URL" in self._environ:
                self._tell_of_pip()
            newest = frozenset(map(canonicalize_name, upgrade_packages))
            kept = {pin.name: pin.version for pin in keep if pin.name not in newest}
            base = Installed.among(installed, wanted, target, free=newest | kept.keys())
            with self._uv(asked.options, meanwhile) as uv:
                wheels, used = self._resolved(
                    uv, wanted, self._addressed(known, uv), target, kept, base, sdists
                )
            self._check(wheels, target, unread=unread)
            for text in base.broken_by({wheel.name: wheel.version for wheel in wheels}, target):
                self._listener(Warned(text, hint="name it in packages too, or a version that it goes with"))
            pins = pinned(self._http, self._store, wheels)
            return Resolution(wheels=pins, installed=tuple(sorted(used)), unbuilt=sdists.unbuilt)

    @contextlib.contextmanager
    def _looking_up_default(self, asked: Asked) -> Iterator[None]:
        """The default index is looked up beside the block, which most likely wants it."""
        if indexes(asked, self._environ)[-1].url is not None:
            yield
            return
        with Crew.beside(self._default.look):
            yield

    def _tell_of_pip(self) -> None:
        """Once, however many resolutions there are."""
        if not self._told:
            self._told = True
            self._listener(
                Warned("PIP_INDEX_URL is set, and is not honoured", hint="set UV_DEFAULT_INDEX instead")
            )

    def _locked(self, target: Target, asked: Asked, sdists: Sdists, *, unread: bool) -> Resolution:
        """What a lock file installs."""
        from taskimage.adapters.pypi.addresses import located
        from taskimage.adapters.pypi.chosen import choose
        from taskimage.adapters.pypi.pins import pinned

        packages = select(asked.requirements, target, asked.options)
        with self._uv() as uv:
            locations = self._locations(uv, asked)
            index_of = {str(one.name): locations.index(one) for one in packages}
            chosen = list(choose(packages, target, (), index_of, buildable=sdists.names))
            found = located(self._http, chosen, locations.addresses(packages))
        wheels = [wheel for one in found if (wheel := sdists.made(one))]
        self._check(wheels, target, unread=unread)
        return Resolution(wheels=pinned(self._http, self._store, wheels), unbuilt=sdists.unbuilt)

    def _check(self, wheels: Sequence[Chosen], target: Target, *, unread: bool) -> None:
        """Where ``wheels`` are is remembered, and each is for the target's Python. Raises CannotBuild."""
        from taskimage.adapters.pypi.addresses import remember

        for wheel in wheels:
            if wheel.sdist is None:
                remember(self._store, wheel)
        if unread:
            from taskimage.adapters.pypi.bounds import check_python

            check_python(self._http, self._store, wheels, target)

    @contextlib.contextmanager
    def _uv(
        self, options: InstallOptions = DEFAULTS, meanwhile: Callable[[], object] | None = None
    ) -> Iterator[Uv]:
        from taskimage.adapters.pypi.resolver import Uv

        given = {"UV_INDEX_STRATEGY": options.index_strategy, "UV_EXCLUDE_NEWER": options.exclude_newer}
        environ = {**self._environ, **{name: value for name, value in given.items() if value}}
        with self._store.explained(), self._store.temporary_directory() as name:
            cache = self._store.home / "uv"
            yield Uv(environ, cache, Path(name), offline=self._offline, hold=self._hold, meanwhile=meanwhile)

    def _requirements(self, asked: Asked) -> Requirements:
        from taskimage.adapters.pypi.requirements import Requirements

        return Requirements.read(asked.packages, asked.requirements, self._environ, asked.options)

    def _indexes(self, asked: Asked, wanted: Requirements) -> tuple[Index, ...]:
        return indexes(asked, self._environ, default=wanted.index, found=wanted.extra_indexes)

    def _resolved(  # noqa: PLR0917 - all that is known of what is wanted
        self,
        uv: Uv,
        wanted: Requirements,
        known: Sequence[Index],
        target: Target,
        kept: Mapping[str, str],
        base: Installed,
        sdists: Sdists,
    ) -> tuple[list[Chosen], list[Distribution]]:
        from taskimage.adapters.pypi.chosen import choose
        from taskimage.adapters.pypi.failures import explained
        from taskimage.adapters.pypi.resolver import UvFailed

        try:
            resolved = uv.compile(target, wanted, known, kept, base, sdists)
            used = [one for p in resolved.found if (one := base.find(p.name, p.version))]
            taken = sdists.taken(resolved.found)
            there = {*taken, *(one.name for one in used)}
            packages = [package for package in resolved.found if package.name not in there]
            direct: dict[str, Index] = {package.name: DIRECT for package in packages if package.archive}
            rest = {str(p.name): str(p.version) for p in packages if p.name not in direct}
            index_of = {**uv.index_of(target, rest, known), **direct}
        except UvFailed as failure:
            raise explained(failure.text, target) from failure
        if told := base.holding_back({line.name for line in wanted.lines}, resolved.found, resolved.newest):
            self._listener(Notice(told))
        chosen = choose(packages, target, [*wanted.lines, *wanted.constraints], index_of)
        return [*chosen, *(wheel for wheel in taken.values() if wheel)], used

    def tools(
        self,
        requires: Sequence[str],
        asked: Asked,
        *,
        python: str,
        platform: Platform,
        glibc: tuple[int, int],
        builder: Builder,
    ) -> tuple[WheelPin, ...]:
        """Wheels of all that ``requires`` names, and of what that needs, in the store: from the indexes of what is ``asked``.

        It is not trusted (`Requirements.of_stranger`). Raises as `resolve` and `fetch` do.
        """
        from taskimage.adapters.pypi.installed import Installed
        from taskimage.adapters.pypi.pins import pinned
        from taskimage.adapters.pypi.requirements import Requirements
        from taskimage.adapters.pypi.sdists import Sdists
        from taskimage.adapters.pypi.target import Target

        target = Target(python, platform, glibc)
        sdists = Sdists(self._http, self._store, builder, target)
        wanted = Requirements.of_stranger(requires)
        with self._uv(asked.options) as uv:
            known = self._known(uv, asked)
            wheels, _ = self._resolved(uv, wanted, known, target, {}, Installed({}), sdists)
        fetched = [wheel.fetch() for wheel in wheels if wheel.sdist is None]
        self._http.fetch(self._store, fetched, moved=lambda _: None)
        return pinned(self._http, self._store, wheels)

    # -- fetching --------------------------------------------------------------------------------------

    def fetch(self, pins: Sequence[WheelPin], asked: Asked, *, moved: Callable[[int], None]) -> None:
        """The file of every pin is in the store's inputs; ``moved`` hears how many bytes came.

        What was ``asked``, as of `resolve`, says where files are. What its index no longer has is taken from another
        of them, by digest, and the listener hears of it. Raises BadInput for a pin whose index is not known here,
        NotFound for a file that none has any more, NotAllowed, Unreachable, IntegrityError.
        """
        missing = [pin for pin in pins if not self._store.input_path(pin.digest).exists()]
        if not missing:
            return
        if self._offline:
            raise Unreachable(
                f"{len(missing)} wheels are not in the store, {missing[0].file!r} first, and nothing is fetched offline",
                hint="run it once without --offline",
            )
        from taskimage.adapters.pypi.fetching import Fetching

        Fetching(self._store, self._http, self._listener, moved).fetch(self._places(missing, asked))

    def _places(self, pins: Sequence[WheelPin], asked: Asked) -> Places:
        from taskimage.adapters.pypi.addresses import recall
        from taskimage.adapters.pypi.fetching import Places

        if locked_in(asked.requirements):
            known, told = self._told_by_lock(pins, asked)
        else:
            wanted = self._requirements(asked)
            with self._uv() as uv:
                known = self._known(uv, asked)
            told = {pin.digest: url for pin in pins if (url := wanted.addresses.get(pin.file))}
        sources = [(pin, index_of_pin(pin, known)) for pin in pins]
        told |= {pin.digest: url for pin, at in sources if (url := recall(self._store, at, pin))}
        return Places(known, sources, told)

    def _told_by_lock(
        self, pins: Sequence[WheelPin], asked: Asked
    ) -> tuple[Sequence[Index], dict[Digest, str]]:
        """The indexes that a lock file knows too, and where it says that the files of ``pins`` are."""
        with self._uv() as uv:
            locations = self._locations(uv, asked)
            addresses = locations.addresses(read_lock(asked.requirements).packages())
        told = {pin.digest: url for pin in pins if (url := addresses.get(pin.digest.hex))}
        return locations.known, told

    def _known(self, uv: Uv, asked: Asked) -> Sequence[Index]:
        """The indexes of what is ``asked``, with their addresses."""
        if locked_in(asked.requirements):
            return self._locations(uv, asked).known
        return self._addressed(self._indexes(asked, self._requirements(asked)), uv)

    def _addressed(self, known: Sequence[Index], uv: Uv) -> tuple[Index, ...]:
        """``known`` with the address of uv's own default, where that is the default."""
        *extras, default = known
        return (*extras, default if default.url else replace(default, url=self._default.address(uv)))

    def _locations(self, uv: Uv, asked: Asked) -> Locations:
        from taskimage.adapters.pypi.locked import Locations, registries

        found = registries(read_lock(asked.requirements), index_names(asked.requirements))
        known = indexes(asked, self._environ, found=found)
        return Locations(self._addressed(known, uv), partial(self._default.address, uv))

    def metadata(self, pins: Sequence[WheelPin], asked: Asked) -> dict[Digest, bytes]:
        """The METADATA of the wheels ``pins`` by their digests, where the store or an index has it.

        What was ``asked`` is as for `resolve`. Raises BadInput for a pin whose index is not known here.
        """
        from taskimage.adapters.pypi.metadata import published_metadata, stored_metadata

        stored = {pin.digest: stored_metadata(self._store.input_path(pin.digest)) for pin in pins}
        found = {digest: data for digest, data in stored.items() if data is not None}
        missing = [pin for pin in pins if pin.digest not in found]
        if missing and not self._offline:
            found |= published_metadata(self._http, self._places(missing, asked).sources)
        return found
