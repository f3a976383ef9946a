"""An image of flyte's -> a recipe.

The base that flyte gives images by default, under either of its names, is served by our own: the same Python on
the same Debian, put together from signed packages, so that no registry has to be reached for it. The layers
that flyte itself lays on it (a user, variables, a compiler) are not repeated: what they are for is there, and
what is not can be asked for. Every other base is the image that it names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from taskimage.adapters.specfiles.ignorerules import read_dockerignore
from taskimage.flyte.v2.layers import add_layer
from taskimage.flyte.v2.recipe import HOME, Installing, Recipe, Stage
from taskimage.model.errors import CannotBuild, TaskImageError
from taskimage.transform.dockerignore import DockerIgnore
from taskimage.transform.runtime import PREFIX

__all__ = ["translate"]

_Image: TypeAlias = Any
_RELEASED = re.compile(r"ghcr\.io/flyteorg/flyte:py(?P<python>3\.\d+)(?:-v(?P<flyte>[^@]+))?")
_ENV: Final[Mapping[str, str]] = {"VIRTUAL_ENV": PREFIX, "PYTHONPATH": "/root", "UV_LINK_MODE": "copy"}


def translate(image: _Image) -> Recipe:
    """What ``image`` is to be made of. Raises CannotBuild, with every layer that is not served; NotFound, BadInput for files."""
    if image.dockerfile is not None:
        raise CannotBuild(
            f"the image is made from a Dockerfile, {str(image.dockerfile)!r}, which this builder does not read",
            hint="say it in layers, on Image.from_debian_base() or from_base(…), or use flyte's own builder",
        )
    recipe, layers = _begun(image)
    ignore = _ignore(image._layers)  # noqa: SLF001 - builders have no other way
    problems = []
    for layer in layers:
        try:
            add_layer(recipe, layer, ignore)
        except CannotBuild as error:
            problems.append(error)
    if len(problems) > 1:
        raise CannotBuild("\n".join(map(str, problems)))
    if problems:
        raise problems[0]
    return recipe


def _begun(image: _Image) -> tuple[Recipe, Sequence[Any]]:
    """The recipe with its base, and the layers that are not part of that."""
    python = "{}.{}".format(*image.python_version)
    layers: Sequence[Any] = image._layers  # noqa: SLF001
    if released := _RELEASED.fullmatch(image.base_image or ""):
        recipe = Recipe(None, released["python"], [Stage(env=_ENV)])
        if released["flyte"] and not any(_brings_flyte(layer) for layer in layers):
            recipe.install([f"flyte=={released['flyte']}"], installing=Installing())
        return recipe, layers
    default = type(image).from_debian_base(python_version=image.python_version, install_flyte=False)
    given = default._layers  # noqa: SLF001
    if given and image.base_image == default.base_image and layers[: len(given)] == given:
        return Recipe(None, python, [Stage(env=_ENV, workdir=_workdir(given))]), layers[len(given) :]
    if not image.base_image:
        raise CannotBuild("the image has no base", hint="begin with Image.from_debian_base() or from_base(…)")
    return Recipe(image.base_image, python, [Stage(env=_ENV)]), layers


def _workdir(layers: Sequence[Any]) -> str:
    """Where flyte's own layers have tasks start: 2.0 says it in a line of a Dockerfile."""
    for layer in layers:
        if folder := getattr(layer, "workdir", None):
            return str(folder)
        for line in getattr(layer, "lines", ()):
            if line.startswith("WORKDIR "):
                return str(line.removeprefix("WORKDIR ").strip())
    return HOME


def _brings_flyte(layer: Any) -> bool:
    """Whether ``layer`` is a lock that has flyte: its version is the one that stays."""
    lock = getattr(layer, "uvlock", None) or getattr(layer, "poetry_lock", None)
    return lock is not None and re.search(r'^name = "flyte"$', _text(lock), re.MULTILINE) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""  # which whoever reads the lock tells


def _ignore(layers: Sequence[Any]) -> DockerIgnore:
    """The rules for all files that are copied: those of the last layer that names some, or of the root folder."""
    named = [layer.path for layer in layers if type(layer).__name__ == "DockerIgnore" and layer.path.strip()]
    if named:
        try:
            return read_dockerignore(Path(named[-1]))
        except TaskImageError as error:
            error.message = f"the layer DockerIgnore: {error.message}"
            raise
    from flyte._initialize import _get_init_config

    config = _get_init_config()
    path = Path(config.root_dir, ".dockerignore") if config and config.root_dir else None
    return read_dockerignore(path) if path and path.is_file() else DockerIgnore()
