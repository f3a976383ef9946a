"""Python packages: resolved by uv, chosen by tags for a target that need not be the host, fetched by digest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters.http import Fetch, Http
from taskimage.adapters.pypi.indexes import Index, indexes
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound, Unreachable
from taskimage.model.events import Listener, Warned, ignore
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform

if TYPE_CHECKING:
    from taskimage.adapters.pypi.chosen import Chosen
    from taskimage.adapters.pypi.requirements import Requirements
    from taskimage.adapters.pypi.resolver import Uv
    from taskimage.adapters.pypi.target import Target

__all__ = ["PyPI"]


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
        upgrade_packages: Sequence[str] = (),
    ) -> tuple[WheelPin, ...]:
        """A wheel for each package that is wanted, directly or by another, by name.

        Args:
            python: The version of the image's interpreter, three numbers.
            platform: What the image is for.
            packages: Requirements, as a spec has them.
            requirements: A requirements file, then every file that it includes.
            index: A spec's ``pip_index``.
            extra_indexes: A spec's ``pip_extra_index_url``.
            glibc: The version of the image's C library.
            keep: Pins whose versions are preferred while they still fit.
            upgrade_packages: Names among ``keep`` that are to be the newest that fit.

        Raises:
            BadInput: A requirement or an index's address cannot be read.
            NotFound: There is no such package or version.
            NotAllowed: An index wants credentials.
            Unreachable: An index does not answer.
            IntegrityError: A requirement's hashes allow none of the files.
            CannotBuild: Requirements contradict each other, a package has no wheel for the target, or does
                not allow its Python.
        """
        from taskimage.adapters.pypi.addresses import remember
        from taskimage.adapters.pypi.bounds import check_python
        from taskimage.adapters.pypi.target import Target

        wanted = self._requirements(packages, requirements)
        if not wanted.lines:
            return ()
        known = self._indexes(index, extra_indexes, wanted)
        if known[-1].url is None and "PIP_INDEX_URL" in self._environ:
            self._listener(
                Warned("PIP_INDEX_URL is set, and is not honoured", hint="set UV_DEFAULT_INDEX instead")
            )
        target = Target(python, platform, glibc)
        wheels = self._resolved(wanted, known, target, _versions(keep, upgrade_packages))
        for wheel in wheels:
            remember(self._store, wheel)
        check_python(self._http, self._store, wheels, target)
        return tuple(sorted(self._pins(wheels)))

    def _requirements(self, packages: Sequence[str], files: Sequence[RequirementsFile]) -> Requirements:
        from taskimage.adapters.pypi.requirements import Requirements

        return Requirements.read(packages, files, self._environ)

    def _indexes(
        self, index: str | None, extra_indexes: Sequence[str], wanted: Requirements
    ) -> tuple[Index, ...]:
        return indexes(index or wanted.index, extra_indexes, self._environ, found=wanted.extra_indexes)

    def _resolved(
        self, wanted: Requirements, known: Sequence[Index], target: Target, preferred: Mapping[str, str]
    ) -> list[Chosen]:
        from taskimage.adapters.pypi.chosen import choose, read_pylock
        from taskimage.adapters.pypi.failures import explained
        from taskimage.adapters.pypi.resolver import Uv, UvFailed

        with self._store.temporary_directory() as name:
            uv = Uv(self._environ, self._store.home / "uv", Path(name), offline=self._offline)
            known = _addressed(known, uv)
            try:
                packages = read_pylock(uv.compile(target, wanted, known, preferred))
                index_of = uv.index_of(target, {p.name: str(p.version) for p in packages}, known)
            except UvFailed as failure:
                raise explained(failure.text, target) from failure
        return list(choose(packages, target, [*wanted.lines, *wanted.constraints], index_of))

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


def _versions(keep: Sequence[WheelPin], upgrade: Sequence[str]) -> dict[str, str]:
    from packaging.utils import canonicalize_name

    newest = {canonicalize_name(name) for name in upgrade}
    return {pin.name: pin.version for pin in keep if canonicalize_name(pin.name) not in newest}
