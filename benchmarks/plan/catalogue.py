"""The packages that fleets are made of: real wheels of CPython 3.11 on x86-64, as they were in each week of a year."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from taskimage.model.digest import Digest
from taskimage.model.lock import WheelPin

__all__ = ["PACKAGES", "WEEKS", "Catalogue", "Package", "Release", "read", "write"]

WEEKS = 52
PACKAGES = Path(__file__).with_name("packages.tsv")
"""One package a line: its name, the names that it requires, and WEEK:VERSION:BYTES for each week that brought a release."""


@dataclass(frozen=True, slots=True)
class Release:
    """What a resolver takes from ``week`` on; ``size`` is the wheel's, in bytes."""

    week: int
    version: str
    size: int


@dataclass(frozen=True)
class Package:
    """A package, and the releases of the year that a resolver saw, oldest first."""

    name: str
    requires: tuple[str, ...]
    releases: tuple[Release, ...]

    @cached_property
    def pins(self) -> tuple[WheelPin, ...]:
        """The newest wheel in each week; before the first, that one."""
        weeks = [release.week for release in self.releases]
        wheels = [self._wheel(release) for release in self.releases]
        return tuple(wheels[max(bisect_right(weeks, week) - 1, 0)] for week in range(WEEKS))

    def _wheel(self, release: Release) -> WheelPin:
        return WheelPin(
            name=self.name,
            version=release.version,
            index="pypi",
            file=f"{self.name}-{release.version}-py3-none-any.whl",
            size=release.size,
            digest=Digest.of(f"{self.name} {release.version}".encode()),
        )


class Catalogue(dict[str, Package]):
    """Packages by name."""

    def closure(self, names: frozenset[str]) -> tuple[str, ...]:
        """``names`` and what they need, sorted."""
        found: set[str] = set()
        ahead = list(names)
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += self[name].requires
        return tuple(sorted(found))


def read(path: Path = PACKAGES) -> Catalogue:
    """The packages of a table."""
    found = Catalogue()
    for line in path.read_text(encoding="utf-8").splitlines():
        name, requires, releases = line.split("\t")
        found[name] = Package(name, tuple(requires.split()), tuple(map(_release, releases.split())))
    return found


def write(packages: Iterable[Package], path: Path = PACKAGES) -> None:
    """A table of ``packages``."""
    lines = (
        f"{package.name}\t{' '.join(package.requires)}\t"
        + " ".join(f"{one.week}:{one.version}:{one.size}" for one in package.releases)
        for package in packages
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _release(text: str) -> Release:
    week, version, size = text.split(":")
    return Release(int(week), version, int(size))
