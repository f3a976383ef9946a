"""Where the files of a lock file are: on which index of this machine, and at which address.

The lock's own addresses are used, but for those of uv's default index where this machine has another default:
that is a mirror of it, and has the same files under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from taskimage.adapters.http.network import origin
from taskimage.adapters.pypi.indexes import DIRECT, Index
from taskimage.adapters.pypi.locks import LockFile

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageSdist, PackageWheel

__all__ = ["Locations", "registries"]


def registries(lock: LockFile, names: Mapping[str, str]) -> tuple[str, ...]:
    """The indexes that ``lock`` has packages of, sorted: ``NAME=ADDRESS`` where ``names`` has one, else the address."""
    found = sorted({package.index.rstrip("/") for package in lock.packages() if package.index})
    return tuple(f"{names[url]}={url}" if url in names else url for url in found)


class Locations:
    """Where packages are.

    Args:
        known: The indexes of this machine and of the spec, those of the lock file among them; the default is the last.
        own_default: Gives the address of uv's own default index.
    """

    def __init__(self, known: Sequence[Index], own_default: Callable[[], str]) -> None:
        self.known = known
        self._own_default = own_default
        self._by_url: dict[str, Index] = {}
        # An index that is known otherwise too is called by that name.
        for index in sorted(known, key=lambda one: one.alias.startswith("requirements-")):
            self._by_url.setdefault(_normal(index.url or ""), index)

    def index(self, package: Package) -> Index:
        """The index that has the files of ``package``, or `DIRECT`."""
        if package.archive is not None:
            return DIRECT
        default = self.known[-1]
        if package.index:
            return (
                default
                if self._is_mirrored(package)
                else self._by_url.get(_normal(package.index), self.known[-1])
            )
        urls = [file.url for file in _files(package) if file.url]
        same = [one for one in self.known if urls and one.url and origin(one.url) == origin(urls[0])]
        return same[0] if same else default

    def addresses(self, packages: Iterable[Package]) -> dict[str, str]:
        """Where each file is, by its sha256; only the index tells it of those that are not there."""
        found: dict[str, str] = {}
        for package in packages:
            files = (
                [package.archive]
                if package.archive
                else []
                if self._is_mirrored(package)
                else _files(package)
            )
            found |= {file.hashes.get("sha256", ""): file.url for file in files if file.url}
        return found

    def _is_mirrored(self, package: Package) -> bool:
        """Whether the lock names uv's own default index, and this machine has another in its place."""
        if not package.index:
            return False
        known = self._by_url.get(_normal(package.index), self.known[-1])
        if not known.alias.startswith("requirements-"):
            return False
        return _normal(package.index) == _normal(self._own_default())


def _files(package: Package) -> Sequence[PackageWheel | PackageSdist]:
    return (*(package.wheels or ()), *((package.sdist,) if package.sdist else ()))


def _normal(url: str) -> str:
    return url.rstrip("/")
