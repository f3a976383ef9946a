"""Root file systems: layers, of blobs or of entries, applied in order into a folder, as whoever calls, root or not.

Nothing is trusted and nothing leaves the folder: names are followed through the links *inside* it, as the
kernel would after a change of root. Owners, and set-id bits of programs, are not put on the disk, where they would
mean something to the host; owners are in the record that `unpack` returns. A folder's set-group-id bit is: it says
whose group a new file has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import Path
from typing import TypeAlias

from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.entry import Entry
from taskimage.transform.links import followed
from taskimage.transform.unpack import Change, Opaque, Whiteout, layer_changes

__all__ = ["Owned", "Owners", "Unpackable", "inside", "unpack"]

Unpackable: TypeAlias = tuple[Path, Digest] | list[Entry]
"""A layer: the file of a blob and its digest, or the entries of one that is no blob, in a layer's order."""


@dataclass(frozen=True, slots=True)
class Owned:
    """Who owns a folder or file, and its permission bits."""

    mode: int
    uid: int
    gid: int

    def writable_by(self, uid: int, gid: int) -> bool:
        """Whether a process of ``uid`` and ``gid`` may make files here."""
        if self.uid == uid:
            return bool(self.mode & 0o200)
        return bool(self.mode & (0o020 if self.gid == gid else 0o002))


@dataclass(slots=True)
class Owners:
    """The folders of a root with the owners and modes that its layers state, by path; ``""`` is the root.

    ``files`` has the files and links that are not root's, or whose mode is not the one on the disk.
    """

    folders: dict[str, Owned] = field(default_factory=dict)
    files: dict[str, Owned] = field(default_factory=dict)

    def writable(self, uid: int, gid: int) -> tuple[str, ...]:
        """The topmost folders in which ``uid`` and ``gid`` may make files, sorted; all of it for root."""
        if uid == 0:
            return ("",)
        places: list[str] = []
        for path, owned in sorted(self.folders.items()):
            below = any(place == "" or path.startswith(f"{place}/") for place in places)
            if not below and owned.writable_by(uid, gid):
                places.append(path)
        return tuple(places)


def inside(root: Path, path: str) -> str:
    """Where ``path`` leads in ``root``, as a relative path without links; ``..`` stops at the root.

    Parts that do not exist are kept as they are. Raises IntegrityError for a loop of links.
    """

    def target_of(here: str) -> str | None:
        place = root / here
        return str(place.readlink()) if place.is_symlink() else None

    found = followed(path, target_of)
    if found is None:
        raise IntegrityError(f"{path!r:.200} is a loop of links")
    return found


def unpack(layers: Iterable[Unpackable], root: Path, *, owned: bool = False) -> Owners:
    """Apply ``layers``, the lowest first, to the empty folder ``root``.

    Folders are kept traversable and files readable for the caller, who stands for every owner.
    With ``owned`` all set-id bits are put on the disk, and owners too where the caller is root: for a ``root`` that
    nobody else on the host can reach.

    Raises IntegrityError for a blob that is not what its digest says or that reaches out of ``root``; the
    folder is then of no use.
    """
    root.chmod(0o755)
    owners = Owners({"": Owned(0o755, 0, 0)})
    for layer in layers:
        if isinstance(layer, list):
            _Layer(root, owners, "").apply(layer)
        else:
            _check(*layer)
            _Layer(root, owners, str(layer[1])).apply(_changes(*layer))
    everyone = owned and os.geteuid() == 0
    for path_, owner in sorted(owners.files.items() if owned else ()):
        place = root / path_
        if everyone:
            os.chown(place, owner.uid, owner.gid, follow_symlinks=False)
        if not place.is_symlink():
            place.chmod(owner.mode & 0o7777 | 0o400)  # which a change of owner takes set-id bits from
    for path_, owner in sorted(owners.folders.items(), reverse=True):
        if everyone:
            os.chown(root / path_, owner.uid, owner.gid)
        (root / path_).chmod(owner.mode & (0o7777 if owned else 0o3777) | 0o700)
    return owners


