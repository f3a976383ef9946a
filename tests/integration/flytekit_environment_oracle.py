"""Run inside an environment with flytekit, and with taskimage on its path: what each says of where it runs."""

from __future__ import annotations

import json
import os
from typing import Any

import flytekit.image_spec
from flytekit.core.context_manager import ExecutionState, FlyteContextManager

import taskimage


def says(kind: Any) -> dict[str, Any]:
    """What the ImageSpec ``kind`` pins here, and where it finds itself."""
    pinned = kind.from_env(pinned_packages=["pyyaml", "flytekit"], packages=["other"], env={"A": "b"})
    spec = kind(name="demo")
    found = {"id": pinned.id, "packages": list(pinned.packages), "python": pinned.python_version}
    context = FlyteContextManager.current_context()
    states = [context.execution_state.with_params(mode=mode) for mode in (None, *ExecutionState.Mode)]
    for state in states:
        with FlyteContextManager.with_context(context.with_execution_state(state)):
            for image in ("", "another", spec.id):
                os.environ["_F_IMG_ID"] = image
                found[f"{state.mode} {image!r}"] = spec.is_container()
    return found


print(json.dumps([says(taskimage.ImageSpec), says(flytekit.image_spec.ImageSpec)]))  # noqa: T201
