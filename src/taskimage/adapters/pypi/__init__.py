"""Python packages: resolved by uv, chosen by tags for a target that need not be the host, fetched by digest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters.http import Fetch, Http
from taskimage.adapters.pypi.indexes import Index, indexes
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.adapters.store import Store
from taskimage.model.base import Distribution
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound, Unreachable
from taskimage.model.events import Listener, Notice, Warned, ignore
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform

if TYPE_CHECKING:
    from taskimage.adapters.pypi.chosen import Chosen
    from taskimage.adapters.pypi.installed import Installed
    from taskimage.adapters.pypi.requirements import Requirements
    from taskimage.adapters.pypi.resolver import Resolved, Uv
    from taskimage.adapters.pypi.target import Target

__all__ = ["PyPI", "Resolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is wanted, directly or by another, by name: a wheel to install, or what the base has installed."""

    wheels: tuple[WheelPin, ...] = ()
    installed: tuple[Distribution, ...] = ()


class PyPI:
    """The Python package indexes of this machine and of a spec.

    Args:
        store: Where wheels go, and what is worth remembering about them.
        http: The client that fetches them.
        environ: Where indexes are named (`indexes` says how); the process's own by default.
        offline: Ask no index: what the store and uv's cache lack is an error.
        listener: Hears of settings that are not honoured.
    """

    def __init__(
        self,
        store: Store,
        http: Http,
        *,
        environ: Mapping[str, str] | None = None,
        offline: bool = False,
        listener: Listener = ignore,
    ) -> None:
        self._store = store
        self._http = http
        self._environ = os.environ if environ is None else environ
        self._offline = offline
        self._listener = listener

    # -- resolving -------------------------------------------------------------------------------------

    def resolve(
        self,
        *,
        python: str,
        platform: Platform,
        packages: Sequence[str] = (),
        requirements: Sequence[RequirementsFile] = (),
        index: str | None = None,
        extra_indexes: Sequence[str] = (),
        glibc: tuple[int, int] = (2, 36),
        keep: Sequence[WheelPin] = (),
        installed: Sequence[Distribution] = (),
        upgrade_packages: Sequence[str] = (),
    ) -> Resolution:
        """A wheel for each package that is wanted, directly or by another, unless the base has it.

        What is ``installed`` counts wherever some version of all else goes with it, even if that is not the
        newest. Where none does, a wheel overrides it, and the listener hears what in the base is at odds with
        that.

        Args:
            python: The version of the image's interpreter, three numbers.
            platform: What the image is for.
            packages: Requirements, as a spec has them.
            requirements: A requirements file, then every file that it includes.
            index: A spec's ``pip_index``.
            extra_indexes: A spec's ``pip_extra_index_url``.
            glibc: The version of the image's C library.
            keep: Pins whose versions are preferred while they still fit, to those of the same base as well.
            installed: What the base's Python has; a requirement with hashes is not met by it.
            upgrade_packages: Names that are to be the newest that fit, whatever ``keep`` and the base have.

        Raises:
            BadInput: A requirement or an index's address cannot be read.
            NotFound: There is no such package or version.
            NotAllowed: An index wants credentials.
            Unreachable: An index does not answer.
            IntegrityError: A requirement's hashes allow none of the files.
            CannotBuild: Requirements contradict each other, a package has no wheel for the target, or does
                not allow its Python.
        """
        from packaging.utils import canonicalize_name

        from taskimage.adapters.pypi.addresses import remember
        from taskimage.adapters.pypi.bounds import check_python
        from taskimage.adapters.pypi.installed import Installed
        from taskimage.adapters.pypi.target import Target

        wanted = self._requirements(packages, requirements)
        if not wanted.lines:
            return Resolution()
        known = self._indexes(index, extra_indexes, wanted)
        if known[-1].url is None and "PIP_INDEX_URL" in self._environ:
            self._listener(
                Warned("PIP_INDEX_URL is set, and is not honoured", hint="set UV_DEFAULT_INDEX instead")
            )
        target = Target(python, platform, glibc)
        newest = frozenset(map(canonicalize_name, upgrade_packages))
        kept = {pin.name: pin.version for pin in keep if pin.name not in newest}
        base = Installed.among(installed, wanted, target, free=newest | kept.keys())
        wheels, used = self._resolved(wanted, known, target, kept, base)
        for wheel in wheels:
            remember(self._store, wheel)
        check_python(self._http, self._store, wheels, target)
        for text in base.broken_by({wheel.name: wheel.version for wheel in wheels}, target):
            self._listener(Warned(text, hint="name it in packages too, or a version that it goes with"))
        return Resolution(wheels=tuple(sorted(self._pins(wheels))), installed=tuple(sorted(used)))

    def _requirements(self, packages: Sequence[str], files: Sequence[RequirementsFile]) -> Requirements:
        from taskimage.adapters.pypi.requirements import Requirements

        return Requirements.read(packages, files, self._environ)

    def _indexes(
        self, index: str | None, extra_indexes: Sequence[str], wanted: Requirements
    ) -> tuple[Index, ...]:
        return indexes(index or wanted.index, extra_indexes, self._environ, found=wanted.extra_indexes)

    def _resolved(
        self,
        wanted: Requirements,
        known: Sequence[Index],
        target: Target,
        kept: Mapping[str, str],
        base: Installed,
    ) -> tuple[list[Chosen], list[Distribution]]:
        from taskimage.adapters.pypi.chosen import choose
        from taskimage.adapters.pypi.failures import explained
        from taskimage.adapters.pypi.resolver import Uv, UvFailed

        with self._store.temporary_directory() as name:
            uv = Uv(self._environ, self._store.home / "uv", Path(name), offline=self._offline)
            known = _addressed(known, uv)
            try:
                resolved = uv.compile(target, wanted, known, kept, base)
                used = [one for p in resolved.found if (one := base.find(p.name, p.version))]
                there = {one.name for one in used}
                packages = [package for package in resolved.found if package.name not in there]
                index_of = uv.index_of(target, {p.name: str(p.version) for p in packages}, known)
            except UvFailed as failure:
                raise explained(failure.text, target) from failure
        self._tell_of_older(wanted, resolved, base)
        return list(choose(packages, target, [*wanted.lines, *wanted.constraints], index_of)), used

    def _tell_of_older(self, wanted: Requirements, resolved: Resolved, base: Installed) -> None:
        """Say which packages that are asked for are not the newest, for the sake of what the base has."""
        asked = {line.name for line in wanted.lines}
        found = {package.name: package.version for package in resolved.found}
        older = [
            f"{new.name} is {found[new.name]}, not {new.version}"
            for new in resolved.newest
            if new.name in asked and new.version != found.get(new.name, new.version)
        ]
        stays = [
            f"{new.name} {base.distributions[new.name].version}"
            for new in resolved.newest
            if base.differs(new.name, new.version) and new.version != found.get(new.name)
        ]
        if older:
            self._listener(
                Notice(
                    f"{'; '.join(older)}: the base's {', '.join(stays)} stays, unless it is upgraded (-P NAME)"
                )
            )

    def _pins(self, wheels: Sequence[Chosen]) -> list[WheelPin]:
        sizes: dict[Digest, int] = {}

        def measure(wheel: Chosen) -> None:
            size = wheel.size
            if size is None:
                size = self._http.size(wheel.url, headers=wheel.index.login(wheel.url))
            if size is None:
                self._http.fetch(self._store, [wheel.fetch()], moved=lambda _: None)
                size = self._store.input_path(wheel.digest).stat().st_size
            sizes[wheel.digest] = size

        self._http.each(measure, wheels)
        return [
            WheelPin(
                name=wheel.name,
                version=wheel.version,
                index=wheel.index.alias,
                file=wheel.file,
                size=sizes[wheel.digest],
                digest=wheel.digest,
            )
            for wheel in wheels
        ]

    # -- fetching --------------------------------------------------------------------------------------

    def fetch(
        self,
        pins: Sequence[WheelPin],
        *,
        index: str | None = None,
        extra_indexes: Sequence[str] = (),
        requirements: Sequence[RequirementsFile] = (),
        moved: Callable[[int], None],
    ) -> None:
        """The file of every pin is in the store's inputs; ``moved`` hears how many bytes came.

        Indexes are named as for `resolve`. Raises BadInput for a pin whose index is not known here, NotFound
        for a file that its index no longer has, NotAllowed, Unreachable, IntegrityError.
        """
        from taskimage.adapters.pypi.addresses import recall

        missing = [pin for pin in pins if not self._store.input_path(pin.digest).exists()]
        if not missing:
            return
        if self._offline:
            raise Unreachable(
                f"{len(missing)} wheels are not in the store, {missing[0].file!r} first, and nothing is fetched offline",
                hint="run it once without --offline",
            )
        sources = self._sources(missing, index, extra_indexes, requirements)
        remembered = {pin.digest: url for pin, at in sources if (url := recall(self._store, at, pin))}
        try:
            self._fetch(sources, remembered, moved)
        except NotFound:
            if not remembered:
                raise
            # Files may have moved since: the index is asked for all that are not here yet.
            left = [(pin, at) for pin, at in sources if not self._store.input_path(pin.digest).exists()]
            self._fetch(left, {}, moved)

    def metadata(
        self,
        pins: Sequence[WheelPin],
        *,
        index: str | None = None,
        extra_indexes: Sequence[str] = (),
        requirements: Sequence[RequirementsFile] = (),
    ) -> dict[Digest, bytes]:
        """The METADATA of the wheels ``pins`` by their digests, where the store or an index has it.

        Indexes are named as for `resolve`. Raises BadInput for a pin whose index is not known here.
        """
        from taskimage.adapters.pypi.metadata import published_metadata, stored_metadata

        stored = {pin.digest: stored_metadata(self._store.input_path(pin.digest)) for pin in pins}
        found = {digest: data for digest, data in stored.items() if data is not None}
        missing = [pin for pin in pins if pin.digest not in found]
        if missing and not self._offline:
            found |= published_metadata(
                self._http, self._sources(missing, index, extra_indexes, requirements)
            )
        return found

    def _fetch(
        self,
        sources: Sequence[tuple[WheelPin, Index]],
        urls: Mapping[Digest, str],
        moved: Callable[[int], None],
    ) -> None:
        from taskimage.adapters.pypi.addresses import look_up

        urls = {**urls, **look_up(self._http, [(pin, at) for pin, at in sources if pin.digest not in urls])}
        wanted = [
            Fetch((url := urls[pin.digest],), pin.digest, pin.size, pin.file, at.login(url))
            for pin, at in sources
        ]
        self._http.fetch(self._store, wanted, moved=moved)

    def _sources(
        self,
        pins: Sequence[WheelPin],
        index: str | None,
        extra_indexes: Sequence[str],
        requirements: Sequence[RequirementsFile],
    ) -> list[tuple[WheelPin, Index]]:
        """Each pin with the index that it is from. Raises BadInput for one that is not known here."""
        from taskimage.adapters.pypi.resolver import Uv

        known = self._indexes(index, extra_indexes, self._requirements((), requirements))
        with self._store.temporary_directory() as name:
            known = _addressed(known, Uv(self._environ, self._store.home / "uv", Path(name)))
        by_alias = {at.alias: at for at in known}
        for pin in pins:
            if pin.index not in by_alias:
                raise BadInput(
                    f"{pin.file!r} was locked from the index {pin.index!r}, which is not known here;"
                    f" known are {', '.join(map(repr, by_alias))}",
                    hint=f"set UV_INDEX={pin.index}=https://…, or lock again",
                )
        return [(pin, by_alias[pin.index]) for pin in pins]


def _addressed(known: Sequence[Index], uv: Uv) -> tuple[Index, ...]:
    """``known`` with the address of uv's own default, where that is the default."""
    *extras, default = known
    return (*extras, default if default.url else replace(default, url=uv.default_index()))
