"""Run by the Python of a venv that has flyte: what the builder makes of images, as JSON, one line each.

Reads Python expressions, a line each, in which ``Image`` is flyte's, ``debian`` its default base, and ``clone`` adds a layer.
"""

import dataclasses
import functools
import json
import sys
from pathlib import Path
from typing import Any

import flyte
from flyte import Image, Secret, _image

from taskimage.flyte.v2.naming import Name
from taskimage.flyte.v2.orders import ordered
from taskimage.flyte.v2.translation import translate
from taskimage.model.errors import TaskImageError
from taskimage.verbs.prepare import Order


@dataclasses.dataclass(frozen=True)
class FromTomorrow(_image.Layer):  # type: ignore[misc, unused-ignore]
    """A layer that no version has."""

    def update_hash(self, hasher: Any, ignore: Any = None) -> None:
        hasher.update(b"tomorrow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AptPackages(_image.AptPackages):  # type: ignore[misc]
    """A layer that says more than any version does."""

    suite: str = ""


debian = Image.from_debian_base(install_flyte=False, name="demo", registry="127.0.0.1:5000")
names = {**vars(_image), "reduce": functools.reduce, "flyte": flyte, "Image": Image, "Secret": Secret, "Path": Path, "debian": debian,
         "FromTomorrow": FromTomorrow, "MoreApt": AptPackages, "clone": lambda layer: debian.clone(addl_layer=layer)}  # fmt: skip


def stages(image: Any) -> list[dict[str, Any]]:
    """The stages of ``image``, lowest first, by what each says."""
    recipe = translate(image)
    name = Name.of(image, registry=None)
    order: Order | None = ordered(recipe, name=name, platforms=image.platform)
    found: list[dict[str, Any]] = []
    while order is not None:
        spec, files = order.loaded.spec, order.files
        found.insert(0, {
            "python": spec.python_version, "base": None if order.base else spec.base_image,
            "packages": spec.packages, "apt": spec.apt_packages, "env": dict(spec.env or {}),
            "commands": spec.commands, "index": spec.pip_index, "extra": spec.pip_extra_index_url,
            "words": spec.pip_extra_args, "requirements": [file.name for file in files.requirements],
            "files": [f"/{file.path}" for file in files.source.files],
            "folders": [f"/{path}" for path in files.source.directories],
            "command_env": None if order.command_env is None else dict(order.command_env),
            "workdir": order.conventions.workdir, "name": f"{order.fqn}:{order.tag}",
        })  # fmt: skip
        order = order.base
    return found


for line in sys.stdin:
    try:
        answer: dict[str, Any] = {"stages": stages(eval(line, names))}  # noqa: S307 - of the test
    except TaskImageError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
