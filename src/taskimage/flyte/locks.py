"""The lock of a spec that flytekit asks for: it stays this spec's when the spec is edited, which makes it stale."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from taskimage.adapters.specfiles import LoadedSpec
from taskimage.adapters.specfiles.projectlocks import lock_files
from taskimage.flyte.variables import module_of, resolved
from taskimage.model.errors import StaleLock
from taskimage.verbs.fingerprint import lock_file
from taskimage.verbs.lock import outdated, read_lock
from taskimage.verbs.prepare import stale_lock

__all__ = ["check_not_edited"]


def check_not_edited(loaded: LoadedSpec) -> None:
    """Raise StaleLock where ``loaded`` has no lock, and the variable that it is from had one."""
    wanted = lock_file(loaded)
    if loaded.project is None or wanted.exists():
        return
    for path in lock_files(loaded.project):
        lock = read_lock(path)
        for label in lock.labels if lock else ():
            spec = resolved(label)
            if lock and spec and lock_file(dataclasses.replace(loaded, spec=spec)) == wanted:
                raise _edited(loaded, label, path, outdated(loaded, lock))


def _edited(loaded: LoadedSpec, label: str, path: Path, changes: tuple[str, ...]) -> StaleLock:
    error = stale_lock(loaded, path, changes)
    file = Path(sys.modules[module_of(label)].__file__ or "")
    if loaded.project and file.is_relative_to(loaded.project):
        file = file.relative_to(loaded.project)
    error.hint = f"{label} was edited: make it anew with `taskimage lock {file}`"
    return error
