"""Files to copy -> entries, under ``/root`` as flytekit's default builder lays them out, or elsewhere."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import field

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import canonical_json
from taskimage.model.value import dataclass
from taskimage.transform.entry import Body, Entry, folders_of

__all__ = ["SourceFile", "SourceTree", "merge", "source_entries", "tree_digest"]

# The image's user (uid 1000, gid 0).
_UID, _GID = 1000, 0
# Folders of the system (hier(7)), which files may be copied into, and which keep their owner. Below the first that
# holds for whatever a tree does not name as a folder of its own.
_SYSTEM = frozenset({
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "tmp", "usr", "var",
})  # fmt: skip
_SHARED = frozenset({"home", "media", "mnt", "opt", "root", "srv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file to copy: ``path`` is relative to its tree's root, ``digest`` is that of its bytes."""

    path: str
    executable: bool
    digest: Digest
    body: Body = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """Files to copy, and folders that are there even when nothing is in them; both sorted by path.

    ``root`` is the folder of the image that their paths start at, itself relative to the image's own root.
    """

    files: tuple[SourceFile, ...] = ()
    directories: tuple[str, ...] = ()
    root: str = "root"

    @classmethod
    def of(
        cls, files: Iterable[SourceFile], directories: Iterable[str] = (), *, root: str = "root"
    ) -> SourceTree:
        """The tree of ``files`` and ``directories`` in any order."""
        return cls(tuple(sorted(files, key=lambda file: file.path)), tuple(sorted(set(directories))), root)


def merge(trees: Iterable[SourceTree], *, root: str = "root") -> SourceTree:
    """One tree of several, all below ``root``; where two have a file at the same path, the later one's is there.

    Raises BadInput when a path is a file in one and a folder in another.
    """
    files: dict[str, SourceFile] = {}
    directories: set[str] = set()
    for tree in trees:
        files.update((file.path, file) for file in tree.files)
        directories.update(tree.directories)
    merged = SourceTree.of(files.values(), directories, root=root)
    for path in sorted(_folders(merged)):
        if path in files:
            raise BadInput(f"two sources are copied to '/{posixpath.join(root, path)}': a file and a folder")
    return merged


def source_entries(tree: SourceTree) -> tuple[Entry, ...]:
    """The entries of ``tree``, sorted by path, with every folder they need.

    They belong to the image's user, and the group may do what the user may: an arbitrary uid with gid 0
    works in them as uid 1000 does. Of a file's mode only whether it is executable is kept.
    """
    own = {posixpath.join(tree.root, path) for path in tree.directories}
    folders = (posixpath.join(tree.root, path) for path in _folders(tree))
    entries = [
        Entry.directory(path, 0o775, _UID, _GID)
        for path in folders
        if not _is_of_system(path, named=path in own)
    ]
    entries += [
        Entry.file(
            posixpath.join(tree.root, file.path), file.body, 0o775 if file.executable else 0o664, _UID, _GID
        )
        for file in tree.files
    ]
    return tuple(sorted(entries, key=lambda entry: entry.path))


def tree_digest(tree: SourceTree) -> Digest:
    """A digest of everything that `source_entries` makes of ``tree``, from the files' digests alone."""
    document = {
        "directories": sorted(_folders(tree)),
        "files": [[file.path, file.executable, str(file.digest)] for file in tree.files],
        **({} if tree.root == "root" else {"root": tree.root}),
    }
    return Digest.of(canonical_json(document))


def _folders(tree: SourceTree) -> set[str]:
    """Every folder below its root that ``tree`` needs."""
    return {*tree.directories, *folders_of([*tree.directories, *(file.path for file in tree.files)])} - {""}


def _is_of_system(path: str, *, named: bool) -> bool:
    names = path.split("/")
    return path in _SHARED or (names[0] in _SYSTEM and not (named and len(names) > 2))
