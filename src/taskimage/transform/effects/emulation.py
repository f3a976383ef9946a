"""What installing packages would have done beyond their files, made as entries without running anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from taskimage.model.oci import Platform
from taskimage.model.user import User
from taskimage.model.value import dataclass
from taskimage.transform.deb import Deb
from taskimage.transform.effects.accountfiles import account_files
from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.alternatives import alternative_links
from taskimage.transform.effects.authorities import trusted_authorities
from taskimage.transform.effects.base import directories, login_shells, system_links
from taskimage.transform.effects.certificates import SHIPPED, java_keystore, trusted_certificates
from taskimage.transform.effects.dpkg import package_records, recorded
from taskimage.transform.effects.ldcache import linker_cache
from taskimage.transform.effects.region import local_time, locale_list, paper_size
from taskimage.transform.effects.scripts import Script, Unhandled, follow_scripts
from taskimage.transform.effects.tree import Tree
from taskimage.transform.effects.upgrades import (
    changed_configuration,
    kept_folders,
    obsolete_files,
    obsolete_records,
    overridden,
    replaced_packages,
)
from taskimage.transform.entry import Entry, same_content
from taskimage.transform.whiteout import whiteouts

__all__ = ["Effects", "byte_compiled", "effects", "effects_before"]

JAVA = "ca-certificates-java"
_COMPILED = re.compile(r"usr/lib/python3(\.\d+|/dist-packages)/.+\.py")


@dataclass(frozen=True, slots=True)
class Effects:
    """Entries that lie above those of the packages, sorted by path; and the scripts not understood."""

    entries: tuple[Entry, ...]
    unknown: tuple[Unhandled, ...]


class _Made:
    """Entries made so far; the tree sees each of them, so that what is made later can build on it.

    ``below`` is the base alone.
    """

    def __init__(self, below: Sequence[Entry], debs: Sequence[Deb]) -> None:
        self.below = Tree(below)
        self.is_based = bool(below)
        self._shipped = [entry for deb in debs for entry in deb.entries]
        self.tree = Tree((*below, *self._shipped))
        self._entries: dict[str, Entry] = {}
        self._removed: set[str] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._entries[entry.path] = entry
            self._removed.discard(entry.path)
            self.tree.add(entry)

    def remove(self, paths: Iterable[str]) -> None:
        """Take away files, and folders that nothing is in."""
        for path in paths:
            if not self.tree.names(path):
                self.tree.remove(path)
                self._removed.add(path)

    def changes(self) -> tuple[Entry, ...]:
        """What has to lie above the base and the packages, sorted by path."""
        gone = {entry.path: entry for entry in whiteouts(self._removed)}
        if not self.is_based:
            return tuple(entry for _, entry in sorted((self._entries | gone).items()))
        there = {entry.path: entry for entry in (*self.below.below(""), *self._shipped)}

        def is_new(entry: Entry) -> bool:
            known = there.get(entry.path)
            return known is None or _owned(known) != _owned(entry) or not same_content(known, entry)

        new = {path: entry for path, entry in self._entries.items() if is_new(entry)}
        new |= gone
        folders = {entry.path: entry for entry in kept_folders((*self._shipped, *new.values()), self.below)}
        return tuple(entry for _, entry in sorted((folders | new).items()))


def _owned(entry: Entry) -> tuple[int, int, int]:
    return entry.mode, entry.uid, entry.gid


def effects(
    debs: Sequence[Deb],
    *,
    platform: Platform,
    users: Sequence[User],
    below: Sequence[Entry] = (),
    authorities: Sequence[Entry] = (),
    left: Collection[Script] = (),
) -> Effects:
    """What the maintainer scripts of ``debs`` (all packages of an image together) would have done.

    The same packages give the same entries in whatever order they come. ``users`` are added to the
    accounts and get a home that their group can write to. Nothing is read but the packages, and the files
    ``below`` them: the whole tree of a base image. On a base only what changes comes out, with whiteouts for
    what is gone; without packages that is accounts and homes, on a base of any kind. ``authorities`` are files of
    certificates that are trusted too, on any base. Scripts that are ``left`` are not followed: for dpkg their
    packages are unpacked, and still to be configured.

    Raises IntegrityError for a certificate among them that is none.
    """
    ordered = sorted(debs, key=lambda deb: (deb.package, deb.architecture))
    made = _Made(below, ordered)
    if not made.is_based:
        made.add(system_links(made.tree))
    accounts = Accounts(made.tree)
    unknown = _configure(ordered, made, accounts, left, platform=platform) if ordered else ()
    if authorities:
        placed = [replace(entry, path=made.tree.place(entry.path) or entry.path) for entry in authorities]
        made.add(placed)
        made.add(trusted_authorities(made.tree, placed))
    homes = [accounts.add(user) for user in users]
    has_passwd = any(deb.package == "passwd" for deb in ordered)
    made.add(account_files(accounts, made.tree, shadow=has_passwd and not made.is_based))
    made.add(directories(made.tree, homes, below=made.below))
    return Effects(made.changes(), unknown)


def effects_before(follow: Callable[..., Effects], *, waived: Collection[str]) -> Effects:
    """What there is before the scripts are run that are not understood, which are told; none of ``waived`` packages.

    ``follow`` gives the effects without the scripts that are ``left``.
    """
    unknown: tuple[Unhandled, ...] = ()
    while True:
        # dpkg configures a package whichever script of its is not followed.
        left = {(one.package, script) for one in unknown for script in (one.script, "postinst")}
        found = follow(left=left)
        # What is run is not followed, and others may need what comes of it.
        more = tuple(one for one in found.unknown if one.package not in waived)
        if not more:
            return Effects(found.entries, unknown)
        unknown += more


def _configure(
    debs: Sequence[Deb], made: _Made, accounts: Accounts, left: Collection[Script], *, platform: Platform
) -> tuple[Unhandled, ...]:
    """Make what the scripts of ``debs`` would have done; what of them is not understood."""
    tree, below = made.tree, made.below
    names = {deb.package for deb in debs}
    known = recorded(below)
    replaced = replaced_packages(debs, known)
    changed, gone = changed_configuration(debs, below, replaced)
    made.add(overridden(debs, below, accounts))
    made.remove(obsolete_files(debs, below, known, replaced))
    made.add(local_time(tree, below=below))
    made.add(locale_list(tree))
    if "libpaper1" in names:
        made.add(paper_size(tree))
    before = Tree(below.below("") if made.is_based else system_links(tree))
    versions = {name: item.version for name, item in replaced.items() if item.is_installed}
    scripts = follow_scripts(
        debs, before, tree, accounts, architecture=platform.debian, replaced=versions, left=left
    )
    made.add(scripts.entries)
    made.remove(scripts.removed)
    made.add(login_shells(tree, below=below))
    made.add(alternative_links(scripts.choices, tree))
    has_new = any(entry.path.startswith(f"{SHIPPED}/") for deb in debs for entry in deb.entries)
    if has_new:
        made.add(trusted_certificates(tree))
    if JAVA in names or (has_new and JAVA in {item.package for item in known}):
        made.add(java_keystore(tree))
    kept = [item for item in known if replaced.get(item.package) != item]
    unpacked = {package: versions.get(package, "") for package, _ in left}
    made.add(package_records(debs, tree, kept=kept, unpacked=unpacked))
    made.add(changed)
    made.remove((*gone, *obsolete_records(debs, below, replaced)))
    made.add(linker_cache(tree, platform=platform))
    return scripts.unknown


def byte_compiled(debs: Iterable[Deb]) -> tuple[Entry, ...]:
    """The Python sources of ``debs`` that their scripts would have compiled, sorted by path.

    They are the standard library's and those in Debian's dist-packages; a link to a source is one too.
    """
    tree = Tree(entry for deb in debs for entry in deb.entries)
    paths = [entry.path for entry in tree.below("usr/lib") if _COMPILED.fullmatch(entry.path)]
    found = [(path, tree.file(path)) for path in sorted(paths)]
    return tuple(replace(source, path=path) for path, source in found if source is not None)
