"""Importing modules of Python for what they hold: whatever one of them does, the others are imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import traceback
from collections.abc import Iterable, Iterator
from types import ModuleType

from taskimage.model.errors import BadInput

__all__ = ["load", "nothing_is_built"]

_SHOWN_FRAMES = 3


def nothing_is_built() -> None:
    """From now on flytekit, where it is installed, builds nothing, and takes us for specs that name no builder.

    So whether this machine has docker decides nothing. It is for a process that only imports.
    """
    os.environ["TASKIMAGE_FLYTEKIT"] = "default"
    if importlib.util.find_spec("flytekit") is None:
        return
    from flytekit.image_spec.image_spec import ImageBuildEngine

    ImageBuildEngine.build = staticmethod(lambda _spec: None)


def load(names: Iterable[str]) -> tuple[tuple[ModuleType, ...], tuple[BadInput, ...]]:
    """The modules ``names`` and, of packages, those below, in a fixed order; and what kept others from being imported."""
    loaded: dict[str, ModuleType] = {}
    problems: list[BadInput] = []
    for name in names:
        for one in _walk(name):
            if isinstance(one, BadInput):
                problems.append(one)
            else:
                loaded[one.__name__] = one
    return tuple(loaded.values()), tuple(problems)


def _walk(name: str) -> Iterator[ModuleType | BadInput]:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever a module does
        yield _problem(name, error)
        return
    yield module
    for below in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=_name):
        yield from _walk(f"{name}.{below.name}")


def _name(module: pkgutil.ModuleInfo) -> str:
    return module.name


def _problem(name: str, error: BaseException) -> BadInput:
    """What is said of the module ``name``: the error, and the last lines of code that led to it."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and frame.filename not in (__file__, importlib.__file__)
    ]
    lines = [f"  {frame.filename}:{frame.lineno}: {frame.line}" for frame in frames[-_SHOWN_FRAMES:]]
    what = "".join(traceback.format_exception_only(type(error), error)).rstrip()
    return BadInput("\n".join([f"the module {name} cannot be imported", *lines, f"  {what}"]))
