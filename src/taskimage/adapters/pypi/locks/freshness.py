"""Whether a lock file still says what the ``pyproject.toml`` beside it wants, where that can be told."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from taskimage.model.errors import StaleLock

__all__ = ["check_poetry", "check_uv"]

_Table = Mapping[str, Any]
_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]*)['"]""")
_WITHOUT_BOUND = frozenset({"git", "url", "path", "editable", "directory", "virtual"})


class _Need(NamedTuple):
    """A requirement as far as both files write it alike: not its marker, which uv simplifies."""

    part: str
    name: str
    extras: frozenset[str]
    bound: str

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.name}{extras}{self.bound}" + (f" of {self.part}" if self.part else "")


def check_uv(root: _Table, project: _Table, *, where: str) -> None:
    """Raises StaleLock when ``root``, the project's entry of a ``uv.lock``, is of another ``pyproject.toml``."""
    if "dependencies" in project.get("project", {}).get("dynamic", ()):
        return
    metadata = root.get("metadata", {})
    locked = set(_locked(metadata.get("requires-dist", ())))
    for group, needs in metadata.get("requires-dev", {}).items():
        locked |= set(_locked(needs, f"group {group}"))
    free = {(need.part, need.name) for need in locked if need.bound == "*"}
    wanted = {
        need._replace(bound="*") if (need.part, need.name) in free else need for need in _wanted(project)
    }
    changes = [f"{str(need)!r} is wanted and not locked" for need in sorted(wanted - locked, key=str)]
    changes += [f"{str(need)!r} is locked and no longer wanted" for need in sorted(locked - wanted, key=str)]
    if changes:
        raise _stale(where, changes, "uv lock")


def check_poetry(content_hash: str, project: _Table, *, where: str) -> None:
    """Raises StaleLock when ``content_hash`` of a ``poetry.lock`` is that of another ``pyproject.toml``."""
    if content_hash not in set(_content_hashes(project)):
        change = "what the pyproject.toml beside it wants has changed since"
        raise _stale(where, [change], "poetry lock")


def _stale(where: str, changes: list[str], command: str) -> StaleLock:
    said = "\n".join(f"  {change}" for change in changes)
    return StaleLock(
        f"{where} no longer says what its project wants:\n{said}",
        changes=tuple(changes),
        hint=f"run `{command}`",
    )


def _locked(needs: Iterable[_Table], part: str = "") -> Iterator[_Need]:
    for need in needs:
        extra = _EXTRA.search(need.get("marker", ""))
        bound = "*" if _WITHOUT_BOUND & need.keys() else _bound(need.get("specifier", ""))
        yield _Need(
            f"extra {_normal(extra[1])}" if extra else part,
            _normal(need["name"]),
            frozenset(map(_normal, need.get("extras", ()))),
            bound,
        )


def _wanted(project: _Table) -> Iterator[_Need]:
    table = project.get("project", {})
    yield from _read(table.get("dependencies", ()), "")
    for extra, texts in table.get("optional-dependencies", {}).items():
        yield from _read(texts, f"extra {_normal(extra)}")
    groups: dict[str, Any] = dict(project.get("dependency-groups", {}))
    if older := project.get("tool", {}).get("uv", {}).get("dev-dependencies"):
        groups["dev"] = [*groups.get("dev", ()), *older]
    from packaging.dependency_groups import resolve_dependency_groups

    for group in groups:
        yield from _read(resolve_dependency_groups(groups, group), f"group {_normal(group)}")


def _read(texts: Iterable[str], part: str) -> Iterator[_Need]:
    from packaging.requirements import Requirement

    for text in texts:
        need = Requirement(text)
        yield _Need(
            part,
            _normal(need.name),
            frozenset(map(_normal, need.extras)),
            "*" if need.url else _bound(str(need.specifier)),
        )


def _bound(text: str) -> str:
    """One text for equal bounds (PEP 440)."""
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_version

    def one(operator: str, version: str) -> str:
        return operator + canonicalize_version(version, strip_trailing_zero=operator != "~=")

    return ",".join(sorted(one(part.operator, part.version) for part in SpecifierSet(text)))


def _normal(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _content_hashes(project: _Table) -> Iterator[str]:
    """What a version of poetry calls the content of ``project``: which tables it looks at has changed twice."""
    poetry = project.get("tool", {}).get("poetry", {})
    older = {name: poetry.get(name) for name in ("dependencies", "source", "extras", "dev-dependencies")}
    older |= {"group": poetry["group"]} if poetry.get("group") is not None else {}
    newer = {name: value for name, value in older.items() if value is not None}
    table = project.get("project", {})
    standard = {
        name: table[name]
        for name in ("requires-python", "dependencies", "optional-dependencies")
        if name in table
    }
    groups: _Table = project.get("dependency-groups", {})
    contents: list[_Table] = [older]
    for named in ({}, {"dependency-groups": groups} if groups else {}):
        content: _Table = {**({"project": standard} if standard else {}), **named}
        contents += [{**content, "tool": {"poetry": newer}}] if content else []
    for one in contents:
        yield hashlib.sha256(json.dumps(one, sort_keys=True, default=str).encode()).hexdigest()