class _Layer:
    """One layer on its way onto ``root``."""

    def __init__(self, root: Path, owners: Owners, where: str) -> None:
        self._root = root
        self._owners = owners
        self._where = where
        self._made: set[str] = set()  # what this layer brought, which its own whiteouts leave alone
        self._parents: dict[str, str] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Whiteout(path_):
                    self._hide(self._place(path_))
                case Opaque(path_):
                    self._hide_below(inside(self._root, path_))
                case Entry():
                    self._put(change)

    # -- what an entry does ----------------------------------------------------------------------------

    def _put(self, entry: Entry) -> None:
        place = self._place(entry.path)
        target = self._root / place
        if entry.kind == "dir":
            if place and not _is_folder(target):
                self._clear(place)
                target.mkdir()
            self._owners.folders[place] = Owned(entry.mode, entry.uid, entry.gid)
        else:
            self._make_parents(place)
            self._clear(place)
            if entry.kind == "symlink":
                target.symlink_to(entry.target)
                self._parents.clear()
            elif entry.kind == "hardlink":
                self._link(entry, target)
            else:
                _write(entry, target)
            if (entry.uid, entry.gid) != (0, 0) or (entry.kind == "file" and _on_disk(entry) != entry.mode):
                self._owners.files[place] = Owned(entry.mode, entry.uid, entry.gid)
        self._mark(place)

    def _link(self, entry: Entry, target: Path) -> None:
        source = self._root / self._place(entry.target)
        if not stat.S_ISREG(_mode(source)):
            raise IntegrityError(
                f"hard link {entry.path!r:.200} names {entry.target!r:.200}, which is no file",
                where=self._where,
            )
        os.link(source, target, follow_symlinks=False)

    def _mark(self, place: str) -> None:
        while place and place not in self._made:
            self._made.add(place)
            place = place.rpartition("/")[0]

    # -- where it goes ---------------------------------------------------------------------------------

    def _place(self, path: str) -> str:
        """Where ``path`` goes: its folder is followed through links, its last part is not."""
        folder, _, name = path.rpartition("/")
        if folder not in self._parents:
            self._parents[folder] = inside(self._root, folder)
        real = self._parents[folder]
        place = f"{real}/{name}" if real else name
        self._make_parents(place)
        return place

    def _make_parents(self, place: str) -> None:
        folder = place.rpartition("/")[0]
        if not folder or folder in self._owners.folders:
            return
        self._make_parents(folder)
        target = self._root / folder
        if not _is_folder(target):
            self._clear(folder)
            target.mkdir()
        self._owners.folders[folder] = Owned(0o755, 0, 0)

    # -- what goes away --------------------------------------------------------------------------------

    def _clear(self, place: str) -> None:
        """Nothing is at ``place`` any more."""
        target = self._root / place
        mode = _mode(target)
        if mode == 0:
            return
        if stat.S_ISDIR(mode):
            shutil.rmtree(target)
            for known in (self._owners.folders, self._owners.files):
                for path in [path for path in known if f"{path}/".startswith(f"{place}/")]:
                    del known[path]
        else:
            target.unlink()
            self._owners.files.pop(place, None)
        self._parents.clear()

    def _hide(self, place: str) -> None:
        if place not in self._made:
            self._clear(place)
        elif _is_folder(self._root / place):
            self._hide_below(place)

    def _hide_below(self, folder: str) -> None:
        target = self._root / folder
        if not _is_folder(target):
            return
        for child in sorted(target.iterdir()):
            self._hide(f"{folder}/{child.name}" if folder else child.name)


def _changes(path: Path, digest: Digest) -> Iterator[Change]:
    with path.open("rb") as stream:
        yield from layer_changes(stream, compressed_size=path.stat().st_size, where=str(digest))


def _write(entry: Entry, target: Path) -> None:
    assert entry.body is not None  # noqa: S101 -- a file has a body
    with entry.body.open() as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        os.fchmod(file.fileno(), _on_disk(entry))


def _on_disk(entry: Entry) -> int:
    return entry.mode & 0o777 | 0o400


def _mode(path: Path) -> int:
    """What is at ``path`` itself; 0 for nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(_mode(path))


def _check(path: Path, want: Digest) -> None:
    running = hashlib.new(want.algorithm)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            running.update(chunk)
    if running.hexdigest() != want.hex:
        raise IntegrityError(
            f"digest is {want.algorithm}:{running.hexdigest()}, wanted {want}", where=str(path)
        )
