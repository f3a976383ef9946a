"""Files of this disk that flyte's layers copy, as trees from the root of the image."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
from pathlib import Path

from taskimage.adapters.specfiles.filetree import TreeReader
from taskimage.adapters.thispython import loaded_files
from taskimage.transform.dockerignore import DockerIgnore
from taskimage.transform.source import SourceTree

__all__ = ["copied_file", "copied_folder", "loaded_modules"]


def copied_folder(folder: Path, target: str, ignore: DockerIgnore) -> SourceTree:
    """What is in ``folder``, without what ``ignore`` says, right in the folder ``target`` of the image."""
    tree = _reader(folder).copy(".")
    kept = [file for file in tree.files if not ignore.ignores(file.path)]
    folders = [path for path in tree.directories if not ignore.ignores(path)]
    return _moved(SourceTree.of(kept, folders or ([] if kept else [""])), target)


def copied_file(file: Path, target: str, *, into: bool) -> SourceTree:
    """The file ``file`` at ``target``, or, with ``into``, in that folder."""
    tree = _reader(file.parent).copy(file.name)
    if into:
        return _moved(tree, target)
    (found,) = tree.files
    return SourceTree.of([dataclasses.replace(found, path=target.strip("/"))], root="")


def loaded_modules(folder: Path, target: str) -> SourceTree:
    """The modules of ``folder`` that this Python has loaded, below ``target``."""
    return _moved(_reader(folder).loaded(str(folder), list(loaded_files())), target)


def _reader(folder: Path) -> TreeReader:
    return TreeReader(folder.absolute(), hashlib.md5(usedforsecurity=False))


def _moved(tree: SourceTree, target: str) -> SourceTree:
    def moved(path: str) -> str:
        return posixpath.normpath(posixpath.join(target, path)).strip("/")

    files = [dataclasses.replace(file, path=moved(file.path)) for file in tree.files]
    folders = [at for path in tree.directories if (at := moved(path))]
    return SourceTree.of(files, folders, root="")
