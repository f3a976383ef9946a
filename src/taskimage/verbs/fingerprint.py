"""The fingerprint of a spec in Python: by it the lock of the spec is found in the project that has it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from taskimage.adapters.specfiles import LoadedSpec, lock_path
from taskimage.adapters.specfiles.projectlocks import FOLDER, project_of
from taskimage.model.digest import Digest
from taskimage.model.oci import canonical_json
from taskimage.verbs.lock import wants_of

__all__ = ["fingerprint", "lock_file", "relock"]


def fingerprint(loaded: LoadedSpec) -> Digest:
    """A digest of what the spec asks a resolution for; no file is read, and it is the same in every checkout.

    What a requirements file holds is no part of it: that makes a lock stale, as what the spec says makes another one.
    """
    return Digest.of(canonical_json(_asked(loaded)))


def lock_file(loaded: LoadedSpec) -> Path:
    """Where the lock of ``loaded`` is, or would be: beside its YAML file, or in the folder of its project."""
    if loaded.path is not None:
        return lock_path(loaded.path)
    name = loaded.spec.name.replace("/", "-")
    project = loaded.project or project_of(Path.cwd())
    return project / FOLDER / f"{name}-{fingerprint(loaded).short}.lock.toml"


def relock(loaded: LoadedSpec) -> str:
    """The command that makes the lock of ``loaded``, for a hint."""
    if loaded.path is not None:
        return f"`taskimage lock {loaded.path}`"
    return "`taskimage lock PATH`, where PATH is the folder or the file of Python that has the spec"


def _asked(loaded: LoadedSpec) -> dict[str, Any]:
    spec = loaded.spec
    wants = wants_of(spec, (), None)
    name = spec.requirements
    asked = replace(
        wants,
        # What the spec leaves to the host is not its own.
        python=spec.python_version or "",
        requirements=(loaded.called(loaded.beside(name), name),) if name else (),
    )
    # What is not asked for is left out, so that a later version may know more to ask for.
    said = {key: value for key, value in asdict(asked).items() if value}
    return {**said, "below": _asked(loaded.base)} if loaded.base else said
