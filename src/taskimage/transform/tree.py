"""The tree that the files of one archive make: each path once, and folders that are folders."""

from __future__ import annotations

from collections.abc import Iterable

from taskimage.model.errors import IntegrityError
from taskimage.transform.entry import Entry, folders_of

__all__ = ["checked_tree"]


def checked_tree(entries: Iterable[Entry], *, where: str) -> tuple[Entry, ...]:
    """``entries``, sorted by path.

    Raises IntegrityError, naming ``where`` and the path, for two entries with one path, one below another that
    is no directory (a symbolic link would lead it elsewhere), and a hard link to what is no file here.
    """
    tree: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in tree:
            raise IntegrityError(f"has {entry.path!r:.200} twice", where=where)
        tree[entry.path] = entry
    for folder in folders_of(tree):
        if folder in tree and tree[folder].kind != "dir":
            raise IntegrityError(f"has {folder!r:.200} as a {tree[folder].kind} and as a folder", where=where)
    for entry in tree.values():
        if entry.kind == "hardlink" and (entry.target not in tree or tree[entry.target].kind != "file"):
            raise IntegrityError(f"has a hard link {entry.path!r:.200} to what is no file of it", where=where)
    return tuple(tree[path] for path in sorted(tree))
