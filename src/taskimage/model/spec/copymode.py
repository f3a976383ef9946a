"""`CopyFileDetection`: which files of a ``source_root`` are copied, under flytekit's names."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["COPY_MODES", "CopyFileDetection", "copy_mode"]


class CopyFileDetection(Enum):
    """flytekit's choices; they print themselves as flytekit's do, since its id is computed from that."""

    LOADED_MODULES = 1
    ALL = 2
    NO_COPY = 3


# As ``pyflyte --copy`` spells them.
COPY_MODES: Final = {
    "all": CopyFileDetection.ALL,
    "auto": CopyFileDetection.LOADED_MODULES,
    "none": CopyFileDetection.NO_COPY,
}


def copy_mode(value: object) -> CopyFileDetection | None:
    """What ``value`` chooses: text in any case, or a member of an enumeration of these names, such as flytekit's.

    None for anything else.
    """
    if isinstance(value, str):
        return COPY_MODES.get(value.lower())
    return CopyFileDetection.__members__.get(value.name) if isinstance(value, Enum) else None
