"""What cannot be had is told with the place in the spec that asks for it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Literal

from taskimage.model.errors import BadInput, CannotBuild, NotFound
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.problem import Key

__all__ = ["placed"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")


@contextlib.contextmanager
def placed(
    spec: ImageSpec, field: Literal["packages", "apt_packages", "conda_packages", "base_image"]
) -> Iterator[None]:
    """In the block, an error that names entries of ``field`` says where the spec has the first of them.

    With a base image everything else that is wrong is wrong with that.
    """
    try:
        yield
    except (BadInput, NotFound, CannotBuild) as error:
        if error.where is None and spec.origin and (key := _first_named(spec, field, error.message)):
            error.where = spec.origin.place(key)
        raise


def _first_named(spec: ImageSpec, field: str, message: str) -> Key | None:
    if field == "base_image":
        return (field,) if spec.base_image else None
    told = _normal(message)
    for index, entry in enumerate(getattr(spec, field) or ()):
        name = _NAME.match(entry.strip())
        if name and re.search(rf"'{re.escape(_normal(name[0]))}(?![a-z0-9.+-])", told):
            return field, index
    return None


def _normal(text: str) -> str:
    """Names as both kinds of packages compare them, near enough (PEP 503)."""
    return text.lower().replace("_", "-")
