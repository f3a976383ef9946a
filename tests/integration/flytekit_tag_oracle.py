"""Run inside an environment with flytekit: names the specs that standard input lists, as flytekit does."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from flytekit.image_spec import ImageSpec
from flytekit.image_spec.default_builder import create_docker_context


def named(folder: str, file: str, *, with_files: bool) -> dict[str, Any]:
    os.chdir(folder)
    try:
        spec = ImageSpec(**yaml.safe_load(Path(file).read_text(encoding="utf-8")))
        names = {"id": spec.id, "tag": spec.tag, "image_name": spec.image_name()}
        return names | {"copied": copied(spec)} if with_files else names
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"error": f"{type(error).__name__}: {error}"}


def copied(spec: ImageSpec) -> list[tuple[str, bool]]:
    """The path below /root of each file that the default builder copies, and whether it is executable."""
    with tempfile.TemporaryDirectory() as context:
        create_docker_context(spec, Path(context))
        tops = [(Path(context, name), Path(context)) for name in spec.copy or ()]
        if spec.source_copy_mode is not None:
            tops.append((Path(context, "src"), Path(context, "src")))
        files = [
            (path, root)
            for top, root in tops
            for path in ([top] if top.is_file() else sorted(top.rglob("*")))
        ]
        return sorted(
            {
                (str(path.relative_to(root)), os.access(path, os.X_OK))
                for path, root in files
                if path.is_file()
            }
        )


if __name__ == "__main__":
    json.dump(
        [named(folder, file, with_files=with_files) for folder, file, with_files in json.load(sys.stdin)],
        sys.stdout,
    )
