"""Whiteouts: what a layer says to take files of lower layers away (OCI image-spec, layer.md, "Whiteouts")."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Final

from taskimage.transform.entry import Entry, folders_of

__all__ = ["OPAQUE", "WHITEOUT", "opaque", "whiteouts"]

WHITEOUT: Final = ".wh."
"""What the name of an empty file begins with that hides the name after it."""

OPAQUE: Final = ".wh..wh..opq"
"""The name of an empty file that hides everything that lower layers have in its folder."""


def whiteouts(paths: Iterable[str]) -> Iterator[Entry]:
    """What hides ``paths`` of the layers below, sorted by path; a folder hides all that is in it."""
    gone = set(paths)
    for path in sorted(gone):
        # A whiteout inside of a folder would bring that folder back.
        if gone.isdisjoint(folders_of([path])):
            folder, name = posixpath.split(path)
            yield Entry.file(posixpath.join(folder, f"{WHITEOUT}{name}"), b"")


def opaque(folder: str) -> Entry:
    """What hides everything in ``folder`` of the layers below; what its own layer has there stays."""
    return Entry.file(posixpath.join(folder, OPAQUE), b"")
