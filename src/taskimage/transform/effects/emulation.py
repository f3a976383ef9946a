"""What installing packages would have done beyond their files, made as entries without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from taskimage.model.oci import Platform
from taskimage.model.user import User
from taskimage.transform.deb import Deb
from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.alternatives import alternative_links
from taskimage.transform.effects.base import directories, login_shells, system_links
from taskimage.transform.effects.certificates import trusted_certificates
from taskimage.transform.effects.dpkg import package_records
from taskimage.transform.effects.ldcache import linker_cache
from taskimage.transform.effects.scripts import Unhandled, follow_scripts
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["Effects", "byte_compiled", "effects"]

_COMPILED = re.compile(r"usr/lib/python3(\.\d+|/dist-packages)/.+\.py")


@dataclass(frozen=True, slots=True)
class Effects:
    """Entries that lie above those of the packages, sorted by path; and the scripts not understood."""

    entries: tuple[Entry, ...]
    unknown: tuple[Unhandled, ...]


class _Made:
    """Entries made so far; the tree sees each of them, so that what is made later can build on it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.entries: dict[str, Entry] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.entries[entry.path] = entry
            self.tree.add(entry)


def effects(debs: Sequence[Deb], *, platform: Platform, users: Sequence[User]) -> Effects:
    """What the maintainer scripts of ``debs`` (all packages of an image together) would have done.

    The same packages give the same entries in whatever order they come. ``users`` are added to the
    accounts and get a home that their group can write to. Nothing is read but the packages.

    Raises IntegrityError for a certificate among them that is none.
    """
    ordered = sorted(debs, key=lambda deb: (deb.package, deb.architecture))
    tree = Tree(entry for deb in ordered for entry in deb.entries)
    names = {deb.package for deb in ordered}
    made = _Made(tree)
    made.add(system_links(tree))
    accounts = Accounts(tree)
    scripts = follow_scripts(ordered, tree, accounts, architecture=platform.debian)
    made.add(scripts.entries)
    for user in users:
        accounts.add(user)
    made.add(accounts.entries(shadow="passwd" in names))
    made.add(login_shells(tree))
    made.add(alternative_links(scripts.choices, tree))
    made.add(trusted_certificates(tree, java="ca-certificates-java" in names))
    made.add(directories(tree, users))
    made.add(package_records(ordered, tree))
    made.add(linker_cache(tree, platform=platform))
    return Effects(tuple(made.entries[path] for path in sorted(made.entries)), scripts.unknown)


def byte_compiled(debs: Iterable[Deb]) -> tuple[Entry, ...]:
    """The Python sources of ``debs`` that their scripts would have compiled, sorted by path.

    They are the standard library's and those in Debian's dist-packages; a link to a source is one too.
    """
    tree = Tree(entry for deb in debs for entry in deb.entries)
    paths = [entry.path for entry in tree.below("usr/lib") if _COMPILED.fullmatch(entry.path)]
    found = [(path, tree.file(path)) for path in sorted(paths)]
    return tuple(replace(source, path=path) for path, source in found if source is not None)
