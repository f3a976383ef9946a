"""What flytekit keeps outside the program: the images of its configuration files, and its own image."""

from __future__ import annotations

import configparser
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskimage.model.errors import BadInput, ImageWarning, NotFound, WrongType
from taskimage.model.shown import shown

__all__ = ["configured_images", "default_image"]


def default_image() -> str:
    """The identifier of flytekit's own image: ``FLYTE_INTERNAL_IMAGE``, or the one for this Python and flytekit."""
    internal = os.environ.get("FLYTE_INTERNAL_IMAGE")
    if internal:
        return internal
    from importlib.metadata import PackageNotFoundError, version

    try:
        flytekit = version("flytekit")
    except PackageNotFoundError:
        flytekit = "dev"
    suffix = "latest" if "dev" in flytekit else flytekit
    return f"cr.flyte.org/flyteorg/flytekit:py{sys.version_info.major}.{sys.version_info.minor}-{suffix}"


def configured_images(config_file: Any = None) -> dict[str, str]:
    """The section ``images`` of flytekit's configuration: identifiers by name; empty when there is no such file.

    Args:
        config_file: A path, or a ConfigFile of flytekit's; when it is None, the first that exists of: the file that
            ``FLYTECTL_CONFIG`` names, ``flytekit.config``, ``~/.flyte/config``, ``~/.flyte/config.yaml``. A file is
            YAML by the end of its name, and an ini file otherwise, whose names are in lower case.

    Raises:
        NotFound: When a YAML ``config_file`` is not there.
        BadInput: When a file cannot be read.
        WrongType: When ``config_file`` is neither, or the file has something else than identifiers by name.
    """
    found = _usual_file() if config_file is None else config_file
    if found is None:
        return {}
    if isinstance(found, (str, os.PathLike)):
        path = Path(found)
        where = str(path)
        yaml = path.name.endswith(("yaml", "yml"))
        images = _yaml_images(_read_yaml(path)) if yaml else _ini_images(_read_ini(path), where)
    elif hasattr(found, "legacy_config"):
        where, ini = "config_file", found.legacy_config
        images = _ini_images(ini, where) if ini else _yaml_images(found.yaml_config)
    else:
        raise WrongType(f"cannot read flytekit's configuration from {shown(found)}; wanted a path")
    return _identifiers(images, where=f"{where}: images")


def _usual_file() -> Path | None:
    # pyflyte's own override wins even when it is empty.
    named = os.environ.get("_FLYTECTL_CONFIG_PYFLYTE_OVERRIDE", os.environ.get("FLYTECTL_CONFIG"))
    if named and not Path(named).exists():
        warnings.warn(f"FLYTECTL_CONFIG names {named!r}, which is not there", ImageWarning, stacklevel=4)
    home = Path.home() / ".flyte"
    usual = (Path("flytekit.config"), home / "config", home / "config.yaml")
    return next((path for path in ((Path(named),) if named else ()) + usual if path.exists()), None)


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        with path.open(encoding="utf-8") as file:
            return yaml.safe_load(file)
    except FileNotFoundError as error:
        raise NotFound("flytekit's configuration is not there", where=str(path)) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"cannot read flytekit's configuration: {error}", where=str(path)) from error


def _read_ini(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    try:
        if not parser.read(path, encoding="utf-8"):
            warnings.warn(f"flytekit's configuration {str(path)!r} is not there", ImageWarning, stacklevel=4)
    except (OSError, ValueError, configparser.Error) as error:
        raise BadInput(f"cannot read flytekit's configuration: {error}", where=str(path)) from error
    if parser.has_section("internal"):
        raise BadInput(
            "flytekit's configuration has a section [internal], which is kept for itself", where=str(path)
        )
    return parser


def _yaml_images(document: Any) -> Any:
    images = document.get("images") if isinstance(document, Mapping) else document
    return {} if images is None else images


def _ini_images(parser: configparser.ConfigParser, where: str) -> dict[str, str]:
    if not parser.has_section("images"):
        return {}
    try:
        return {name: parser.get("images", name) for name in parser.options("images")}
    except configparser.Error as error:
        raise BadInput(f"cannot read flytekit's configuration: {error}", where=where) from error


def _identifiers(images: Any, *, where: str) -> dict[str, str]:
    if not isinstance(images, Mapping):
        raise WrongType(f"found {shown(images)}; wanted identifiers by the names of images", where=where)
    for name, identifier in images.items():
        if not (isinstance(name, str) and isinstance(identifier, str)):
            raise WrongType(
                f"image {shown(name)} is {shown(identifier)}; wanted a name and an identifier", where=where
            )
    return dict(images)
