"""Where the locks are of specs that no file holds: in the folder ``.taskimage`` of the project that has them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from taskimage.adapters.witness import is_there

__all__ = ["FOLDER", "is_project", "lock_files", "project_of"]

FOLDER: Final = ".taskimage"
"""The folder of a project that its locks are in."""


def project_of(folder: Path) -> Path:
    """The project that ``folder`` is in: the nearest folder with locks, a ``pyproject.toml`` or a ``.git``; else itself."""
    start = folder.resolve()
    return next(filter(is_project, (start, *start.parents)), start)


def is_project(folder: Path) -> bool:
    """Whether ``folder`` says that it is one."""
    return any(is_there(folder / mark) for mark in (FOLDER, "pyproject.toml", ".git"))


def lock_files(project: Path) -> tuple[Path, ...]:
    """The files of the locks of ``project``, sorted."""
    return tuple(sorted((project / FOLDER).glob("*.lock.toml")))
