"""The files of all packages of an image as one tree, links followed, before there is any disk."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from taskimage.transform.entry import BytesBody, Entry
from taskimage.transform.links import followed

__all__ = ["Tree"]

_WILD = re.compile(r"[*?\[]")


class Tree:
    """Entries by path; of two with one path the later one counts."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, set[str]] = defaultdict(set)
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Puts ``entry`` into the tree, in place of what has its path."""
        self._entries[entry.path] = entry
        path = entry.path
        while path:
            parent, name = posixpath.split(path)
            if name in self._names[parent]:
                return
            self._names[parent].add(name)
            path = parent

    def remove(self, path: str) -> None:
        """Nothing is at ``path`` any more, nor below it."""
        todo = [path]
        while todo:
            here = todo.pop()
            self._entries.pop(here, None)
            todo += (posixpath.join(here, name) for name in self._names.pop(here, ()))
        parent, name = posixpath.split(path)
        self._names[parent].discard(name)

    def __contains__(self, path: str) -> bool:
        """Whether there is a file or directory at ``path``, links followed."""
        real = self.real_path(path)
        return real is not None and (not real or real in self._entries or real in self._names)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at ``path``, links followed; the root always is one."""
        real = self.real_path(path)
        return real is not None and path in self and self.file(path) is None

    def get(self, path: str) -> Entry | None:
        """What stands at ``path`` itself: no link is followed."""
        return self._entries.get(path.lstrip("/"))

    def real_path(self, path: str) -> str | None:
        """``path`` with every link followed, as a chroot would; None for links without an end."""
        return followed(path, self._link)

    def _link(self, path: str) -> str | None:
        entry = self._entries.get(path)
        return entry.target if entry is not None and entry.kind == "symlink" else None

    def place(self, path: str) -> str | None:
        """Where ``path`` itself is: the links of its folder followed, its own not; None without an end."""
        folder, name = posixpath.split(posixpath.normpath(path))
        real = self.real_path(folder)
        return None if real is None else posixpath.join(real, name)

    def rewritten(self, path: str, data: bytes, mode: int = 0o644, *, gid: int = 0) -> Entry:
        """A file with the bytes ``data`` at ``path``, links followed: as it was if it is there, else as stated."""
        there = self.file(path)
        if there is not None:
            return replace(there, body=BytesBody(data))
        return Entry.file(self.real_path(path) or path, data, mode, gid=gid)

    def file(self, path: str) -> Entry | None:
        """The regular file at ``path``, links of both kinds followed."""
        real = self.real_path(path)
        entry = self._entries.get(real) if real else None
        if entry is not None and entry.kind == "hardlink":
            entry = self._entries.get(entry.target)
        return entry if entry is not None and entry.kind == "file" else None

    def read(self, path: str) -> bytes | None:
        """The bytes of the regular file at ``path``, or None when there is none."""
        entry = self.file(path)
        if entry is None or entry.body is None:
            return None
        with entry.body.open() as stream:
            return stream.read()

    def names(self, directory: str) -> list[str]:
        """The names in ``directory``, links followed, sorted; none when it is not there."""
        real = self.real_path(directory)
        return sorted(self._names.get(real, ())) if real is not None else []

    def glob(self, pattern: str) -> list[str]:
        """The absolute paths that match ``pattern``, as a shell expands it, sorted."""
        found = [""]
        for part in filter(None, pattern.split("/")):
            if _WILD.search(part):
                # A wildcard matches no leading dot.
                shown = {
                    base: [n for n in self.names(base) if part[0] == "." or n[0] != "."] for base in found
                }
                found = [f"{base}/{name}" for base in found for name in fnmatch.filter(shown[base], part)]
            else:
                found = [f"{base}/{part}" for base in found]
        return [path for path in found if path in self or self.get(path) is not None]

    def below(self, directory: str) -> Iterator[Entry]:
        """Every entry below ``directory`` (no link is followed), sorted by path."""
        for name in self.names(directory):
            path = posixpath.join(directory, name)
            if (entry := self._entries.get(path)) is not None:
                yield entry
            yield from self.below(path) if path in self._names else ()
