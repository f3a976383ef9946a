"""The layers of a base image -> its files, as a runtime that unpacks them would have them on its disk."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import BinaryIO

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry
from taskimage.transform.unpack import Change, Opaque, Whiteout, kept_changes

__all__ = ["BaseLayer", "BaseTree", "read_base"]

# Images of many gigabytes have half a million files.
_MOST = 2_000_000


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """One layer of a base: how its compressed blob is opened, its size in bytes, and a name for messages."""

    open: Callable[[], BinaryIO]
    size: int
    where: str


class BaseTree(Tree):
    """The files of a base: every folder has an entry, hard links are files with the bytes of what they name."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything but the root, sorted by path."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` itself, which is no link then, is a folder."""
        return not path or ((entry := self.get(path)) is not None and entry.kind == "dir")


def read_base(layers: Iterable[BaseLayer], spool: BinaryIO) -> BaseTree:
    """The files of ``layers``, given with the lowest first, whose blobs are known to have their digests.

    The layers are unpacked to the end of ``spool``, a seekable file that the caller keeps open for as long
    as entries are read; bodies can be opened from any thread. Devices and pipes are left out.

    Raises IntegrityError, naming the layer and the member, for a layer that is damaged or hostile, and
    CannotBuild for one that is compressed with zstd where nothing reads it.
    """
    tree = BaseTree(())
    for layer in layers:
        applied = _Layer(tree, layer.where)
        with layer.open() as stream:
            for change in kept_changes(stream, spool, compressed_size=layer.size, where=layer.where):
                applied.apply(change)
    return tree


class _Layer:
    """One layer on its way into ``tree`` (image-spec, layer.md, "Applying Changesets")."""

    def __init__(self, tree: BaseTree, where: str) -> None:
        self._tree = tree
        self._where = where
        self._made: set[str] = set()  # what this layer brought, which its own whiteouts leave alone

    def apply(self, change: Change) -> None:
        match change:
            case Whiteout(path):
                self._hide(self._place(path))
            case Opaque(path):
                self._hide_below(self._followed(path))
            case Entry():
                self._put(change)
        if len(self._tree) > _MOST:
            raise IntegrityError(f"the image has more than {_MOST} files", where=self._where)

    def _put(self, entry: Entry) -> None:
        place = self._place(entry.path)
        if not place:
            return
        if entry.kind != "dir" or not self._tree.is_folder(place):
            self._tree.remove(place)
        if entry.kind == "hardlink":
            entry = self._linked(entry)
        self._tree.add(entry if entry.path == place else replace(entry, path=place))
        while place and place not in self._made:
            self._made.add(place)
            place = posixpath.dirname(place)

    def _linked(self, entry: Entry) -> Entry:
        folder, name = posixpath.split(entry.target)
        source = self._tree.get(posixpath.join(self._followed(folder), name))
        if source is None or source.kind != "file":
            raise IntegrityError(
                f"hard link {entry.path!r:.200} names {entry.target!r:.200}, which is no file",
                where=self._where,
            )
        return source

    def _place(self, path: str) -> str:
        """Where ``path`` goes: its folder is followed through links and made, its last part is neither."""
        folder, name = posixpath.split(path)
        real = self._followed(folder)
        self._make(real)
        return posixpath.join(real, name)

    def _followed(self, path: str) -> str:
        real = self._tree.real_path(path)
        if real is None:
            raise IntegrityError(f"{path!r:.200} is a loop of links", where=self._where)
        return real

    def _make(self, folder: str) -> None:
        missing = []
        while not self._tree.is_folder(folder):
            missing.append(folder)
            folder = posixpath.dirname(folder)
        for path in reversed(missing):
            self._tree.remove(path)
            self._tree.add(Entry.directory(path))

    def _hide(self, place: str) -> None:
        if place not in self._made:
            self._tree.remove(place)
        else:
            self._hide_below(place)

    def _hide_below(self, folder: str) -> None:
        if self._tree.is_folder(folder):
            for name in self._tree.names(folder):
                self._hide(posixpath.join(folder, name))
