"""The specs that imported modules hold: in variables, and in the tasks that flytekit knows of."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from taskimage.adapters.thispython import is_below, loaded_files
from taskimage.flyte.specs import spec_from_flytekit
from taskimage.model.errors import BadInput, InvalidSpec
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.builderoptions import NAMESPACE
from taskimage.verbs.pythonlocks import LabelledSpec

__all__ = ["module_of", "resolved", "specs_of"]


def specs_of(
    modules: Sequence[ModuleType], origin: str
) -> tuple[tuple[LabelledSpec, ...], tuple[str, ...], tuple[BadInput, ...]]:
    """Each spec of ``modules``, and of the tasks that they made; labels of those for other builders; problems.

    A label names the variable where a spec is made, also where another module imports it. ``origin`` is the folder
    that modules of the project are below.
    """
    specs: dict[str, ImageSpec] = {}
    others: list[str] = []
    problems: list[BadInput] = []
    for label, value in (*_variables(modules), *_of_tasks(origin)):
        if label in specs or label in others:
            continue
        try:
            spec = _ours(value)
        except InvalidSpec as error:
            problems.append(BadInput(f"{label} is no spec that can be read:\n{error.message}"))
            continue
        if spec is None:
            others.append(label)
        else:
            specs[label] = spec
    return tuple(LabelledSpec(*item) for item in specs.items()), tuple(others), tuple(problems)


def module_of(label: str) -> str:
    """The name of the module in ``label``."""
    return label.partition(":")[0].rpartition("/")[2]


def resolved(label: str) -> ImageSpec | None:
    """The spec that ``label`` means in the modules that are loaded; None where it means none."""
    path = label.partition(":")[2]
    value: Any = sys.modules.get(module_of(label))
    for name in path.split("."):
        value = getattr(value, name, None)
    try:
        return _ours(value) if _is_spec(value) else None
    except InvalidSpec:
        return None


def _variables(modules: Sequence[ModuleType]) -> Iterator[tuple[str, Any]]:
    for module in modules:
        for name, value in list(vars(module).items()):
            if _is_spec(value):
                yield _label(module, name, value), value


def _of_tasks(origin: str) -> Iterator[tuple[str, Any]]:
    """The images of tasks: each by the variable that has the task."""
    if "flytekit.core.context_manager" not in sys.modules:
        return
    from flytekit.core.context_manager import FlyteEntities

    files = {path for path in loaded_files() if is_below(path, origin)}
    known = {
        id(value): f"{name}:{variable}"
        for name, module in sorted(sys.modules.items())
        if getattr(module, "__file__", None) in files
        for variable, value in sorted(vars(module).items())
        if variable not in _imported(module)
    }
    for entity in FlyteEntities.entities:
        label = known.get(id(entity)) or str(getattr(entity, "name", type(entity).__name__))
        for attribute in ("container_image", "_image"):
            if _is_spec(image := getattr(entity, attribute, None)):
                yield known.get(id(image), f"{label}.{attribute}"), image
        pod = getattr(getattr(entity, "pod_template", None), "pod_spec", None)
        for container in getattr(pod, "containers", None) or ():
            if _is_spec(container.image):
                yield known.get(id(container.image), f"{label}.pod_template"), container.image


def _is_spec(value: Any) -> bool:
    flytekit = sys.modules.get("flytekit.image_spec.image_spec")
    return isinstance(value, ImageSpec) or (flytekit is not None and isinstance(value, flytekit.ImageSpec))


def _ours(value: Any) -> ImageSpec | None:
    """The spec as ours; None when another builder is named. Raises InvalidSpec."""
    if value.builder not in (None, NAMESPACE):
        return None
    return value if isinstance(value, ImageSpec) else spec_from_flytekit(value)


def _label(module: ModuleType, name: str, value: Any) -> str:
    """``MODULE:VARIABLE`` of ``value``, which is ``name`` in ``module``: where it is made, if it is imported from there."""
    seen = {(module.__name__, name)}
    while (origin := _imported(module).get(name)) and origin not in seen:
        seen.add(origin)
        found = sys.modules.get(origin[0])
        if found is None or getattr(found, origin[1], None) is not value:
            break
        module, name = found, origin[1]
    return f"{module.__name__}:{name}"


@cache
def _imported(module: ModuleType) -> Mapping[str, tuple[str, str]]:
    """The variables of ``module`` that it imports from others: the module and the name there."""
    path = getattr(module, "__file__", None) or ""
    if not path.endswith(".py"):
        return {}
    found: dict[str, tuple[str, str]] = {}
    package = module.__package__ or ""
    for node in ast.walk(ast.parse(Path(path).read_bytes())):
        if isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):  # of what never runs
                name = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                found |= {alias.asname or alias.name: (name, alias.name) for alias in node.names}
    return found
