"""Our values become flytekit's and come back: images, their configuration and specs."""

from __future__ import annotations

import json

import pytest
from tests.flytekits import Project

pytestmark = pytest.mark.integration

_CONFIGURATION = """\
import flytekit.configuration as theirs
from taskimage import Image, ImageConfig
from taskimage.flyte import from_flytekit, to_flytekit

digest = "sha256:" + "0a" * 32
images = [Image("default", "h/a", tag="v1"), Image("pinned", "h:5000/b", digest=digest), Image("bare", "h/c")]
configs = [ImageConfig(), ImageConfig(images[0], images), ImageConfig.create_from(None, images[:1])]
for value in (*images, *configs):
    there = to_flytekit(value)
    assert type(there).__module__ == "flytekit.configuration", there
    assert there.to_dict() == value.to_dict()
    assert from_flytekit(there) == value

settings = theirs.SerializationSettings(image_config=to_flytekit(configs[1]), project="p", domain="d", version="v")
back = theirs.SerializationSettings.from_json(settings.to_json())
assert from_flytekit(back.image_config) == configs[1]
again = theirs.SerializationSettings.from_transport(settings.serialized_context)
assert from_flytekit(again.image_config) == configs[1]
print("done")
"""

_SPECS = """\
import dataclasses
from flytekit import ImageSpec as Theirs, task
from flytekit.constants import CopyFileDetection as TheirMode
from taskimage import ImageSpec
from taskimage.flyte import from_flytekit, to_flytekit
from taskimage.model.spec.copymode import CopyFileDetection

below = ImageSpec(name="below", builder="taskimage", packages=["a"], platform="linux/amd64")
specs = [
    ImageSpec(builder="default", platform="linux/amd64"),
    ImageSpec(
        name="App", builder="taskimage", python_version="3.11", env={"A": "1"}, registry="localhost:5000",
        packages=["numpy==2.1"], conda_packages=["x"], conda_channels=["y"], apt_packages=["git"], cuda="12",
        cudnn="8", base_image=below, platform="linux/amd64,linux/arm64", pip_index="https://example.org",
        pip_extra_index_url=["https://example.org/a"], pip_secret_mounts=[(".netrc", "/root/.netrc")],
        pip_extra_args="--pre", entrypoint=[], commands=["true"], tag_format="{spec_hash}-dev", source_root="/",
        source_copy_mode=CopyFileDetection.NO_COPY, python_exec="/usr/bin/python3", runtime_packages=["b"],
        builder_options={"taskimage": {"waive_scripts": ["x"]}},
    ),
    ImageSpec(name="forced", builder="taskimage", platform="linux/amd64").force_push(),
]
for spec in specs:
    there = to_flytekit(spec)
    assert (there.id, there.tag) == (spec.id, spec.tag)
    back = from_flytekit(there)
    assert (back, back.forced, back.id) == (spec, spec.forced, spec.id)
assert to_flytekit(specs[1]).source_copy_mode is TheirMode.NO_COPY
assert to_flytekit(ImageSpec()).builder == "taskimage"


@task(container_image=to_flytekit(specs[0]))
def one() -> None: ...


read = Theirs(name="a", python_version=3.1, env={"N": 1, "Y": True}, base_image={"name": "b", "python_version": 3.12})
meant = from_flytekit(read)
assert (meant.python_version, meant.env, meant.base_image.python_version) == ("3.10", {"N": "1", "Y": "True"}, "3.12")
more = from_flytekit(Theirs(name="a", packages=["a"]).with_packages("b").with_apt_packages(["c"]).with_copy("d"))
assert (more.packages, more.apt_packages, more.copy) == (("a", "b"), ("c",), ("d",))
print("done")
"""

_FILES = """\
import os
from taskimage import BadInput, ImageSpec
from taskimage.flyte import to_flytekit
spec = to_flytekit(ImageSpec.from_yaml("sub/image.yaml"))
print(os.path.relpath(spec.requirements), spec.registry_config, spec.tag is not None)
try:
    to_flytekit(ImageSpec.from_yaml("sub/copying.yaml"))
except BadInput as error:
    print(error.hint)
"""

_REFUSED = """\
from flytekit import ImageSpec
from taskimage.flyte import from_flytekit, to_flytekit
for convert, value in ((to_flytekit, "h/a:v1"), (from_flytekit, {"name": "a"}), (from_flytekit, ImageSpec(python_version="2.7"))):
    try:
        convert(value)
    except Exception as error:
        print(type(error).__name__, isinstance(error, (TypeError, ValueError)))
"""


@pytest.mark.parametrize("program", [_CONFIGURATION, _SPECS], ids=["configuration", "specs"])
def test_there_and_back(project: Project, program: str) -> None:
    assert project.python(program) == "done"


def test_a_spec_from_a_file_names_what_is_beside_it(project: Project) -> None:
    """flytekit looks in the working directory: paths become those from there, and what cannot is refused."""
    project.write("sub/needed.txt", "numpy\n")
    project.write("sub/image.yaml", json.dumps({"name": "a", "requirements": "needed.txt"}))
    project.write("sub/copying.yaml", json.dumps({"name": "a", "copy": ["needed.txt"]}))
    assert project.python(_FILES).splitlines() == ["sub/needed.txt None True", "change to its folder"]


def test_other_values_are_refused(project: Project) -> None:
    assert project.python(_REFUSED).splitlines() == ["WrongType True", "WrongType True", "InvalidSpec True"]
