"""What flytekit imports at the end of ``import flytekit``: the builder is registered, at little cost, whatever happens.

flytekit catches nothing here. What is wrong is therefore told when an image is asked for, and not before.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    from typing import Any

    from taskimage.flyte.builder import Builder

__all__ = ["NAME", "Plugin", "priority", "unsupported"]

NAME = "taskimage"
"""What the builder is called in ``ImageSpec(builder=…)``."""

_OLDEST, _NEWEST = (1, 15, 4), (1, 16)
_KNOWN = "1.15.4 to 1.16"
_KNOWS_DIGESTS = (1, 16, 24)  # in templates

# flytekit takes the builder with the highest one for a spec that names none: its own have 0 and 1, envd's 5, Union's 10.
_ONLY_BY_NAME, _IN_PLACE_OF_DOCKER, _FIRST = -1, 2, 100


class Plugin:
    """The builder as flytekit holds it (``ImageSpecBuilder``); what does the work is imported when it is asked for.

    Args:
        problem: Why no image can be built, if that is so.
    """

    def __init__(self, problem: str | None = None) -> None:
        self._problem = problem
        self._made: Builder | None = None

    def should_build(self, image_spec: Any) -> bool:
        """Whether there is no such image yet. Raises ClickException when nobody can tell."""
        return self._builder.should_build(image_spec)

    def build_image(self, image_spec: Any) -> str | None:
        """``repository@digest`` of the image, which is built; None for one that is on this machine alone."""
        return self._builder.build_image(image_spec)

    @property
    def _builder(self) -> Builder:
        if self._problem:
            from click import ClickException

            raise ClickException(self._problem)
        if self._made is None:
            from taskimage.flyte.builder import Builder
            from taskimage.flyte.templates import mend

            if _numbers(sys.modules["flytekit"].__version__) < _KNOWS_DIGESTS:
                mend()
            self._made = Builder()
        return self._made


def unsupported(version: str) -> str | None:
    """What is to be said of a flytekit of this version; None when it is served."""
    if "dev" in version:
        return None  # of a checkout, which says "0.0.0+develop" when it does not know better
    numbers = _numbers(version)
    if numbers < _OLDEST:
        return f"flytekit {version} is too old for the image builder {NAME!r}, which serves {_KNOWN}: upgrade flytekit"
    if numbers[:2] > _NEWEST:
        return f"flytekit {version} is newer than the image builder {NAME!r} knows, which serves {_KNOWN}: upgrade taskimage"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def priority(environ: Mapping[str, str]) -> int:
    """The builder's priority: above flytekit's own where that cannot work, or where a setting says so.

    Raises ValueError for a setting that cannot be understood.
    """
    wanted = environ.get("TASKIMAGE_FLYTEKIT") or _configured(environ)
    if wanted == "default":
        return _FIRST
    if wanted:
        raise ValueError(f"TASKIMAGE_FLYTEKIT, or flytekit in config.toml, is {wanted!r}; wanted 'default'")
    return _ONLY_BY_NAME if shutil.which("docker", path=environ.get("PATH")) else _IN_PLACE_OF_DOCKER


def _configured(environ: Mapping[str, str]) -> str | None:
    """``flytekit`` of config.toml."""
    from taskimage.adapters.userfolders import config_path

    try:
        text = config_path(environ).read_text(encoding="utf-8")
    except OSError:
        return None
    if "flytekit" not in text:
        return None
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    value = tomllib.loads(text).get("flytekit")
    return None if value is None else str(value)


def _register() -> None:
    from flytekit.configuration import Image
    from flytekit.image_spec.image_spec import ImageBuildEngine

    from taskimage.model.counterpart import Counterpart

    rank, problem = _ONLY_BY_NAME, unsupported(sys.modules["flytekit"].__version__)
    try:
        rank = priority(os.environ)
    except ValueError as error:
        problem = problem or str(error)
    ImageBuildEngine.register(NAME, Plugin(problem), rank)
    Image.register(Counterpart)


def _report(problem: str) -> None:
    from flytekit.image_spec.image_spec import ImageBuildEngine

    ImageBuildEngine.register(NAME, Plugin(problem), _ONLY_BY_NAME)


try:
    _register()
except Exception as error:  # noqa: BLE001 - whatever it is, flytekit is imported without it
    with contextlib.suppress(Exception):
        _report(f"the image builder {NAME!r} cannot work with this flytekit: {type(error).__name__}: {error}")
