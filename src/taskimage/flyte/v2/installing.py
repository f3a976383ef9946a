"""How flyte's layers of Python packages are installed: indexes, options, and the secrets in their addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taskimage.flyte.v2.recipe import Installing, Recipe
from taskimage.model.errors import BadInput, NotFound

__all__ = ["installing"]

_VARIABLE = re.compile(r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})")
_SECRETS = Path("/etc/secrets")


def installing(layer: Any, recipe: Recipe, words: str = "") -> Installing:
    """What ``layer`` says of it, and ``words`` in front; an address may name variables, and secrets are variables.

    flyte's own builder hands the addresses to a shell, and secrets as variables of that; no package that is
    installed here runs, so that nothing else could read them. Raises NotFound for a secret that is nowhere.
    """
    known = {**recipe.env, **dict(_secrets(layer.secret_mounts or ()))}
    index = getattr(layer, "index_url", None)
    extra = getattr(layer, "extra_index_urls", None) or ()
    parts = (words, "--pre" if getattr(layer, "pre", False) else "", layer.extra_args or "")
    return Installing(
        index=_filled(index, known) if index else None,
        extra_indexes=tuple(_filled(url, known) for url in extra),
        words=" ".join(filter(None, parts)),
    )


def _secrets(mounts: Any) -> Iterator[tuple[str, str]]:
    """Every name of each secret, and its value, from where flyte's own builder has it."""
    for mount in mounts:
        parts = (None, mount) if isinstance(mount, str) else (mount.group, mount.key)
        name = "_".join(filter(None, parts))
        path = _SECRETS / name
        value = os.environ.get(name.upper()) or (path.read_text().strip() if path.is_file() else None)
        if value is None:
            raise NotFound(
                f"the secret {name!r} is neither the variable {name.upper()} nor the file {str(path)!r}",
                hint=f"set {name.upper()} where the image is built",
            )
        yield name, value
        yield name.upper(), value
        if variable := getattr(mount, "as_env_var", None):
            _check_seen(variable, name)
            yield variable, value


def _check_seen(variable: str, name: str) -> None:
    """uv, which would see it there, runs on this machine."""
    if variable.startswith("UV_") and variable not in os.environ:
        raise BadInput(
            f"the secret {name!r} is for uv as {variable}, which is not set here",
            hint=f"set {variable} where the image is built",
        )


def _filled(url: str, known: Mapping[str, str]) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match["name"] or match["braced"]
        if name not in known:
            raise BadInput(
                f"an index address names the variable {name}, which nothing gives a value",
                hint=f"mount it: secret_mounts=[flyte.Secret(key={name!r})]",
            )
        return known[name]

    return _VARIABLE.sub(value_of, url)
