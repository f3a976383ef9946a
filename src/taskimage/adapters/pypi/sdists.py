"""Sdists in place of wheels: offered to uv as stubs, and built once uv has taken one.

What an sdist needs is only known once it is built, since its metadata may be made by code of its own, which uv would
run on this machine. So uv resolves with wheels alone, and a stub without dependencies stands for each version that has
no wheel; those that a resolution takes are built elsewhere, their stubs get the metadata of the wheel, and uv
resolves again, until it takes nothing that is not built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from taskimage.adapters.http import Http
from taskimage.adapters.pypi.addresses import remember
from taskimage.adapters.pypi.chosen import Chosen
from taskimage.adapters.pypi.indexes import Index
from taskimage.adapters.pypi.metadata import stored_metadata
from taskimage.adapters.pypi.requirements import Line
from taskimage.adapters.pypi.simple import File, project_files
from taskimage.adapters.pypi.stubs import stub
from taskimage.adapters.pypi.target import Target
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotFound
from taskimage.model.lock import WheelPin

if TYPE_CHECKING:
    from packaging.pylock import Package
    from packaging.version import Version

__all__ = ["Builder", "Sdists"]


class Builder(Protocol):
    """What builds sdists, apart from this machine's own programs and files."""

    @property
    def names(self) -> frozenset[str]:
        """The normalised names of the packages that may be built."""

    def built(self, sdist: WheelPin) -> WheelPin | None:
        """The wheel of ``sdist``, in the store, which has the sdist; None where that would be built, and is not yet.

        Raises CannotBuild.
        """


class Sdists:
    """The sdists that a resolution for one target may take, and the wheels that were built of them."""

    def __init__(self, http: Http, store: Store, builder: Builder | None, target: Target) -> None:
        self._http = http
        self._store = store
        self._builder = builder
        self._target = target
        self._offered: dict[tuple[str, Version], tuple[File, Index]] = {}
        self._taken: dict[tuple[str, Version], Chosen | None] = {}
        self.unbuilt: tuple[str, ...] = ()
        """What would be built and is not: ``NAME VERSION``."""

    @property
    def names(self) -> frozenset[str]:
        """What may be built."""
        return self._builder.names if self._builder else frozenset()

    def offer(self, known: Sequence[Index], kept: Mapping[str, str]) -> None:
        """Find the versions that have an sdist and no wheel, on the first of the indexes ``known`` that has the package.

        One that was withdrawn (PEP 592) counts where its version is ``kept``.
        """
        for name in sorted(self.names):
            for index in known:
                try:
                    files = project_files(self._http, index, name)
                except NotFound:
                    continue
                self._offer(
                    name, [one for one in files if not one.yanked or _has(one, kept.get(name))], index
                )
                break

    def _offer(self, name: str, files: Sequence[File], index: Index) -> None:
        from packaging.utils import (
            InvalidSdistFilename,
            InvalidWheelFilename,
            parse_sdist_filename,
            parse_wheel_filename,
        )

        sdists: dict[Version, File] = {}
        wheels: set[Version] = set()
        for file in files:
            try:
                if file.name.endswith(".whl"):
                    _, version, _, tags = parse_wheel_filename(file.name)
                    wheels |= {version} if tags.intersection(self._target.tags) else set()
                elif file.name.endswith((".tar.gz", ".zip")) and file.sha256:
                    named, version = parse_sdist_filename(file.name)
                    sdists |= {version: file} if named == name else {}
            except (InvalidWheelFilename, InvalidSdistFilename):
                continue
        self._offered |= {
            (name, version): (file, index) for version, file in sdists.items() if version not in wheels
        }

    def stubs(self) -> Iterator[tuple[str, bytes]]:
        """A wheel of metadata for each, as file name and bytes."""
        for (name, version), (file, _) in self._offered.items():
            if wheel := self._taken.get((name, version)):
                yield stub(name, version, self._target, _needs(self._store, wheel.digest))
            else:
                bound = " ".join((file.requires_python or "").split())
                yield stub(name, version, self._target, [f"Requires-Python: {bound}"] if bound else [])

    def take(self, packages: Iterable[Package], lines: Sequence[Line]) -> bool:
        """Build what of ``packages`` is offered here; whether there was something that was not built before.

        Raises IntegrityError where ``lines`` want other files.
        """
        fresh = [one for one in map(_key, packages) if one in self._offered and one not in self._taken]
        for key in fresh:
            file, index = self._offered[key]
            sdist = Chosen(
                name=key[0], version=str(key[1]), file=file.name, digest=Digest.parse(f"sha256:{file.sha256}"),
                size=None, url=file.url, index=index,
            )  # fmt: skip
            for line in lines:
                if line.excludes(sdist.name, sdist.digest.hex, self._target):
                    raise IntegrityError(
                        f"{file.name!r} has none of the hashes that are wanted", where=line.where
                    )
            self._taken[key] = self.made(sdist)
        return bool(fresh)

    def taken(self, packages: Iterable[Package]) -> dict[str, Chosen | None]:
        """What of ``packages`` was taken, by name: the wheels, None for what would be built."""
        return {key[0]: self._taken[key] for key in map(_key, packages) if key in self._taken}

    def made(self, chosen: Chosen) -> Chosen | None:
        """The wheel of ``chosen``, built where that is an sdist. Raises what fetching raises, and CannotBuild."""
        if self._builder is None or chosen.file.endswith(".whl"):
            return chosen
        remember(self._store, chosen)
        self._http.fetch(self._store, [chosen.fetch()], moved=lambda _: None)
        pin = self._builder.built(chosen.pin(self._store.input_path(chosen.digest).stat().st_size))
        if pin is None:
            self.unbuilt += (f"{chosen.name} {chosen.version}",)
            return None
        return replace(chosen, file=pin.file, digest=pin.digest, size=pin.size, sdist=pin.sdist)


def _has(file: File, version: str | None) -> bool:
    return version is not None and file.name.endswith((f"-{version}.tar.gz", f"-{version}.zip"))


def _key(package: Package) -> tuple[str, Version | None]:
    return package.name, package.version


def _needs(store: Store, wheel: Digest) -> Iterator[str]:
    """The lines of a wheel's metadata that a resolution looks at."""
    from email.parser import BytesHeaderParser

    header = BytesHeaderParser().parsebytes(stored_metadata(store.input_path(wheel)) or b"")
    for field in ("Requires-Python", "Provides-Extra", "Requires-Dist"):
        yield from (f"{field}: {' '.join(str(value).split())}" for value in header.get_all(field, ()))
