"""Where the files of a package go: through the links of what is below them, as dpkg would put them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from taskimage.model.errors import CannotBuild
from taskimage.transform.links import followed

__all__ = ["MERGED", "Layout"]

# Top folders that are links into usr/ (Debian's merged /usr).
MERGED = ("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin")
# Folders that are links in an image without a base, and what they link to: base-files makes the last two.
_LINKED = {name: f"usr/{name}" for name in MERGED} | {"var/lock": "/run/lock", "var/run": "/run"}


class Layout:
    """The links that paths go through, by where they are; without any given, those of the merged /usr.

    >>> Layout().folder("lib/x86_64-linux-gnu")
    'usr/lib/x86_64-linux-gnu'
    """

    def __init__(self, links: Mapping[str, str] | None = None) -> None:
        self._links = _LINKED if links is None else links
        self._folders: dict[str, str] = {"": ""}

    def folder(self, path: str) -> str:
        """Where the folder ``path`` is, all links followed. Raises CannotBuild for links without an end."""
        if path not in self._folders:
            real = followed(path, self._links.get)
            if real is None:
                raise CannotBuild(f"the folder {path!r:.200} of the image is a link that has no end")
            self._folders[path] = real
        return self._folders[path]

    def place(self, path: str) -> str:
        """Where a file or link named ``path`` is: the links of its folder followed, its own not."""
        folder, name = posixpath.split(path)
        return posixpath.join(self.folder(folder), name)
