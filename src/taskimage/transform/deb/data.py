"""Which members of a data archive become entries of an image, and under which paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from taskimage.model.errors import IntegrityError
from taskimage.transform.deb.layout import Layout
from taskimage.transform.deb.tar import TarMember
from taskimage.transform.entry import Entry

__all__ = ["is_documentation", "kept_entries"]

# What Debian's own slim images leave out: no program of theirs needs it. Licences stay.
_DOC = re.compile(r"usr/share/(doc|doc-base|gnome/help|info|lintian|linda|locale|man|omf)(/|$)")
_COPYRIGHT = re.compile(r"usr/share/doc(/[^/]+(/copyright)?)?")


def kept_entries(
    members: Iterable[TarMember], layout: Layout, *, where: str
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The entries, sorted by path, and the names that dpkg lists them by, in the archive's order.

    Each path goes through the links of ``layout``.

    Raises IntegrityError for two members with one path, save directories, and a link beside the file
    that it points to (as packages had them that served both /bin and /usr/bin).
    """
    entries: dict[str, Entry] = {}
    files: list[str] = []
    for member in members:
        if not _is_kept(member, layout):
            continue
        files.append("/" + (member.path or "."))
        if not member.path:
            continue
        entry = _entry(member, layout, where)
        there = entries.setdefault(entry.path, entry)
        if there is entry or there.kind == entry.kind == "dir" or _points_to_itself(entry, layout):
            continue
        if not _points_to_itself(there, layout):
            raise IntegrityError(f"member {member.name!r:.200} is there twice", where=where)
        entries[entry.path] = entry
    for entry in entries.values():
        _check_parents(entry, entries, where)
    return tuple(entries[path] for path in sorted(entries)), tuple(files)


def is_documentation(path: str) -> bool:
    """Whether a file or folder at ``path``, which is merged, is left out of images; licences are not."""
    return bool(_DOC.match(path)) and not _COPYRIGHT.fullmatch(path)


def _is_kept(member: TarMember, layout: Layout) -> bool:
    path = layout.place(member.path)
    return not is_documentation(path) and (not _DOC.match(path) or _is_licence(member))


def _is_licence(member: TarMember) -> bool:
    return member.kind in ("dir", "symlink") or member.path.endswith("/copyright")


def _entry(member: TarMember, layout: Layout, where: str) -> Entry:
    # A package may bring links of the layout itself (those of the merged /usr, from trixie's base-files on).
    path = layout.folder(member.path) if member.kind == "dir" else layout.place(member.path)
    if member.kind == "symlink":
        if posixpath.normpath(posixpath.join(posixpath.dirname(path), member.target)).split("/")[0] == "..":
            raise IntegrityError(
                f"member {member.name!r:.200} is a link out of the tree, to {member.target!r:.200}",
                where=where,
            )
        return Entry.symlink(path, member.target)
    target = layout.place(member.target) if member.kind == "hardlink" else ""
    return Entry(path, member.kind, member.mode, member.uid, member.gid, member.body, target)


def _points_to_itself(entry: Entry, layout: Layout) -> bool:
    target = posixpath.normpath(posixpath.join("/", posixpath.dirname(entry.path), entry.target))
    return entry.kind == "symlink" and layout.place(target.lstrip("/")) == entry.path


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
