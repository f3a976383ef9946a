"""``poetry.lock``: what poetry would install of it, without poetry.

Since poetry 2 (lock-version 2.1) each package says which groups it is for, and when. Before, that follows from
the project beside it and what each package needs, which `poetryneeds` walks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from taskimage.adapters.pypi.locks.freshness import check_poetry
from taskimage.adapters.pypi.locks.markers import applies
from taskimage.adapters.pypi.locks.parts import File, Parts, package_of
from taskimage.adapters.pypi.locks.poetryneeds import needed
from taskimage.adapters.pypi.target import Target
from taskimage.model.errors import BadInput, CannotBuild
from taskimage.model.spec.installoptions import InstallOptions

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = ["PoetryLock"]

# 1.1: poetry 1.1 and 1.2; 2.0: poetry 1.3 to 1.8; 2.1: poetry 2.
_VERSIONS: Final = ("1.1", "2.0", "2.1")
_INDEXES: Final = frozenset({"legacy", "pypi"})

_Table = Mapping[str, Any]


class PoetryLock:
    """A ``poetry.lock`` and the project beside it, as ``poetry install --no-root`` reads them."""

    def __init__(self, document: _Table, project: _Table, *, where: str) -> None:
        self._where = where
        self._document = document
        self._project = project
        self._entries: Sequence[_Table] = document.get("package", ())
        self._version = document.get("metadata", {}).get("lock-version")
        if self._version not in _VERSIONS:
            raise BadInput(
                f"lock-version is {self._version!r}; {', '.join(_VERSIONS)} are read", where=where,
                hint="run `poetry lock` with a poetry of version 1.1 to 2",
            )  # fmt: skip

    def packages(self) -> Iterator[Package]:
        """Every package that has files on an index or at an address."""
        for entry in self._entries:
            source = entry.get("source", {})
            if source.get("type", "legacy") in _INDEXES or (
                source["type"] == "url" and source["url"].endswith(".whl")
            ):
                yield self._package(entry)

    def select(self, target: Target, options: InstallOptions) -> Iterator[Package]:
        """What is installed for ``target``. Raises CannotBuild, BadInput."""
        self._check(target)
        check_poetry(self._document["metadata"]["content-hash"], self._project, where=self._where)
        extras, groups = self._parts(options)
        if self._version == "2.1":
            entries = [entry for entry in self._entries if _is_wanted(entry, target, extras, groups)]
        else:
            entries = needed(self._entries, self._project, target, extras, groups, where=self._where)
        for entry in sorted(entries, key=lambda one: str(one["name"]).lower()):
            yield self._package(entry)

    def _check(self, target: Target) -> None:
        from taskimage.adapters.pypi.locks.poetryversions import allows

        bound = self._document["metadata"].get("python-versions", "*")
        if not allows(bound, target.python):
            raise CannotBuild(
                f"the project wants Python {bound}; the image has {target.python}",
                where=self._where, hint="set another python_version",
            )  # fmt: skip

    def _parts(self, options: InstallOptions) -> tuple[frozenset[str], frozenset[str]]:
        poetry = self._project.get("tool", {}).get("poetry", {})
        described = poetry.get("group", {})
        groups = {"main", *described, *self._project.get("dependency-groups", {})}
        groups |= {"dev"} if "dev-dependencies" in poetry else set()
        return Parts(
            extras={*self._document.get("extras", {}), *poetry.get("extras", {})},
            groups=groups,
            default_groups={name for name in groups if not described.get(name, {}).get("optional")},
            where=self._where,
            main="main",
        ).chosen(options)

    def _package(self, entry: _Table) -> Package:
        source = entry.get("source", {})
        kind = source.get("type", "legacy")
        files = entry.get("files") or self._document["metadata"].get("files", {}).get(entry["name"], ())
        listed = [File(file["file"], "", file["hash"]) for file in files]
        wheels = [file for file in listed if file.name.endswith(".whl")]
        sdist = next((file for file in listed if file.name.endswith((".tar.gz", ".zip"))), None)
        return package_of(
            entry["name"], entry["version"], "registry" if kind in _INDEXES else kind, source.get("url"),
            wheels, where=self._where, sdist=sdist,
        )  # fmt: skip


def _is_wanted(entry: _Table, target: Target, extras: Collection[str], groups: Collection[str]) -> bool:
    """Whether one of ``groups`` has the package here: its marker is one for all of them, or one for each."""
    markers = entry.get("markers")
    return any(
        applies(markers.get(group) if isinstance(markers, Mapping) else markers, target, extras)
        for group in entry["groups"]
        if group in groups
    )
