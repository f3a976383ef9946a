"""What this version builds of what a spec may say. What is not served is an error, never ignored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from taskimage.model.errors import CannotBuild
from taskimage.model.shown import shown
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.builderoptions import NAMESPACE
from taskimage.model.spec.problem import Key, dotted
from taskimage.model.spec.requirementskind import RequirementsKind
from taskimage.model.spec.secretkind import SecretKind

__all__ = ["check_served", "unserved"]

# Images that flytekit's own builder takes uv and micromamba from, which are not needed here.
_BUILDER_CONFIG = frozenset({"uv_image", "micromamba_image"})
# flytekit's own builder refuses them too.
_CUDA = (
    "has nothing to choose: Python packages for GPUs bring CUDA as wheels, from PyPI or an index of their own; take "
    "it out, and where other programs need CUDA, name a base_image that has it, such as nvidia/cuda"
)
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
    yield from _of_other_builders(spec)
    yield from _unserved_choices(spec)
    for index, package in enumerate(spec.packages or ()):
        if package.lstrip().startswith("-"):
            key: Key = ("packages", index)
            yield key, f"{dotted(key)} is {shown(package, longest=80)}: options among packages are not served"


def _of_other_builders(spec: ImageSpec) -> Iterator[tuple[Key, str]]:
    """What is said to somebody else."""
    for name in ("cuda", "cudnn"):
        if getattr(spec, name):
            yield (name,), f"{name} {_CUDA}"
    for name in (spec.builder_config or {}).keys() - _BUILDER_CONFIG:
        yield ("builder_config", name), f"builder_config {name!r} is for another builder"
    for builder in spec.builder_options or {}:
        if builder != NAMESPACE:
            yield ("builder_options", builder), f"builder_options of {builder!r} are for another builder"


def _unserved_choices(spec: ImageSpec) -> Iterator[tuple[Key, str]]:
    """Values that are not served, of fields that are."""
    if spec.python_exec and not spec.base_image:
        yield ("python_exec",), "python_exec names an interpreter of a base image, and there is no base_image"
    if spec.builder not in _BUILDERS:
        yield ("builder",), f"builder {spec.builder!r} is another one; wanted taskimage, default or none"
    yield from _unserved_requirements(spec)


def _unserved_requirements(spec: ImageSpec) -> Iterator[tuple[Key, str]]:
    kind = RequirementsKind.of(spec.requirements) if spec.requirements else RequirementsKind.REQUIREMENTS
    if kind is None:
        name = PurePosixPath(spec.requirements or "").name
        known = ", ".join(one.value for one in RequirementsKind)
        yield ("requirements",), f"requirements in a {name!r} are not served; wanted one of {known}"
    elif kind.is_lock and spec.packages:
        yield (
            ("packages",),
            f"packages are named beside a {kind.value}, which is whole as it is: add them to the project and lock it",
        )
    options = spec.install_options
    for option in options.refused:
        yield ("pip_extra_args",), f"pip_extra_args has {option!r}, which has no meaning here"
    if options.exclude_newer and spec.options.build_sdists:
        yield ("pip_extra_args",), "pip_extra_args has '--exclude-newer', which build_sdists do not follow"
    if kind is RequirementsKind.REQUIREMENTS and options.chooses_parts:
        yield ("pip_extra_args",), "pip_extra_args chooses extras or groups, and requirements name no project"
    for index, (_, target) in enumerate(spec.pip_secret_mounts or ()):
        if SecretKind.of(target) is None:
            known = ", ".join(one.value for one in SecretKind)
            key: Key = ("pip_secret_mounts", index)
            yield key, f"{dotted(key)} is for {target!r}; wanted a path that ends in {known}"
