"""A copy of a folder that stops at the first error, and says which it was; shutil's goes on, and loses it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["copy_tree"]


def copy_tree(source: Path, target: Path, *, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """Make ``target``, which is not there yet, look as ``source`` does; links are kept as links.

    Raises the OSError of the first file or folder that cannot be copied.
    """
    target.mkdir(parents=True)
    with os.scandir(source) as entries:
        for entry in entries:
            to = target / entry.name
            if entry.is_symlink():
                to.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir():
                copy_tree(Path(entry.path), to, copy=copy)
            else:
                copy(entry.path, str(to))
    shutil.copystat(source, target)
