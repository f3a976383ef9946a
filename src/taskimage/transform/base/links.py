"""What a new file's path goes through on a base whose folders are links in part (``opt -> var/opt``)."""

from __future__ import annotations

from taskimage.transform.base.layers import BaseTree

__all__ = ["folder_links"]


def folder_links(tree: BaseTree) -> dict[str, str]:
    """The links of ``tree`` that a new path could go through, and their targets.

    They are those that do not lead to a file: where they lead to nothing, a runtime makes the folder there.
    """
    return {
        entry.path: entry.target
        for entry in tree.entries
        if entry.kind == "symlink" and tree.file(entry.path) is None
    }
