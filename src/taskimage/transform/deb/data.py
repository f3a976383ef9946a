"""Which members of a data archive become entries of an image, and under which paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from taskimage.model.errors import IntegrityError
from taskimage.transform.deb.tar import TarMember
from taskimage.transform.entry import Entry

__all__ = ["MERGED", "kept_entries", "merged", "resolve"]

# Top folders that are links into usr/ (Debian's merged /usr).
MERGED = ("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin")
# Folders that are links in an image, and what they link to: base-files makes the last two.
_LINKED = {name: f"usr/{name}" for name in MERGED} | {"var/lock": "run/lock", "var/run": "run"}
_LINKED_PREFIX = re.compile(rf"({'|'.join(_LINKED)})(?=/|$)")
# What Debian's own slim images leave out: no program of theirs needs it. Licences stay.
_DOC = re.compile(r"usr/share/(doc|doc-base|gnome/help|info|lintian|linda|locale|man|omf)(/|$)")
_COPYRIGHT = re.compile(r"usr/share/doc(/[^/]+(/copyright)?)?")


def merged(path: str) -> str:
    """``path`` as it is where /bin, /sbin and /lib* are links into /usr, and /var/run is one.

    >>> merged("lib/x86_64-linux-gnu/libc.so.6")
    'usr/lib/x86_64-linux-gnu/libc.so.6'
    """
    match = _LINKED_PREFIX.match(path)
    return _LINKED[match[1]] + path[match.end() :] if match else path


def resolve(path: str, target: str) -> str:
    """The path that the text ``target`` of a link at ``path`` names, merged; ``..`` stops at the root."""
    return merged(posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target)).lstrip("/"))


def kept_entries(members: Iterable[TarMember], *, where: str) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The entries, sorted by path, and the names that dpkg lists them by, in the archive's order.

    Raises IntegrityError for two members with one path, save directories, and a link beside the file
    that it points to (as packages had them that served both /bin and /usr/bin).
    """
    entries: dict[str, Entry] = {}
    files: list[str] = []
    for member in members:
        if not _is_kept(member):
            continue
        files.append("/" + (member.path or "."))
        if not member.path:
            continue
        entry = _entry(member, where)
        there = entries.setdefault(entry.path, entry)
        if there is entry or there.kind == entry.kind == "dir" or _points_to_itself(entry):
            continue
        if not _points_to_itself(there):
            raise IntegrityError(f"member {member.name!r:.200} is there twice", where=where)
        entries[entry.path] = entry
    for entry in entries.values():
        _check_parents(entry, entries, where)
    return tuple(entries[path] for path in sorted(entries)), tuple(files)


def _is_kept(member: TarMember) -> bool:
    path = merged(member.path)
    return not _DOC.match(path) or bool(_COPYRIGHT.fullmatch(path) and _is_licence(member))


def _is_licence(member: TarMember) -> bool:
    return member.kind in ("dir", "symlink") or member.path.endswith("/copyright")


def _entry(member: TarMember, where: str) -> Entry:
    # A package may bring the links of the merged /usr themselves (base-files, from trixie on).
    is_merge_link = member.kind == "symlink" and member.path in MERGED
    path = member.path if is_merge_link else merged(member.path)
    if member.kind == "symlink":
        if posixpath.normpath(posixpath.join(posixpath.dirname(path), member.target)).split("/")[0] == "..":
            raise IntegrityError(
                f"member {member.name!r:.200} is a link out of the tree, to {member.target!r:.200}",
                where=where,
            )
        return Entry.symlink(path, member.target)
    target = merged(member.target) if member.kind == "hardlink" else ""
    return Entry(path, member.kind, member.mode, member.uid, member.gid, member.body, target)


def _points_to_itself(entry: Entry) -> bool:
    return entry.kind == "symlink" and resolve(entry.path, entry.target) == entry.path


def _check_parents(entry: Entry, entries: dict[str, Entry], where: str) -> None:
    if entry.kind == "hardlink" and (entry.target not in entries or entries[entry.target].kind != "file"):
        raise IntegrityError(
            f"member {entry.path!r:.200} is a hard link to {entry.target!r:.200}, no file of it", where=where
        )
    parent = posixpath.dirname(entry.path)
    while parent:
        if parent in entries and entries[parent].kind != "dir":
            raise IntegrityError(
                f"member {entry.path!r:.200} is below {parent!r:.200}, no directory", where=where
            )
        parent = posixpath.dirname(parent)
