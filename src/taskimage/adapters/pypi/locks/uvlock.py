"""``uv.lock``: what uv would install of it, without uv, so that any version's file is read by any."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from taskimage.adapters.pypi.locks.freshness import check_uv
from taskimage.adapters.pypi.locks.markers import applies
from taskimage.adapters.pypi.locks.parts import File, Parts, package_of
from taskimage.adapters.pypi.target import Target
from taskimage.model.errors import BadInput, CannotBuild
from taskimage.model.spec.installoptions import InstallOptions

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = ["UvLock"]

_VERSION: Final = 1
_HERE: Final = ({"virtual": "."}, {"editable": "."}, {"directory": "."})

_Table = Mapping[str, Any]


class UvLock:
    """A ``uv.lock`` and the project beside it, as ``uv sync --locked --no-dev --no-install-project`` reads them."""

    def __init__(self, document: _Table, project: _Table, *, where: str) -> None:
        if document.get("version") != _VERSION:
            raise BadInput(
                f"version is {document.get('version')!r}; version {_VERSION} of a uv.lock is read",
                where=where,
            )
        self._where = where
        self._document = document
        self._project = project
        self._entries: Sequence[_Table] = document.get("package", ())

    @property
    def root(self) -> _Table:
        """The entry of the project itself. Raises CannotBuild for a workspace that is none."""
        for entry in self._entries:
            if entry["source"] in _HERE:
                return entry
        members = ", ".join(self._document.get("manifest", {}).get("members", ())) or "nothing"
        raise CannotBuild(
            f"a lock of a workspace whose root is no project; it has {members}",
            where=self._where,
            hint="export one member: `uv export --package NAME --no-emit-workspace -o requirements.txt`",
        )

    def packages(self) -> Iterator[Package]:
        """Every package that has files on an index or at an address."""
        for entry in self._entries:
            source = entry["source"]
            if source.get("registry", "").startswith("http") or source.get("url", "").endswith(".whl"):
                yield self._package(entry)

    def select(self, target: Target, options: InstallOptions) -> Iterator[Package]:
        """What is installed for ``target``. Raises CannotBuild, BadInput."""
        self._check(target)
        root = self.root
        check_uv(root, self._project, where=self._where)
        extras, groups = self._parts(root, options)
        name = root["name"]
        # uv writes which of conflicting extras and groups an edge is for into its marker, under these names.
        active = {f"{kind}-{len(name)}-{name}-{part}" for kind, parts in (("extra", extras), ("group", groups))
                  for part in parts}  # fmt: skip
        optional, development = root.get("optional-dependencies", {}), root.get("dev-dependencies", {})
        edges = [] if options.only_groups else [*root.get("dependencies", ())]
        edges += [edge for extra in extras for edge in optional.get(extra, ())]
        edges += [edge for group in groups for edge in development.get(group, ())]
        for entry in self._reached(edges, target, active):
            if entry is not root:
                yield self._package(entry)

    def _check(self, target: Target) -> None:
        from packaging.specifiers import SpecifierSet

        bound = self._document.get("requires-python", "")
        if not SpecifierSet(bound).contains(target.python, prereleases=True):
            raise CannotBuild(
                f"the project wants Python {bound}; the image has {target.python}",
                where=self._where, hint="set another python_version",
            )  # fmt: skip
        markers = self._document.get("supported-markers", ())
        if markers and not any(applies(marker, target) for marker in markers):
            raise CannotBuild(
                f"the project is not locked for {target}", where=self._where,
                hint="add it to tool.uv.environments of pyproject.toml, and run `uv lock`",
            )  # fmt: skip

    def _parts(self, root: _Table, options: InstallOptions) -> tuple[Collection[str], Collection[str]]:
        """The extras and groups that are wanted."""
        settings = self._project.get("tool", {}).get("uv", {})
        metadata = root.get("metadata", {})
        groups = {*metadata.get("requires-dev", {}), *root.get("dev-dependencies", {})}
        default = settings.get("default-groups", ())
        return Parts(
            extras={*metadata.get("provides-extras", ()), *root.get("optional-dependencies", {})},
            groups=groups,
            default_groups=(groups if default == "all" else set(default)) - {"dev"},
            where=self._where,
        ).chosen(options)

    def _reached(self, edges: Sequence[_Table], target: Target, active: Collection[str]) -> Iterator[_Table]:
        """Every entry that ``edges`` lead to, once, sorted by name."""
        waiting = list(edges)
        seen: set[tuple[int, str]] = set()
        found: dict[int, _Table] = {}
        while waiting:
            edge = waiting.pop()
            if not applies(edge.get("marker"), target, active):
                continue
            entry = self._entry(edge)
            found[id(entry)] = entry
            for extra in ("", *edge.get("extra", ())):
                if (id(entry), extra) not in seen:
                    seen.add((id(entry), extra))
                    more = (
                        entry.get("optional-dependencies", {}).get(extra, ())
                        if extra
                        else entry.get("dependencies", ())
                    )
                    waiting += more
        yield from sorted(found.values(), key=lambda entry: str(entry["name"]))

    def _entry(self, edge: _Table) -> _Table:
        for entry in self._entries:
            if all(entry.get(key) == edge[key] for key in ("name", "version", "source") if key in edge):
                return entry
        raise BadInput(f"{edge['name']!r} is needed and not locked", where=self._where, hint="run `uv lock`")

    def _package(self, entry: _Table) -> Package:
        kind, at = next(iter(entry["source"].items()))
        wheels = [_file(wheel) for wheel in entry.get("wheels", ())]
        sdist = _file(entry["sdist"]) if "sdist" in entry else None
        return package_of(
            entry["name"], entry.get("version"), kind, at, wheels, where=self._where, sdist=sdist
        )


def _file(table: _Table) -> File:
    return File(table.get("filename", ""), table.get("url", ""), table.get("hash", ""), table.get("size"))
