"""Files to copy -> entries under ``/root``, laid out as flytekit's default builder does."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import canonical_json
from taskimage.transform.entry import Body, Entry, folders_of

__all__ = ["SourceFile", "SourceTree", "merge", "source_entries", "tree_digest"]

# The image's working directory and its user (uid 1000, gid 0).
_ROOT = "root"
_UID, _GID = 1000, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file to copy: ``path`` is relative to ``/root``, ``digest`` is that of its bytes."""

    path: str
    executable: bool
    digest: Digest
    body: Body = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """Files to copy, and folders that are there even when nothing is in them; both sorted by path."""

    files: tuple[SourceFile, ...] = ()
    directories: tuple[str, ...] = ()

    @classmethod
    def of(cls, files: Iterable[SourceFile], directories: Iterable[str] = ()) -> SourceTree:
        """The tree of ``files`` and ``directories`` in any order."""
        return cls(tuple(sorted(files, key=lambda file: file.path)), tuple(sorted(set(directories))))


def merge(trees: Iterable[SourceTree]) -> SourceTree:
    """One tree of several; where two have a file at the same path, the later one's is there.

    Raises BadInput when a path is a file in one and a folder in another.
    """
    files: dict[str, SourceFile] = {}
    directories: set[str] = set()
    for tree in trees:
        files.update((file.path, file) for file in tree.files)
        directories.update(tree.directories)
    merged = SourceTree.of(files.values(), directories)
    for path in sorted(_folders(merged)):
        if path in files:
            raise BadInput(f"two sources are copied to '/root/{path}': a file and a folder")
    return merged


def source_entries(tree: SourceTree) -> tuple[Entry, ...]:
    """The entries of ``tree`` below ``root``, sorted by path, with every folder they need.

    They belong to the image's user, and the group may do what the user may: an arbitrary uid with gid 0
    works in them as uid 1000 does. Of a file's mode only whether it is executable is kept.
    """
    entries = [Entry.directory(posixpath.join(_ROOT, path), 0o775, _UID, _GID) for path in _folders(tree)]
    entries += [
        Entry.file(
            posixpath.join(_ROOT, file.path), file.body, 0o775 if file.executable else 0o664, _UID, _GID
        )
        for file in tree.files
    ]
    return tuple(sorted(entries, key=lambda entry: entry.path))


def tree_digest(tree: SourceTree) -> Digest:
    """A digest of everything that `source_entries` makes of ``tree``, from the files' digests alone."""
    return Digest.of(
        canonical_json(
            {
                "directories": sorted(_folders(tree)),
                "files": [[file.path, file.executable, str(file.digest)] for file in tree.files],
            }
        )
    )


def _folders(tree: SourceTree) -> set[str]:
    """Every folder below ``/root`` that ``tree`` needs."""
    return {*tree.directories, *folders_of([*tree.directories, *(file.path for file in tree.files)])} - {""}
