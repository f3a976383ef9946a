"""A change of root, for root where the host allows no namespaces: it keeps files apart, and nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import ClassVar

from taskimage.adapters.copytree import copy_tree
from taskimage.adapters.rootfs import inside
from taskimage.adapters.sandbox.job import Ended, Job
from taskimage.adapters.sandbox.namespaces import launch

__all__ = ["ChangeRoot"]

_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}


class ChangeRoot:
    """Runs jobs in a private tree of hard links to the image, as the image's user."""

    name: ClassVar[str] = "chroot"
    warning: ClassVar[str] = (
        "no sandbox but a change of root works here: the command shares processes and network with the host"
    )

    @property
    def overlays(self) -> bool:
        """It is copied."""
        return False

    def problem(self) -> str | None:
        """That the caller is not root, if so."""
        return None if os.geteuid() == 0 else "needs root"

    def run(self, job: Job) -> Ended:
        """Run ``job`` to its end. Volumes other than read-only files, and a job without network, are refused."""
        if not all(volume.read_only and volume.source.is_file() for volume in job.volumes):
            return Ended(125, "volumes need a sandbox that can mount; only a change of root works here")
        if not job.network:
            return Ended(125, "a command without network needs namespaces; only a change of root works here")
        root = job.scratch / "root"
        _tree(job.root, root, whole="" in job.writable)
        for path in job.writable:
            _private(job.root / path, root / path, job.uid, job.gid)
        for volume in job.volumes:
            _copy(volume.source, root / inside(root, volume.target))
        _add_devices(root / "dev")
        return launch(
            {
                "chroot": str(root), "argv": list(job.argv), "env": dict(job.env), "workdir": job.workdir,
                "uid": job.uid, "gid": job.gid,
            },
            output=job.output,
        )  # fmt: skip


def _tree(source: Path, target: Path, *, whole: bool) -> None:
    """``target`` looks as ``source`` does; files that anyone but root may write to are copies."""

    def copy(file: str, to: str) -> None:
        writable = whole or Path(file).stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        (shutil.copy2 if writable else os.link)(file, to)

    copy_tree(source, target, copy=copy)


def _private(source: Path, target: Path, uid: int, gid: int) -> None:
    if target != source and uid != 0:
        shutil.rmtree(target)
        copy_tree(source, target)
    for folder, folders, files in os.walk(target):
        os.chown(folder, uid, gid)
        for name in (*folders, *files):
            os.chown(Path(folder, name), uid, gid, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # it is the image's own file, by another name
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _add_devices(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, (major, minor) in _DEVICES.items():
        with contextlib.suppress(PermissionError, FileExistsError):
            os.mknod(folder / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            (folder / name).chmod(0o666)
