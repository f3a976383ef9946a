"""What `Image.look_up_image_info` does with a YAML file: the image is built, and pinned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from taskimage.model.errors import MissingSpec
from taskimage.model.image import Image

__all__ = ["image_from_yaml"]


def image_from_yaml(name: str, path: Path) -> Image:
    """The image of the spec in the file ``path``, built where it has to be, under the name ``name``."""
    if not path.is_file():
        raise MissingSpec(
            f"cannot look up {str(path)!r}: there is no such file; wanted a spec's YAML file",
            hint="an image identifier has a tag or digest: repository:tag",
        )
    from taskimage.verbs.fleet import build

    return dataclasses.replace(build(path).image, name=name)
