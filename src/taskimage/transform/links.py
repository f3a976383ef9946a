"""Symbolic links followed by their texts, as a system whose root the tree is would (path_resolution(7))."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

__all__ = ["followed"]

# The kernel's own limit of links in one path.
_MOST = 40


def followed(path: str, target_of: Callable[[str], str | None]) -> str | None:
    """``path`` with every link followed, the last part's too, and without a leading slash; None for a loop.

    ``target_of`` gives the text of the link at a path, or None where there is none. Parts that do not exist
    are kept, and ``..`` stops at the root.

    >>> followed("/bin/../lib/x", {"bin": "/usr/bin", "usr/lib": "lib64"}.get)
    'usr/lib64/x'
    """
    todo = path.split("/")[::-1]
    done = ""
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = posixpath.dirname(done)
            continue
        here = posixpath.join(done, part)
        target = target_of(here)
        if target is None:
            done = here
            continue
        links += 1
        if links > _MOST:
            return None
        todo += target.split("/")[::-1]
        if target.startswith("/"):
            done = ""
    return done
