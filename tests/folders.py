"""Folders of tests, and how they go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["remove"]

_MOUNTS = Path("/proc/self/mountinfo")


def remove(path: Path) -> None:
    """Nothing is left at ``path``, unless something is mounted below it: then all of it stays."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    elif not _mounted_in(path):
        if os.geteuid() != 0:
            subprocess.run(["chmod", "-R", "u+rwx", path], check=False, capture_output=True)
        shutil.rmtree(path, ignore_errors=True)


def _mounted_in(folder: Path) -> bool:
    """Whether a program has mounted something below ``folder``, and was killed perhaps (proc(5), "mountinfo")."""
    mounts = _MOUNTS.read_text(encoding="utf-8").splitlines() if _MOUNTS.exists() else []
    return any(Path(mount.split()[4]).is_relative_to(folder) for mount in mounts)
