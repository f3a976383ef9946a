"""What each layer of flyte's adds to a recipe, by the name of its type; one that is not known here is an error."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from taskimage.adapters.specfiles.requirementsfile import RequirementsFile, read_requirements
from taskimage.flyte.v2.copied import copied_file, copied_folder, loaded_modules
from taskimage.flyte.v2.installing import installing
from taskimage.flyte.v2.recipe import Recipe
from taskimage.flyte.v2.script import ScriptMetadata
from taskimage.model.errors import CannotBuild
from taskimage.model.shown import shown
from taskimage.transform.dockerignore import DockerIgnore

__all__ = ["add_layer"]

_Layer: TypeAlias = Any
_Add: TypeAlias = Callable[[Recipe, _Layer, DockerIgnore], None]

_PROJECT_HINT = (
    'leave project_install_mode at "dependencies_only", and add the code with with_source_folder, or the project'
    " as a wheel of an index"
)
# What decides for uv which packages are installed, and is not asked here.
_OF_UV = (
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "PIP_INDEX",
    "PIP_EXTRA",
)


def add_layer(recipe: Recipe, layer: _Layer, ignore: DockerIgnore) -> None:
    """``recipe`` gets what ``layer`` stands for; files that ``ignore`` says are left out.

    Raises CannotBuild, which names the layer, for one that this builder does not serve; NotFound, BadInput for files.
    """
    name = type(layer).__name__
    if name in _REFUSED:
        message, hint = _REFUSED[name]
        raise CannotBuild(f"the layer {name} {message}", hint=hint)
    if name not in _LAYERS:
        known = ", ".join(sorted(_LAYERS))
        raise CannotBuild(f"the layer {name} is not known to this builder, which knows {known}")
    add, fields = _LAYERS[name]
    for field in _said(layer):
        if field not in fields:
            value = shown(getattr(layer, field), longest=80)
            raise CannotBuild(f"the layer {name} has {field}={value}, which this builder does not serve")
    add(recipe, layer, ignore)


def _said(layer: _Layer) -> list[str]:
    """The fields of ``layer`` that say something: those of a newer flyte are among them once somebody uses them."""
    said = []
    for field in dataclasses.fields(layer):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if field.init and getattr(layer, field.name) not in (default, None):
            said.append(field.name)
    return said


# -- Python packages -------------------------------------------------------------------------------------------


def _pip_packages(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    _check_env(recipe)
    recipe.install(layer.packages or (), installing=installing(layer, recipe))


def _requirements(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    _check_env(recipe)
    recipe.install(layer.packages or (), _files(layer.file), installing=installing(layer, recipe))


def _uv_project(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    _check_env(recipe)
    _check_mode(layer)
    recipe.install((), _project(layer.pyproject, layer.uvlock), installing=installing(layer, recipe))


def _poetry_project(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    _check_mode(layer)
    recipe.install((), _project(layer.pyproject, layer.poetry_lock), installing=installing(layer, recipe))


def _uv_script(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    _check_env(recipe)
    script = ScriptMetadata.read(layer.script)
    _check_python(recipe, script, layer.script)
    if sources := script.tool.get("uv", {}).keys() - {"exclude-newer"}:
        raise CannotBuild(
            f"the script says {', '.join(sorted(sources))} to uv, which this builder does not serve",
            where=str(layer.script),
            hint="name indexes in from_uv_script(index_url=…)",
        )
    newest = script.tool.get("uv", {}).get("exclude-newer")
    words = f"--exclude-newer {newest}" if newest else ""
    recipe.install(script.dependencies, installing=installing(layer, recipe, words))


def _check_python(recipe: Recipe, script: ScriptMetadata, path: Path) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(script.requires_python)
    except InvalidSpecifier as error:
        raise CannotBuild(f"requires-python is {script.requires_python!r}", where=str(path)) from error
    # A feature version stands for its newest patch, which alone is not known yet.
    if not (wanted.contains(recipe.python) or wanted.contains(f"{recipe.python}.99")):
        raise CannotBuild(
            f"the script needs Python {script.requires_python}, and the image has {recipe.python}",
            where=str(path),
            hint="name another: from_uv_script(python_version=(3, …))",
        )


def _check_mode(layer: _Layer) -> None:
    mode = layer.project_install_mode
    if mode != "dependencies_only":
        raise CannotBuild(
            f"the layer {type(layer).__name__} has project_install_mode={mode!r}: nothing is built of sources",
            where=str(layer.pyproject),
            hint=_PROJECT_HINT,
        )


def _check_env(recipe: Recipe) -> None:
    """What earlier layers say to uv with variables decides what it installs: honoured it is not, and ignored neither."""
    for name in recipe.env:
        if name.startswith(_OF_UV):
            raise CannotBuild(
                f"the variable {name} of an earlier layer decides where packages come from",
                hint="say it to the layer that installs them: index_url, extra_index_urls",
            )


def _files(path: Path) -> tuple[RequirementsFile, ...]:
    return read_requirements(Path(path).absolute(), name=str(path))


def _project(pyproject: Path, lock: Path | None) -> tuple[RequirementsFile, ...]:
    project = _files(pyproject)
    return (_files(lock)[0], *project) if lock else project


# -- the rest --------------------------------------------------------------------------------------------------


def _apt_packages(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    recipe.install_debian(layer.packages)


def _commands(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    for command in layer.commands:
        recipe.run(command)


def _workdir(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    recipe.enter(layer.workdir)


def _env(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    for name, value in layer.env_vars:
        recipe.set_env({name: value})


def _copy(recipe: Recipe, layer: _Layer, ignore: DockerIgnore) -> None:
    source, target = Path(layer.src), recipe.inside(layer.dst)
    if layer.path_type == 1:
        recipe.copy(copied_folder(source, target, ignore))
    else:
        # As COPY of a Dockerfile: a name that ends so is that of a folder, and so is one that is there.
        into = posixpath.basename(layer.dst) in {"", ".", ".."} or recipe.is_folder(target)
        recipe.copy(copied_file(source, target, into=into))


def _code_bundle(recipe: Recipe, layer: _Layer, _ignore: DockerIgnore) -> None:
    if layer.root_dir is None:
        raise CannotBuild(
            "the layer CodeBundleLayer has no root_dir: which code is meant is not known",
            hint="build the image with its environment: flyte.build_images, or flyte deploy --copy-style none",
        )
    recipe.copy(loaded_modules(Path(layer.root_dir), recipe.inside(layer.dst)))


def _nothing(_recipe: Recipe, _layer: _Layer, _ignore: DockerIgnore) -> None:
    """What is known before the first layer: it says something about all of them."""


_PIP: Final = frozenset({"index_url", "extra_index_urls", "pre", "extra_args", "secret_mounts"})
_LAYERS: Final[Mapping[str, tuple[_Add, Collection[str]]]] = {
    "PipPackages": (_pip_packages, _PIP | {"packages"}),
    "Requirements": (_requirements, _PIP | {"packages", "file"}),
    "UVProject": (_uv_project, _PIP | {"pyproject", "uvlock", "project_install_mode"}),
    "UVScript": (_uv_script, _PIP | {"script"}),
    "PoetryProject": (
        _poetry_project,
        {"pyproject", "poetry_lock", "extra_args", "secret_mounts", "project_install_mode"},
    ),
    "AptPackages": (_apt_packages, {"packages"}),
    "Commands": (_commands, {"commands"}),
    "WorkDir": (_workdir, {"workdir"}),
    "Env": (_env, {"env_vars"}),
    "CopyConfig": (_copy, {"path_type", "src", "dst"}),
    "CodeBundleLayer": (_code_bundle, {"copy_style", "dst", "root_dir"}),
    "DockerIgnore": (_nothing, {"path"}),
}
_ON_AN_INDEX: Final = "publish the wheel on an index, or name its address: with_pip_packages('NAME @ https://…/NAME-1.0-py3-none-any.whl')"
_OF_PIXI: Final = (
    "is not served: pixi's environments are pixi's own",
    "say with_pip_packages, with_uv_project or with_apt_packages, or begin with an image that pixi made: from_base",
)
_REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "PythonWheels": ("installs wheels of this disk, which are not served", _ON_AN_INDEX),
    "PixiProject": _OF_PIXI,
    "PixiScript": _OF_PIXI,
    "_DockerLines": (
        "has lines of a Dockerfile, and there is none",
        "say them with with_commands, with_env_vars",
    ),
}
