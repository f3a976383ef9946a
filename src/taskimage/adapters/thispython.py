"""The Python that runs: what it has installed, what it has loaded, and in whose image it runs."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator

from taskimage.model.errors import NotFound

__all__ = ["installed_version", "is_below", "is_inside", "loaded_files"]

_IMAGE = "_F_IMG_ID"


def installed_version(name: str) -> str:
    """The version of the distribution ``name`` in this environment. Raises NotFound."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError as error:
        raise NotFound(
            f"{name!r} is not installed in this environment, so there is no version to pin it to",
            hint=f"install it for {sys.executable}, or write the version yourself",
        ) from error


def is_inside(image_id: str) -> bool:
    """Whether this process runs in the image ``image_id``; True as well where no task is executed.

    flytekit knows whether one is, when it is loaded; otherwise the variable does that its images set.
    """
    here = os.environ.get(_IMAGE)
    flytekit = sys.modules.get("flytekit.core.context_manager")
    if flytekit is None:
        return here in (None, image_id)
    state = flytekit.FlyteContextManager.current_context().execution_state
    local = flytekit.ExecutionState.Mode.LOCAL_WORKFLOW_EXECUTION
    executing = state is not None and state.mode is not None and state.mode != local
    return here == image_id if executing else True


def loaded_files() -> Iterator[str]:
    """The file of each module that is loaded and was not installed, as the module names it."""
    installed = [sys.prefix, sys.base_prefix, site.getusersitepackages(), *site.getsitepackages()]
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and not any(is_below(path, folder) for folder in installed):
            yield path


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is in ``folder``, as flytekit compares them: by what is written."""
    try:
        return os.path.commonpath([path, folder]) == folder
    except ValueError:  # one is absolute, and the other is not
        return False
