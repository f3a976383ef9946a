"""Pinned Python images for tasks and workflows, from an image identifier or a small YAML file."""

from __future__ import annotations

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    from typing import Any

    from taskimage.model.config import ImageConfig
    from taskimage.model.errors import (
        BadInput,
        CannotBuild,
        ImageWarning,
        IntegrityError,
        InvalidReference,
        InvalidSpec,
        InvalidTemplate,
        InvalidValue,
        MissingKey,
        MissingSpec,
        MissingVersion,
        NotAllowed,
        NotFound,
        Problem,
        StaleLock,
        TaskImageError,
        Unreachable,
        WrongType,
    )
    from taskimage.model.image import Image
    from taskimage.model.lock import Lock
    from taskimage.model.reference import Reference
    from taskimage.model.spec import ImageSpec
    from taskimage.verbs.fleet import build
    from taskimage.verbs.lock import lock
    from taskimage.verbs.pin import pin
    from taskimage.verbs.publish import publish

    __version__: str

__all__ = [
    "BadInput",
    "CannotBuild",
    "Image",
    "ImageConfig",
    "ImageSpec",
    "ImageWarning",
    "IntegrityError",
    "InvalidReference",
    "InvalidSpec",
    "InvalidTemplate",
    "InvalidValue",
    "Lock",
    "MissingKey",
    "MissingSpec",
    "MissingVersion",
    "NotAllowed",
    "NotFound",
    "Problem",
    "Reference",
    "StaleLock",
    "TaskImageError",
    "Unreachable",
    "WrongType",
    "__version__",
    "build",
    "lock",
    "pin",
    "publish",
]

# The module of each name; all others are errors. Imported when first asked for (PEP 562).
_HOMES = {
    "Image": "taskimage.model.image",
    "ImageConfig": "taskimage.model.config",
    "ImageSpec": "taskimage.model.spec",
    "Lock": "taskimage.model.lock",
    "Reference": "taskimage.model.reference",
    "build": "taskimage.verbs.fleet",
    "lock": "taskimage.verbs.lock",
    "pin": "taskimage.verbs.pin",
    "publish": "taskimage.verbs.publish",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("taskimage")
    else:
        value = getattr(import_module(_HOMES.get(name, "taskimage.model.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
