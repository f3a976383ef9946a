"""What commands have changed in an unpacked image, as the entries of a layer (OCI image-spec, layer.md, "Changesets").

Read from an overlay, whose upper folder holds what was changed alone, or from a whole copy of the root. A file is
changed when its bytes, its mode or its owner are others than before; times mean nothing, as in every layer.
"""

from __future__ import annotations

import errno
import filecmp
import os
import stat
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from taskimage.adapters.rootfs import Owned, Owners
from taskimage.transform.entry import Entry, StreamBody, folders_of

__all__ = ["changes", "is_kept"]

# The kernel's own, all of it; and what is in folders for things that pass, or that can be fetched again, or that
# differ from one build to the next because they say when something was done. These folders themselves are kept.
_KERNEL_S = ("dev", "proc", "sys")
_PASSING = (
    "root/.cache", "tmp", "var/cache/apt", "var/cache/ldconfig", "var/lib/apt/lists", "var/log/apt", "var/tmp",
)  # fmt: skip
_DATED = frozenset({"var/log/alternatives.log", "var/log/dpkg.log", "var/log/faillog", "var/log/lastlog"})
# Whatever runs a container puts its own there.
_RUNTIME_S = frozenset({".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf"})


def is_kept(path: str) -> bool:
    """Whether a change at ``path`` becomes part of the image."""
    if path in _KERNEL_S or path in _DATED or path in _RUNTIME_S:
        return False
    return not path.startswith(tuple(f"{folder}/" for folder in (*_KERNEL_S, *_PASSING)))


def changes(
    before: Path,
    after: Path,
    owners: Owners,
    *,
    whole: bool,
    mounted: Collection[str] = (),
    kept: Callable[[str], bool] = is_kept,
) -> tuple[Entry, ...]:
    """The entries that make ``after`` out of ``before``, sorted by path, with every folder that they are in.

    Args:
        before: The root as `unpack` left it, with ``owned``.
        after: The root afterwards: all of it when it is ``whole``, else the upper folder of an overlay on ``before``.
        owners: Who owns what in ``before``.
        whole: Whether what ``after`` lacks is gone.
        mounted: Paths at which something else was seen meanwhile.
        kept: Whether a change at a path counts.
    """
    compared = _Comparison(before, after, owners, kept).below("", whole=whole)
    found = {entry.path: entry for entry in compared if entry.path not in mounted}
    for folder in folders_of(found):
        if folder not in found:
            found[folder] = _folder(folder, owners.folders[folder])
    return tuple(found[path] for path in sorted(found))


class _Comparison:
    def __init__(self, before: Path, after: Path, owners: Owners, kept: Callable[[str], bool]) -> None:
        self._is_kept = kept
        self._before = before
        self._after = after
        self._owners = owners

    def below(self, folder: str, *, whole: bool) -> Iterator[Entry]:
        """The changes in ``folder``, which is one afterwards."""
        after = self._after / folder
        whole = whole or _is_opaque(after)
        names = {child.name for child in after.iterdir()}
        if whole and _is_folder(self._before / folder):
            gone = {child.name for child in (self._before / folder).iterdir()} - names
            yield from (
                _whiteout(folder, name) for name in sorted(gone) if self._is_kept(_joined(folder, name))
            )
        for name in sorted(names):
            path = _joined(folder, name)
            if self._is_kept(path):
                yield from self._change(path, whole=whole)

    def _change(self, path: str, *, whole: bool) -> Iterator[Entry]:
        now = (self._after / path).lstat()
        if stat.S_ISCHR(now.st_mode) and now.st_rdev == 0:
            # overlayfs.rst, "whiteouts and opaque directories"; of nothing, for what came and went.
            if os.path.lexists(self._before / path):
                yield _whiteout(*os.path.split(path))
        elif stat.S_ISDIR(now.st_mode):
            if not _is_folder(self._before / path) or not self._is_same(path, now):
                yield _folder(path, self._owned(path, now))
            # In a folder that is new nothing of before is left.
            yield from self.below(path, whole=whole)
        elif not (self._is_same(path, now) and self._has_same_bytes(path, now)):
            yield from self._file(path, now)

    def _file(self, path: str, now: os.stat_result) -> Iterator[Entry]:
        place, owned = self._after / path, self._owned(path, now)
        if stat.S_ISLNK(now.st_mode):
            yield Entry(path, "symlink", 0o777, owned.uid, owned.gid, target=str(place.readlink()))
        elif stat.S_ISREG(now.st_mode) and not _is_dated_bytecode(place):
            body = StreamBody(partial(_opened, place), now.st_size)
            yield Entry.file(path, body, owned.mode, owned.uid, owned.gid)

    def _is_same(self, path: str, now: os.stat_result) -> bool:
        """Whether kind, mode and owner are what they were."""
        try:
            was = (self._before / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (was.st_mode, was.st_uid, was.st_gid) == (now.st_mode, now.st_uid, now.st_gid)

    def _has_same_bytes(self, path: str, now: os.stat_result) -> bool:
        before, after = self._before / path, self._after / path
        if stat.S_ISLNK(now.st_mode):
            return before.readlink() == after.readlink()
        return stat.S_ISREG(now.st_mode) and filecmp.cmp(before, after, shallow=False)

    def _owned(self, path: str, now: os.stat_result) -> Owned:
        """Mode and owner for the layer; what is as it was on the disk is as the layers below state it."""
        mode = stat.S_IMODE(now.st_mode)
        # The caller stands for root.
        uid = 0 if now.st_uid == os.geteuid() else now.st_uid
        gid = 0 if now.st_gid == os.getegid() else now.st_gid
        known = self._owners.folders.get(path) or self._owners.files.get(path)
        if known is None or not os.path.lexists(self._before / path):
            return Owned(mode, uid, gid)
        was = (self._before / path).lstat()
        if (was.st_uid, was.st_gid) == (now.st_uid, now.st_gid):
            uid, gid = known.uid, known.gid
        return Owned(known.mode if was.st_mode == now.st_mode else mode, uid, gid)


def _folder(path: str, owned: Owned) -> Entry:
    return Entry.directory(path, owned.mode, owned.uid, owned.gid)


def _whiteout(folder: str, name: str) -> Entry:
    return Entry.file(_joined(folder, f".wh.{name}"), b"")


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_opaque(folder: Path) -> bool:
    """Whether overlayfs hides what was in ``folder``, as a mount with ``userxattr`` says it."""
    try:
        return os.getxattr(folder, "user.overlay.opaque") == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise


def _is_dated_bytecode(place: Path) -> bool:
    """Whether it is bytecode that holds for one time of its source (PEP 552), which in a layer is another."""
    if place.suffix != ".pyc":
        return False
    with place.open("rb") as file:
        header = file.read(8)
    return len(header) == 8 and header[4:] == bytes(4)


def _opened(place: Path) -> BinaryIO:
    return cast("BinaryIO", place.open("rb"))
