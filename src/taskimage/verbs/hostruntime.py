"""What is added to a spec's packages so that tasks can start: flytekit, in the version that this environment has."""

from __future__ import annotations

import sys

from taskimage.adapters.witness import saw
from taskimage.model.lock import Wants

__all__ = ["runtime_requirement"]


def runtime_requirement(wants: Wants) -> tuple[str, ...]:
    """The requirement, at the version that is installed here; any version where none is, or one that no index has."""
    from importlib.metadata import PackageNotFoundError, version

    if not wants.runtime:
        return ()
    for folder in sys.path:
        saw(folder)  # which has a folder of another name for another version
    try:
        found = version(wants.runtime)
    except PackageNotFoundError:
        return (wants.runtime,)
    # As flytekit's own builder does with a checkout of flytekit.
    return (wants.runtime,) if "dev" in found else (f"{wants.runtime}=={found}",)
