"""Which packages of an older ``poetry.lock`` are needed, from the project's own tables down."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from taskimage.adapters.pypi.locks.markers import applies
from taskimage.adapters.pypi.locks.poetryversions import allows
from taskimage.adapters.pypi.target import Target
from taskimage.model.errors import BadInput

__all__ = ["needed"]

_Table = Mapping[str, Any]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def needed(
    entries: Sequence[_Table],
    project: _Table,
    target: Target,
    extras: Collection[str],
    groups: Collection[str],
    *,
    where: str,
) -> list[_Table]:
    """The entries that ``groups`` and ``extras`` of ``project`` lead to on ``target``. Raises BadInput."""
    by_name: dict[str, list[_Table]] = {}
    for one in entries:
        by_name.setdefault(_normal(one["name"]), []).append(one)
    waiting = list(_wanted(project.get("tool", {}).get("poetry", {}), extras, groups))
    found: dict[int, _Table] = {}
    seen: set[tuple[int, str]] = set()
    while waiting:
        name, need = waiting.pop()
        if not _applies(need, target):
            continue
        if (entry := _entry(by_name.get(name, ()), need, target)) is None:
            raise BadInput(f"{name!r} is needed and not locked", where=where, hint="run `poetry lock`")
        found[id(entry)] = entry
        for extra in ("", *need.get("extras", ())):
            if (id(entry), extra) not in seen:
                seen.add((id(entry), extra))
                waiting += _needs(entry.get("dependencies", {}), _of_extra(entry.get("extras", {}), extra))
    return list(found.values())


def _wanted(poetry: _Table, extras: Collection[str], groups: Collection[str]) -> Iterator[tuple[str, _Table]]:
    optional = {_normal(name) for extra in extras for name in poetry.get("extras", {}).get(extra, ())}
    tables = {"main": poetry.get("dependencies", {}), "dev": poetry.get("dev-dependencies", {})}
    for group in groups:
        yield from _needs(tables.get(group, {}), optional)
        yield from _needs(poetry.get("group", {}).get(group, {}).get("dependencies", {}), optional)


def _needs(table: _Table, optional: Collection[str]) -> Iterator[tuple[str, _Table]]:
    """Each dependency of ``table`` by its normal name; optional ones where they are among ``optional``."""
    for name, value in table.items():
        for given in value if isinstance(value, list) else [value]:
            need = {"version": given} if isinstance(given, str) else given
            if name != "python" and (not need.get("optional") or _normal(name) in optional):
                yield _normal(name), need


def _of_extra(extras: _Table, extra: str) -> frozenset[str]:
    """The names that ``extra`` of a package asks for."""
    texts = next((texts for name, texts in extras.items() if _normal(name) == _normal(extra)), ())
    return frozenset(_normal(match[0]) for text in texts if (match := _NAME.match(text)))


def _applies(need: _Table, target: Target) -> bool:
    return (
        applies(need.get("markers"), target)
        and allows(need.get("python", "*"), target.python)
        and need.get("platform", "linux") == "linux"
    )


def _entry(entries: Sequence[_Table], need: _Table, target: Target) -> _Table | None:
    """The entry that ``need`` is for: of several versions, the one within its bounds, and for this Python."""
    if len(entries) > 1:
        bound = need.get("version", "*")
        entries = [
            entry
            for entry in entries
            if allows(bound, entry["version"]) and allows(entry.get("python-versions", "*"), target.python)
        ]
    return max(entries, key=lambda entry: _sortable(entry["version"]), default=None)


def _sortable(version: str) -> Any:
    from packaging.version import Version

    return Version(version)


def _normal(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
