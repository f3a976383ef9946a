"""What this version builds of what a spec may say. What is not served is an error, never ignored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from taskimage.model.errors import CannotBuild
from taskimage.model.shown import shown
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.builderoptions import NAMESPACE
from taskimage.model.spec.problem import Key, dotted

__all__ = ["check_served", "unserved"]

_FIELDS = (
    "conda_packages", "conda_channels", "cuda", "cudnn", "pip_secret_mounts", "pip_extra_args",
    "commands", "python_exec", "runtime_packages", "builder_config",
)  # fmt: skip
_BUILDERS = (None, "taskimage", "default")


def unserved(spec: ImageSpec) -> tuple[str, ...]:
    """One line for each thing that ``spec`` asks for and this version does not build, with its place."""
    found = _unserved(spec)
    below = unserved(spec.base) if spec.base else ()
    if (origin := spec.origin) is None:
        return (*(message for _, message in found), *below)
    in_order = sorted(found, key=lambda item: origin.position(item[0]))
    return (*(f"{origin.place(key)}: {message}" for key, message in in_order), *below)


def check_served(spec: ImageSpec) -> None:
    """Raises CannotBuild, naming everything that ``spec`` asks for and this version does not build."""
    if lines := unserved(spec):
        raise CannotBuild(
            "\n".join(lines), hint="take it out of the spec, or build this image with flytekit's own builder"
        )


def _unserved(spec: ImageSpec) -> Iterator[tuple[Key, str]]:
    # An empty list or text asks for nothing.
    for name in _FIELDS:
        if getattr(spec, name):
            yield (name,), f"{name} is not served yet"
    yield from _unserved_choices(spec)
    for index, package in enumerate(spec.packages or ()):
        if package.lstrip().startswith("-"):
            key: Key = ("packages", index)
            yield key, f"{dotted(key)} is {shown(package, longest=80)}: options among packages are not served"
    for builder in spec.builder_options or {}:
        if builder != NAMESPACE:
            yield ("builder_options", builder), f"builder_options of {builder!r} are for another builder"


def _unserved_choices(spec: ImageSpec) -> Iterator[tuple[Key, str]]:
    """Values that are not served, of fields that are."""
    if spec.builder not in _BUILDERS:
        yield ("builder",), f"builder {spec.builder!r} is another one; wanted taskimage, default or none"
    if spec.requirements and PurePosixPath(spec.requirements).suffix in (".lock", ".toml"):
        kind = PurePosixPath(spec.requirements).name
        yield ("requirements",), f"requirements in a {kind!r} are not served yet; wanted a requirements.txt"
