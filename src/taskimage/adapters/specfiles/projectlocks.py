"""Where the locks are of specs that no file holds: in the folder ``.taskimage`` of the project that has them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from taskimage.adapters.witness import is_there

__all__ = ["FOLDER", "lock_files", "project_of"]

FOLDER: Final = ".taskimage"
"""The folder of a project that its locks are in."""


def project_of(folder: Path) -> Path:
    """The project that ``folder`` is in: the nearest folder with locks, a ``pyproject.toml`` or a ``.git``; else itself."""
    start = folder.resolve()
    marks = (FOLDER, "pyproject.toml", ".git")
    for place in (start, *start.parents):
        if any(is_there(place / mark) for mark in marks):
            return place
    return start


def lock_files(project: Path) -> tuple[Path, ...]:
    """The files of the locks of ``project``, sorted."""
    return tuple(sorted((project / FOLDER).glob("*.lock.toml")))
