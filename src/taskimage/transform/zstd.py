"""Zstandard streams (RFC 8878), read by what this Python has: its own module from 3.14 on, or ``zstandard``."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, BinaryIO, cast

from taskimage.model.errors import CannotBuild

__all__ = ["open_zstd", "zstd_errors"]

_OWN, _OTHER = "compression.zstd", "zstandard"


def open_zstd(stream: object, *, what: str) -> BinaryIO:
    """What ``stream``, of which nothing but ``read`` is asked, unpacks to, all of its frames.

    Damage shows while it is read, as EOFError or one of `zstd_errors`. Raises CannotBuild when there is
    nothing that reads it; ``what`` is for that message, such as "a layer".
    """
    if own := _module(_OWN):
        return cast("BinaryIO", own.open(stream))
    if other := _module(_OTHER):
        decompressor: Any = other.ZstdDecompressor()
        return cast("BinaryIO", decompressor.stream_reader(stream, read_across_frames=True))
    raise CannotBuild(
        f"{what} is compressed with zstd, which this Python cannot read",
        hint="install the Python package 'zstandard', or use Python 3.14 or later",
    )


def zstd_errors() -> tuple[type[Exception], ...]:
    """What a reader raises for damaged data."""
    return tuple(module.ZstdError for module in map(_module, (_OWN, _OTHER)) if module)


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
