"""What is installed in folders of Python packages: METADATA and PKG-INFO, read as importlib.metadata does."""

from __future__ import annotations

import importlib.metadata
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from taskimage.model.base import Distribution
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.base.smallfiles import SmallFiles

__all__ = ["distributions", "installed_in", "site_folders"]

_FIELDS = ("Name", "Version", "Requires-Python")


def site_folders(tree: BaseTree, executable: str, minor: str) -> tuple[str, ...]:
    """The folders that the interpreter at ``executable`` imports packages from, the first one first.

    Where its own ``site`` speaks of dist-packages it is Debian's, whose packages for any version are in one
    folder (Debian Python policy, 2.5); conda's and all others have CPython's layout, in lib64 where
    ``sys.platlibdir`` says so.
    """
    prefix = posixpath.dirname(posixpath.dirname(executable))
    library = posixpath.join(prefix, f"lib/python{minor}")
    if b"dist-packages" in (SmallFiles(tree).read(f"{library}/site.py") or b""):
        names = [f"usr/local/lib/python{minor}", "usr/lib/python3", library]
        folders = [f"{name}/dist-packages" for name in names]
    else:
        names = [posixpath.join(prefix, f"lib64/python{minor}"), library]
        folders = [f"{name}/site-packages" for name in names]
    return tuple(folders)


def distributions(tree: BaseTree, folders: Iterable[str]) -> tuple[Distribution, ...]:
    """The distributions of ``folders``, sorted; of two with one name the one of the first folder counts.

    Folders that are not there have none; what has no name or version is passed over, as installers do.
    """
    files = SmallFiles(tree)
    found: dict[str, Distribution] = {}
    for folder in folders:
        for _, one in installed_in(files, folder):
            found.setdefault(one.name, one)
    return tuple(sorted(found.values()))


def installed_in(files: SmallFiles, folder: str) -> Iterator[tuple[str, Distribution]]:
    """Each ``.dist-info`` or ``.egg-info`` of ``folder``, and the distribution that it describes, by their names."""
    location = f"/{files.tree.real_path(folder)}"
    for name in files.tree.names(folder):
        if name.endswith((".dist-info", ".egg-info")):
            path = posixpath.join(folder, name)
            if (one := _distribution(_Installed(files, path), location)) is not None:
                yield path, one


class _Installed(importlib.metadata.Distribution):
    """A ``.dist-info`` or ``.egg-info``, which may be one file, of a base."""

    def __init__(self, files: SmallFiles, path: str) -> None:
        self._files = files
        self._path = path
        self._texts: dict[str, str | None] = {}

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        # An empty name stands for the .egg-info that is a file itself.
        path = posixpath.join(self._path, os.fspath(filename)).rstrip("/")
        if path not in self._texts:
            self._texts[path] = self._files.text(path)
        return self._texts[path]

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        return PurePosixPath(self._path).parent / path


def _distribution(installed: _Installed, location: str) -> Distribution | None:
    from packaging.utils import canonicalize_name

    if not any(installed.read_text(name) for name in ("METADATA", "PKG-INFO", "")):
        return None
    fields = installed.metadata
    # Of a key that is not there, `fields[key]` is None in some versions of Python and an error in others.
    name, version, python = ((fields.get_all(key) or [""])[0] for key in _FIELDS)
    if not name or not version:
        return None
    return Distribution(
        name=canonicalize_name(name),
        version=version,
        location=location,
        requires=tuple(installed.requires or ()),
        requires_python=python,
    )
