"""Run inside an environment with flytekit: for each line of JSON that asks for something, a line with the answer.

A description of a spec is answered with its names, and rules of a ``.dockerignore`` with the paths that they leave out.
"""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import yaml
from flytekit.constants import CopyFileDetection
from flytekit.image_spec import ImageSpec
from flytekit.tools.ignore import DockerIgnore


def made(described: dict[str, Any]) -> ImageSpec:
    """The spec of ``fields``, or of the YAML text ``yaml``, after ``calls`` of its methods."""
    if "yaml" in described:
        spec = ImageSpec(**yaml.safe_load(described["yaml"]))
    else:
        fields = dict(described["fields"])
        if "source_copy_mode" in fields:
            fields["source_copy_mode"] = CopyFileDetection[fields["source_copy_mode"]]
        if isinstance(fields.get("base_image"), dict):
            fields["base_image"] = made(fields["base_image"])
        spec = ImageSpec(**fields)
    for method, arguments in described.get("calls", ()):
        spec = getattr(spec, method)(*arguments)
    return spec


def named(described: dict[str, Any]) -> dict[str, Any]:
    os.chdir(described["folder"])
    for name, path in described.get("modules", {}).items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__file__ = path
    try:
        spec = made(described)
        return {"id": spec.id, "tag": spec.tag, "image_name": spec.image_name()}
    finally:
        os.chdir(Path(__file__).parent)
        for name in described.get("modules", ()):
            del sys.modules[name]


def ignored(folder: str, paths: list[str]) -> list[str]:
    rules = DockerIgnore(Path(folder))
    return [path for path in paths if rules.is_ignored(path)]


def answered(asked: dict[str, Any]) -> dict[str, Any]:
    if "paths" in asked:
        return {"ignored": ignored(asked["folder"], asked["paths"])}
    return named(asked)


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            answer = answered(json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)  # noqa: T201
