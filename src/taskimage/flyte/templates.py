"""What flytekit before 1.16.24 makes of ``{{.image.NAME.fqn}}:{{.image.NAME.version}}`` for an image with a digest."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

__all__ = ["mend"]

# A digest behind a colon: no tag has a colon in it, so this is never another image's name.
_MISJOINED = re.compile(r":(?=sha256:[0-9a-f]{64}\Z)")


def mend() -> None:
    """From now on flytekit writes a digest behind an "@", as it does from 1.16.24 on.

    Our images are known by their digests, and a task with such a template would be registered with a name that no
    registry understands.
    """
    from flytekit.core import container_task, python_auto_container, python_customized_container_task

    mended = _mended(python_auto_container.get_registerable_container_image)
    for module in (container_task, python_auto_container, python_customized_container_task):
        module.get_registerable_container_image = mended


def _mended(fill_in: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(fill_in)
    def filled_in(*args: Any, **kwargs: Any) -> str:
        return _MISJOINED.sub("@", fill_in(*args, **kwargs))

    return filled_in
