"""What ``copy`` and ``source_root`` take from this disk, and flytekit's digests of them.

flytekit digests what its walks list, and copies what `shutil` copies; the two differ. The digests are the
same as its own, down to the order of a walk. What is copied is a sorted listing of regular files:

* a link is followed; refused when it leads out of the tree, or into itself;
* a link that leads nowhere, and a socket, are left out of ``source_root`` as flytekit does; in ``copy`` the
  first is refused, as its builder fails on it, and the second left out;
* a FIFO or a device is refused, since reading one may never end;
* ``__pycache__`` is left out, since the times in it are never those of the image;
* the names in ``leave_out`` (a lock) are left out.
"""

from __future__ import annotations

import functools
import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field
from pathlib import Path, PurePosixPath

from taskimage.adapters.specfiles.checkedfile import Hasher, explained, hash_file, open_checked
from taskimage.adapters.thispython import is_below
from taskimage.adapters.witness import listed, saw
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass
from taskimage.transform.entry import StreamBody
from taskimage.transform.source import SourceFile, SourceTree

__all__ = ["TreeReader"]


@dataclass(frozen=True, slots=True)
class TreeReader:
    """Reads what is below ``folder``, where a spec's relative paths start.

    ``md5`` takes in what flytekit's digest takes in; ``leave_out`` has real paths that are never copied.
    """

    folder: Path
    md5: Hasher
    leave_out: AbstractSet[str] = frozenset()
    _known: dict[str, tuple[int, Digest]] = field(default_factory=dict, init=False)

    def copy(self, name: str) -> SourceTree:
        """The file or folder ``name``, at the same path below ``/root``: one item of a spec's ``copy``."""
        top = self.folder / name
        target = PurePosixPath(name).as_posix()
        bounds = (os.path.realpath(self.folder),)
        if not top.is_dir():
            self._digest(str(top), posixpath.basename(name))
            return SourceTree.of(self._files([(target, _checked_link(str(top), bounds))]))
        files, directories = _listing(str(top), "" if target == "." else target, bounds)
        for path in _walk(str(top)):
            self._digest(path, os.path.relpath(path, top))
        return SourceTree.of(self._files(files), directories)

    def source_root(self, name: str) -> SourceTree:
        """The files of the folder ``name``, right below ``/root``, without those that are to be ignored."""
        from taskimage.adapters.specfiles.ignorerules import IgnoreRules

        top = self._folder(name)
        rules = IgnoreRules.read(top)
        bounds = (os.path.realpath(self.folder), os.path.realpath(top))
        # flytekit compares its rules with the path as a walk of `name` gives it: relative to the working
        # directory when `name` is. What its digest tells of is decided so; of that, only what the rules
        # leave in when they are read as they are meant is copied.
        listed = []
        for path in _walk(str(top), skipped=".git"):
            if posixpath.basename(path) == ".gitignore":
                saw(path)
            relative = os.path.relpath(path, top)
            if not rules.ignores(relative if posixpath.isabs(name) else posixpath.join(name, relative)):
                listed.append((relative, path))
        files = []
        for relative, path in sorted(listed):
            if self._digest(path, relative) and not rules.ignores(relative):
                files.append((relative, _checked_link(path, bounds)))
        return SourceTree.of(self._files(files))

    def loaded(self, name: str, modules: Sequence[str]) -> SourceTree:
        """Those of ``modules``, the files of loaded modules, that are in the folder ``name``, right below ``/root``."""
        top = os.path.realpath(self._folder(name))
        # flytekit compares paths as they are written, and takes a file in for each module that names it.
        for path in sorted(modules):
            if is_below(path, name):
                self._digest(path, os.path.relpath(path, name))
        real = {os.path.realpath(path) for path in modules if _mode(path) is not None}
        return SourceTree.of(
            self._files([(os.path.relpath(path, top), path) for path in sorted(real) if is_below(path, top)])
        )

    def _folder(self, name: str) -> Path:
        top = self.folder / name
        if not top.is_dir():
            raise BadInput("source_root is not a folder", where=str(top))
        return top

    def _digest(self, path: str, relative: str) -> bool:
        """Take the file ``path`` in as flytekit does; False for what it passes over."""
        mode = _mode(path)
        if mode is None or stat.S_ISSOCK(mode):
            return False
        self._known[os.path.realpath(path)] = hash_file(path, self.md5)
        self.md5.update(_encoded(relative.replace("/", ""), path))
        return True

    def _files(self, found: list[tuple[str, str]]) -> Iterator[SourceFile]:
        for target, path in found:
            if path in self.leave_out:
                continue
            _encoded(target, path)
            size, digest = self._known.get(path) or hash_file(path)
            yield SourceFile(
                path=target,
                executable=bool((_mode(path) or 0) & stat.S_IXUSR),
                digest=digest,
                body=StreamBody(functools.partial(open_checked, path, size, digest), size),
            )


def _walk(top: str, *, skipped: str | None = None) -> Iterator[str]:
    """The paths of files below ``top`` in the order of flytekit's walks: links to folders are not entered."""

    def refuse(error: OSError) -> None:
        raise explained(error, error.filename or top) from error

    for root, folders, files in os.walk(top, onerror=refuse):
        listed(root, (*folders, *files))
        folders[:] = [name for name in folders if name != skipped]
        for name in sorted(files):
            yield posixpath.join(root, name)


def _listing(top: str, target: str, bounds: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
    """The (target, real path) of every file below ``top``, and the target of every folder."""
    files: list[tuple[str, str]] = []
    directories: list[str] = []
    real = _checked_link(top, bounds)
    waiting: list[tuple[str, str, frozenset[str]]] = [(target, real, frozenset({real}))]
    while waiting:
        at, folder, above = waiting.pop()
        if at:
            directories.append(at)
        try:
            names = sorted(entry.name for entry in Path(folder).iterdir())
        except OSError as error:
            raise explained(error, folder) from error
        listed(folder, names)
        for name in names:
            path = posixpath.join(folder, name)
            mode = _mode(path)
            if mode is None:
                raise BadInput(f"a link that leads nowhere: {str(Path(path).readlink())!r}", where=path)
            inner = posixpath.join(at, name)
            real = _checked_link(path, bounds)
            if stat.S_ISDIR(mode):
                if real in above:
                    raise BadInput("a link that leads to a folder that it stands in", where=path)
                if name != "__pycache__":
                    _encoded(inner, path)
                    waiting.append((inner, real, above | {real}))
            elif not stat.S_ISSOCK(mode):
                files.append((inner, real))
    return files, directories


def _mode(path: str) -> int | None:
    """The mode of what ``path`` leads to; None when it leads nowhere."""
    saw(path)
    try:
        return Path(path).stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explained(error, path) from error


def _checked_link(path: str, bounds: tuple[str, ...]) -> str:
    """The real path of ``path``. Raises BadInput when that is in none of the folders ``bounds``."""
    real = os.path.realpath(path)
    if any(os.path.commonpath((real, bound)) == bound for bound in bounds):
        return real
    raise BadInput(
        f"leads out of {bounds[0]!r}, to {real!r}",
        where=path,
        hint="copy what it leads to into the tree, or choose a root that holds both with -C",
    )


def _encoded(name: str, path: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"the name {os.fsencode(name)!r} is not UTF-8", where=repr(path)) from error
