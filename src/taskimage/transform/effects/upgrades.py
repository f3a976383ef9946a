"""What is left of a base's packages when newer ones take their place: files that go, configuration that stays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from taskimage.transform.deb import Deb
from taskimage.transform.deb.data import is_documentation
from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.dpkg import ADMIN, Recorded, record_name
from taskimage.transform.effects.file_commands import OVERRIDES
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry, folders_of

__all__ = [
    "changed_configuration",
    "kept_folders",
    "obsolete_files",
    "obsolete_records",
    "overridden",
    "replaced_packages",
]

_INFO = f"{ADMIN}/info"


def replaced_packages(debs: Sequence[Deb], known: Iterable[Recorded]) -> dict[str, Recorded]:
    """The packages of a base that ``debs`` take the place of, by name."""
    new = {deb.package: deb.architecture for deb in debs}
    return {
        item.package: item
        for item in known
        if item.package in new
        and (item.architecture == new[item.package] or "all" in (item.architecture, new[item.package]))
    }


def obsolete_files(
    debs: Sequence[Deb], below: Tree, known: Sequence[Recorded], replaced: Mapping[str, Recorded]
) -> list[str]:
    """The files of ``replaced`` that no package has any more, deepest first; folders that may be empty now too.

    Configuration stays, as dpkg leaves it, and so does documentation, which the new versions have left out.
    """
    old = {path for item in replaced.values() for path in _listed(item, below)}
    if not old:
        return []
    kept = {_place(path, below) for deb in debs for path in deb.files}
    kept |= {path for item in known if item.package not in replaced for path in _listed(item, below)}
    kept |= {_place(path, below) for item in replaced.values() for path in item.conffiles}
    gone = (path for path in old - kept if below.get(path) is not None and not is_documentation(path))
    return sorted(gone, reverse=True)


def obsolete_records(debs: Sequence[Deb], below: Tree, replaced: Mapping[str, Recorded]) -> list[str]:
    """What dpkg has kept about ``replaced``, and does not keep about ``debs``."""
    old = {item.name for item in replaced.values()}
    kept = {f"{record_name(deb)}.{kind}" for deb in debs for kind in (*deb.scripts, "list")}
    files = below.names(_INFO)
    return [f"{_INFO}/{file}" for file in files if file.rpartition(".")[0] in old and file not in kept]


def changed_configuration(
    debs: Sequence[Deb], below: Tree, replaced: Mapping[str, Recorded]
) -> tuple[list[Entry], list[str]]:
    """Configuration files of ``replaced`` that were changed in the base: as they are, and those that are gone.

    dpkg asks whether they shall stay, and by default they do (dpkg(1), --force-confdef).
    """
    changed: list[Entry] = []
    gone: list[str] = []
    for deb in debs:
        new = set(deb.scripts.get("conffiles", b"").decode("utf-8", "replace").splitlines())
        before = replaced[deb.package].conffiles if deb.package in replaced else {}
        for path, digest in before.items():
            place = _place(path, below)
            if path not in new:
                continue
            data = below.read(path)
            entry = below.get(place)
            if data is None or entry is None:
                gone.append(place)
            elif hashlib.md5(data, usedforsecurity=False).hexdigest() != digest:
                changed.append(entry)
    return changed, gone


def overridden(debs: Iterable[Deb], tree: Tree, accounts: Accounts) -> Iterator[Entry]:
    """Files of ``debs`` with the owners and modes that dpkg-statoverride was told in the base."""
    shipped = {entry.path: entry for deb in debs for entry in deb.entries}
    for line in (tree.read(OVERRIDES) or b"").decode("utf-8", "surrogateescape").splitlines():
        user, group, mode, path = (*line.split(None, 3), *[""] * 4)[:4]
        entry = shipped.get(_place(path, tree))
        uid, gid = accounts.uid(user.lstrip("#")), accounts.gid(group.lstrip("#"))
        if entry is not None and uid is not None and gid is not None and re.fullmatch("[0-7]{1,4}", mode):
            yield replace(entry, mode=int(mode, 8), uid=uid, gid=gid)


def kept_folders(entries: Sequence[Entry], below: Tree) -> Iterator[Entry]:
    """The folders of a base that ``entries`` are in, as they were: dpkg changes none that it finds.

    A layer states the parents of its paths, as plain ones where no entry says other.
    """
    stated = {entry.path: entry for entry in entries if entry.kind == "dir"}
    for path in folders_of(entry.path for entry in entries) | stated.keys():
        there, plain = below.get(path), Entry.directory(path)
        if there is not None and there.kind == "dir" and (there != plain or stated.get(path, plain) != plain):
            yield there


def _listed(item: Recorded, below: Tree) -> Iterator[str]:
    """The paths that dpkg lists as the package's, where they really are."""
    text = below.read(f"{_INFO}/{item.name}.list") or b""
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        if path := _place(line, below):
            yield path


def _place(path: str, tree: Tree) -> str:
    return tree.place(path) or "" if path.strip("/.") else ""
