"""What all lock files have in common: parts of a project to choose from, and packages with their files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from taskimage.model.errors import BadInput, CannotBuild
from taskimage.model.spec.installoptions import InstallOptions
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = ["File", "Parts", "package_of", "refused"]

_KINDS = {
    "git": "a Git repository", "path": "a file", "file": "a file", "directory": "a folder",
    "editable": "a folder, editable", "virtual": "a folder", "url": "an address that is no wheel",
    "vcs": "a repository", "hg": "a Mercurial repository", "registry": "an index in a folder",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The extras and groups that a project has, and which groups are wanted when nobody says.

    ``main`` is what poetry calls the project's own dependencies, of which the extras are: a group among the others.
    """

    extras: Collection[str]
    groups: Collection[str]
    default_groups: Collection[str]
    where: str
    main: str | None = None

    def chosen(self, options: InstallOptions) -> tuple[frozenset[str], frozenset[str]]:
        """The extras and the groups that ``options`` want. Raises BadInput for one that there is not."""
        extras = self.extras if options.all_extras else self._known("extra", options.extras, self.extras)
        if options.only_groups:
            only = frozenset(self._known("group", options.only_groups, self.groups))
            return frozenset(extras if self.main in only else ()), only
        default = () if options.no_default_groups else self.default_groups
        wanted = self.groups if options.all_groups else self._known("group", options.groups, self.groups)
        without = self._known("group", options.without, self.groups)
        return frozenset(extras), frozenset((*default, *wanted)) - frozenset(without)

    def _known(self, kind: str, names: Sequence[str], there: Collection[str]) -> list[str]:
        from packaging.utils import canonicalize_name

        by_name = {canonicalize_name(name): name for name in there}
        for name in names:
            if canonicalize_name(name) not in by_name:
                having = ", ".join(map(repr, sorted(there))) or "none"
                raise BadInput(
                    f"pip_extra_args wants the {kind} {name!r}, and the project has {having}",
                    where=self.where,
                )
        return [by_name[canonicalize_name(name)] for name in names]


@dataclass(frozen=True, slots=True)
class File:
    """A wheel or sdist of a lock file: its ``name`` or its ``url``, or both; ``hash`` as ``ALGORITHM:HEX``."""

    name: str
    url: str
    hash: str
    size: int | None = None


def package_of(
    name: str, version: str | None, kind: str, at: str | None, wheels: Sequence[File], *, where: str,
    sdist: File | None = None,
) -> Package:  # fmt: skip
    """A package as PEP 751 has it, from a source of this ``kind``: an index ``at`` an address, or one wheel's own.

    Raises CannotBuild for other sources: what they hold has no digest that says what is installed.
    """
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    normal = canonicalize_name(name)
    known = Version(version) if version else None
    if kind == "url" and urlsplit(at or "").path.endswith(".whl"):
        algorithm, _, digest = (wheels[0].hash if wheels else "").partition(":")
        archive = PackageArchive(url=at, hashes={algorithm: digest}, size=wheels[0].size if wheels else None)
        return Package(name=normal, version=known, archive=archive)
    if kind != "registry" or (at and urlsplit(at).scheme not in {"https", "http"}):
        raise refused(name, kind, where)
    parsed = []
    for wheel in wheels:
        algorithm, _, digest = wheel.hash.partition(":")
        parsed.append(
            PackageWheel(
                name=wheel.name or None, url=wheel.url or None, size=wheel.size, hashes={algorithm: digest}
            )
        )
    source = None
    if sdist is not None:
        algorithm, _, digest = sdist.hash.partition(":")
        source = PackageSdist(
            name=sdist.name or None, url=sdist.url or None, size=sdist.size, hashes={algorithm: digest}
        )
    return Package(name=normal, version=known, index=at, wheels=parsed, sdist=source)


def refused(name: str, kind: str, where: str) -> CannotBuild:
    """The error for a package that is locked from something else than an index or a wheel."""
    return CannotBuild(
        f"{name!r} is locked from {_KINDS.get(kind, kind)}; only packages of an index and wheels at an address are served",
        where=where,
        hint=f"publish {name} as a wheel on an index and lock that, or copy its source with source_root or copy",
    )
