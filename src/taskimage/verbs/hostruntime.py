"""What is added to a spec's packages so that tasks can start: flytekit, in the version that this environment has."""

from __future__ import annotations

import sys

from taskimage.adapters.witness import saw
from taskimage.model.lock import Wants

__all__ = ["runtime_requirement"]

# Versions before it state no upper bound for Python: a resolver would fall back to those on a Python that is too new.
_OLDEST = "1.15"


def runtime_requirement(wants: Wants) -> tuple[str, ...]:
    """The requirement, at the version that is installed here; where none is, or one that no index has, of any that serves."""
    if not wants.runtime:
        return ()
    from importlib.metadata import PackageNotFoundError, version

    for folder in sys.path:
        saw(folder)  # which has a folder of another name for another version
    try:
        found = version(wants.runtime)
    except PackageNotFoundError:
        return (f"{wants.runtime}>={_OLDEST}",)
    # Without a version, as flytekit's own builder does with a checkout of flytekit.
    return (f"{wants.runtime}>={_OLDEST}",) if "dev" in found else (f"{wants.runtime}=={found}",)
