"""``examples/flyte``, as its README says: run here, packaged with images, and each task run in its own.

PyPI and Debian's archives are the real ones, and so are flytekit and the registry, which is on loopback.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import ROOT
from tests.dockerregistry import docker_registry
from tests.flytekits import VERSIONS, Project, install

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="the example is for linux/amd64"
    ),
]

EXAMPLE = ROOT / "examples" / "flyte"
DRIVER = Path(__file__).with_name("flyte_example_driver.py")
PACKAGED = "package.tgz"

# Graphviz as a program of this machine: the one in the image of the report.
_DOT = """\
#!/bin/sh
exec taskimage run --quiet {image} -- dot "$@"
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The example's folder with the package that its README has `pyflyte` write."""
    folder = tmp_path_factory.mktemp("flyte-example")
    packages = ("pandas==2.2.3", "pyarrow==18.1.0", "scikit-learn==1.5.2")
    flytekit = install(VERSIONS[-1], folder / "venv", *packages)
    shutil.copytree(EXAMPLE, folder / "project")
    (folder / "registry").mkdir()
    with docker_registry(folder / "registry") as registry:
        environ = {
            "PATH": f"{folder / 'bin'}:{folder / 'venv' / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "TASKIMAGE_HOME": str(folder / "home"),
            "TASKIMAGE_REGISTRY": f"{registry.host}/team",
        }
        project = Project(flytekit, folder / "project", environ)
        project.succeed(
            "pyflyte", "--pkgs", "workflows", "package", "--image", "report=report.yaml", "--output", PACKAGED
        )
        yield project


def images(project: Project) -> dict[str, str]:
    """The image of each task, by the last part of the task's name."""
    found = project.images(project.folder / PACKAGED)
    return {name.rpartition(".")[2].partition("_")[0]: image for name, image in found.items()}


def test_every_task_is_packaged_with_the_digest_of_its_image(example: Project) -> None:
    found = images(example)
    registry = example.environ["TASKIMAGE_REGISTRY"]
    named = {task: image.partition("@")[0].removeprefix(f"{registry}/") for task, image in found.items()}
    assert named == {
        "measure": "tables", "trial": "training", "map": "training", "fit": "training", "draw": "report",
    }  # fmt: skip
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in found.values())
    assert found["trial"] == found["map"] == found["fit"]


def test_the_workflow_runs_with_every_task_in_its_image(example: Project) -> None:
    """Commands, bindings and defaults are those of the package; what tasks hand on are Flyte's literals in files."""
    data = example.folder.parent / "data"
    data.mkdir()
    said = json.loads(example.succeed("python", str(DRIVER), PACKAGED, str(data), "/data"))
    assert said["ran"] == ["n0", "n1-0", "n1-1", "n1-2", "n2", "n3"], (
        "the map task runs for each of three depths"
    )
    picture = data / Path(said["outputs"]["o0"]).relative_to("/data")
    assert "insulated" in picture.read_text()
    assert "</svg>" in picture.read_text()


def test_the_workflow_runs_here_as_it_is(example: Project) -> None:
    dot = example.folder.parent / "bin" / "dot"
    dot.parent.mkdir()
    dot.write_text(_DOT.format(image=images(example)["draw"]))
    dot.chmod(0o755)
    picture = Path(
        example.succeed("pyflyte", "run", "workflows/train.py", "train", "--count", "60").split()[-1]
    )
    assert "insulated" in picture.read_text()
