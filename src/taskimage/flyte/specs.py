"""flytekit's ImageSpec as ours, and back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskimage.adapters.specfiles import LoadedSpec
from taskimage.model.errors import BadInput
from taskimage.model.spec import FIELDS, ImageSpec
from taskimage.model.spec.builderoptions import NAMESPACE
from taskimage.model.spec.copymode import copy_mode
from taskimage.model.spec.fieldrules import VERSIONS
from taskimage.model.spec.frozen import thaw

if TYPE_CHECKING:
    from flytekit.image_spec.image_spec import ImageSpec as FlytekitSpec

__all__ = ["spec_from_flytekit", "spec_to_flytekit"]

# Fields that name a file or a folder, which flytekit looks for in the working directory.
_PATHS = ("requirements", "source_root", "registry_config")


def spec_from_flytekit(theirs: FlytekitSpec) -> ImageSpec:
    """Our spec with the fields of ``theirs``, and whether its image is made in any case.

    What YAML reads in another way than it is meant (``python_version: 3.10`` is a number there), and flytekit keeps,
    is taken as it is meant. Raises InvalidSpec, with every problem.
    """
    values = _meant({name: getattr(theirs, name, None) for name in FIELDS})
    # Of a variable that says so flytekit 1.15 keeps the text, whatever it says.
    return ImageSpec(**values, forced=getattr(theirs, "_is_force_push", False) is True)


def _meant(values: Mapping[str, Any]) -> dict[str, Any]:
    meant = dict(values)
    for name in VERSIONS & meant.keys():
        if isinstance(meant[name], int | float):
            meant[name] = "3.10" if meant[name] == 3.1 else str(meant[name])
    for name in _PATHS:
        if isinstance(meant.get(name), os.PathLike):
            meant[name] = os.fspath(meant[name])
    if isinstance(env := meant.get("env"), Mapping):
        meant["env"] = {
            name: str(value) if isinstance(value, int | float) else value for name, value in env.items()
        }
    base = meant.get("base_image")
    if isinstance(base, Mapping):
        meant["base_image"] = ImageSpec(**_meant(base))
    elif base is not None and not isinstance(base, str):
        meant["base_image"] = spec_from_flytekit(base)
    return meant


def spec_to_flytekit(spec: ImageSpec) -> FlytekitSpec:
    """A spec of flytekit's with the fields of ``spec``, which our builder builds unless it names another.

    Raises BadInput for what this flytekit has no word for, and for files to copy that it would not find.
    """
    from flytekit.constants import CopyFileDetection
    from flytekit.image_spec.image_spec import ImageSpec as FlytekitSpec

    values = {name: thaw(value) for name in FIELDS if (value := getattr(spec, name)) is not None}
    if unknown := values.keys() - {field.name for field in dataclasses.fields(FlytekitSpec)}:
        raise BadInput(
            f"this flytekit's ImageSpec has no {', '.join(sorted(unknown))}", hint="upgrade flytekit to 1.16"
        )
    values["builder"] = spec.builder or NAMESPACE  # our builder is called as its options are
    values |= _found(spec)
    if spec.base is not None:
        values["base_image"] = spec_to_flytekit(spec.base)
    if (mode := copy_mode(spec.source_copy_mode)) is not None:
        values["source_copy_mode"] = CopyFileDetection[mode.name]
    if spec.pip_secret_mounts is not None:
        values["pip_secret_mounts"] = [
            (_beside(spec, source), target) for source, target in spec.pip_secret_mounts
        ]
    theirs = FlytekitSpec(**values)
    return theirs.force_push() if spec.forced else theirs


def _found(spec: ImageSpec) -> dict[str, str]:
    """The paths of ``spec`` as flytekit finds them: a spec that was read from a file names what is beside that."""
    if spec.copy and spec.origin and Path(spec.origin.path).parent.resolve() != Path.cwd():
        raise BadInput(
            f"flytekit takes what it copies from the working directory, and {spec.origin.path!r} is elsewhere",
            hint="change to its folder",
        )
    return {name: _beside(spec, value) for name in _PATHS if (value := getattr(spec, name))}


def _beside(spec: ImageSpec, name: str) -> str:
    if spec.origin is None:
        return name
    found = LoadedSpec(spec=spec, path=Path(spec.origin.path)).beside(name)
    return name if found == Path.cwd() / name else str(found)
