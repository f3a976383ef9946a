"""What a base image's Python has installed, shown to uv as stubs: wheels that hold metadata and nothing else.

uv resolves what indexes offer, and no index offers what was built for one base, such as ``torch 2.4.0+cu121``.
A stub has the name, version and dependencies of a distribution; where a resolution takes it, nothing is to be
installed. Wherever a distribution came from (an index, a Debian package, a folder or address, PEP 610), its
metadata counts, as it does for pip.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from taskimage.adapters.pypi.requirements import Requirements
from taskimage.adapters.pypi.stubs import stub
from taskimage.adapters.pypi.target import Target
from taskimage.model.base import Distribution
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from packaging.pylock import Package
    from packaging.requirements import Requirement
    from packaging.version import Version

__all__ = ["Installed"]

_INSTALLERS = ("pip", "setuptools", "wheel")


@dataclass(frozen=True, slots=True)
class Installed:
    """The distributions of a base that can stand for what is wanted, by name.

    For those in ``free`` other versions are as good, or better.
    """

    distributions: Mapping[str, Distribution]
    free: frozenset[str] = frozenset()

    @classmethod
    def among(
        cls,
        found: Iterable[Distribution],
        wanted: Requirements,
        target: Target,
        *,
        free: frozenset[str] = frozenset(),
    ) -> Installed:
        """Those of ``found`` that count.

        A requirement with hashes wants certain files, and what is installed has no hash to compare: its wheel
        is installed. Neither counts what has no version that can be compared (PEP 440).
        """
        from packaging.utils import is_normalized_name

        hashed = wanted.hashed(target)
        counted = {
            one.name: one
            for one in found
            if is_normalized_name(one.name) and one.name not in hashed and _version(one) is not None
        }
        return cls(counted, free)

    @property
    def preferred(self) -> dict[str, str]:
        """The versions that a resolution prefers, by name."""
        return {name: str(_version(one)) for name, one in self.distributions.items() if name not in self.free}

    @property
    def held(self) -> list[str]:
        """Constraints by which the rest is chosen to go with what is there, rather than to be the newest.

        Whoever built the base built its packages for each other, often against each other's binaries. The ones
        that only install others say nothing about that.
        """
        return [f"{name}=={version}" for name, version in self.preferred.items() if name not in _INSTALLERS]

    @staticmethod
    def yielding(held: Sequence[str], contradiction: str) -> list[str]:
        """What is left of ``held`` when uv has told a ``contradiction``: what that names gives way.

        A version with a local label (PEP 440), which was built for this base alone, is the last to do so.
        """
        named = [one for one in held if one in contradiction] or held
        going = [one for one in named if "+" not in one] or named
        return [one for one in held if one not in going]

    def find(self, name: str, version: Version | None) -> Distribution | None:
        """The distribution of this name and exactly this version."""
        one = self.distributions.get(name)
        return one if one is not None and _version(one) == version else None

    def differs(self, name: str, version: Version | None) -> bool:
        """Whether the base has another version of ``name``, which should rather stay."""
        return name in self.preferred and self.find(name, version) is None

    def holding_back(
        self, asked: Collection[str], found: Iterable[Package], newest: Iterable[Package]
    ) -> str | None:
        """Which packages that are ``asked`` for are ``found`` in a version that is not their ``newest``, for its sake."""
        versions = {package.name: package.version for package in found}
        newer = [package for package in newest if package.version != versions.get(package.name)]
        older = [
            f"{new.name} is {versions[new.name]}, not {new.version}"
            for new in newer
            if new.name in asked and new.name in versions
        ]
        stays = [
            f"{new.name} {self.distributions[new.name].version}"
            for new in newer
            if self.differs(new.name, new.version)
        ]
        if not older:
            return None
        return f"{'; '.join(older)}: the base's {', '.join(stays)} stays, unless it is upgraded (-P NAME)"

    def stubs(self, target: Target) -> Iterator[tuple[str, bytes]]:
        """A wheel of metadata for each, as file name and bytes: whoever built the base may have changed dependencies."""
        for name, one in self.distributions.items():
            # No Requires-Python: it is installed in this very Python.
            needs = [f"Requires-Dist: {need}" for need in _requirements(one) if not self._lacks(need)]
            yield stub(name, _version(one), target, needs)

    def broken_by(self, versions: Mapping[str, str], target: Target) -> Iterator[str]:
        """What of the base no longer has what it needs, once ``versions`` override its own; a sentence for each."""
        environment = {**target.environment, "extra": ""}
        for one in self.distributions.values():
            for need in () if one.name in versions else _requirements(one):
                name = _name(need)
                if name not in versions or name not in self.distributions or self._lacks(need):
                    continue
                applies = need.marker is None or need.marker.evaluate(environment)
                if applies and not need.specifier.contains(versions[name], prereleases=True):
                    yield f"{one.name} {one.version} of the base wants {name}{need.specifier}, and gets {versions[name]}"

    def _lacks(self, need: Requirement) -> bool:
        """Whether the base itself has another version than ``need``: it was made so, and works, or nobody minds."""
        there = self.distributions.get(_name(need))
        return there is not None and not need.specifier.contains(there.version, prereleases=True)


def _version(distribution: Distribution) -> Version | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(distribution.version)
    except InvalidVersion:
        return None


def _requirements(distribution: Distribution) -> Iterator[Requirement]:
    """What it depends on, as far as that can be read, by name: an address is of no use once it is installed."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in distribution.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        requirement.url = None
        yield requirement


def _name(requirement: Requirement) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(requirement.name)
