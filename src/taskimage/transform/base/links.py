"""Where a new file goes on a base whose folders are links in part (``opt -> var/opt``, ``bin -> usr/bin``)."""

from __future__ import annotations

from collections.abc import Mapping

from taskimage.model.errors import CannotBuild
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.links import followed

__all__ = ["folder_links", "placed"]


def folder_links(tree: BaseTree) -> dict[str, str]:
    """The links of ``tree`` that a new path could go through, and their targets.

    They are those that do not lead to a file: where they lead to nothing, a runtime makes the folder there.
    """
    return {
        entry.path: entry.target
        for entry in tree.entries
        if entry.kind == "symlink" and tree.file(entry.path) is None
    }


def placed(path: str, links: Mapping[str, str]) -> str:
    """The real path of the folder ``path``, which may not be there yet; for a file, give the folder it is in.

    Raises CannotBuild when ``links``, as `folder_links` has them, go in a loop.

    >>> placed("opt/venv", {"opt": "var/opt"})
    'var/opt/venv'
    """
    real = followed(path, links.get)
    if real is None:
        raise CannotBuild(
            f"nothing can be put at {path!r:.200} of the base image: its links go in a loop",
            hint="choose another base_image",
        )
    return real
