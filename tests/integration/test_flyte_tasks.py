"""Tasks run in the images that flytekit built with us: started as a cluster starts them, from what was registered.

Everything is real but the cluster: flytekit, the packages, the registry. What a cluster does, which is to fill in the
places of a container's words and to lay out inputs, is done here.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.command import Command
from tests.dockerregistry import docker_registry
from tests.flytekits import Flytekit, Project, Task
from tests.folders import remove

pytestmark = pytest.mark.integration

# Two images, one on top of the other, beside one that has nothing to do with them.
_FLOW = """\
import os
from typing import List
from flytekit import ImageSpec, dynamic, map_task, task, workflow

common = {{"registry": "{registry}", "builder": "taskimage", "platform": "linux/amd64"}}
below = ImageSpec(name="below", packages=["idna==3.10"], **common)
above = ImageSpec(name="above", packages=["six==1.17.0"], base_image=below, **common)
aside = ImageSpec(name="aside", packages=["iniconfig==2.1.0"], **common)


@task(container_image=below)
def encode(text: str) -> str:
    import idna
    assert below.is_container() and not above.is_container()
    assert (os.getuid(), os.getcwd()) == (1000, "/root")
    return idna.encode(text).decode()


@task(container_image=above)
def both(text: str) -> str:
    import idna, six
    assert above.is_container() and not below.is_container()
    return six.ensure_str(idna.encode(text))


@task(container_image=aside)
def measure(text: str) -> int:
    import iniconfig
    assert aside.is_container()
    return len(text)


@dynamic(container_image=below)
def many(texts: List[str]) -> List[int]:
    return [measure(text=both(text=text)) for text in texts]


@workflow
def flow(text: str = "ä") -> int:
    return measure(text=encode(text=text))


@workflow
def mapped(texts: List[str] = ["a"]) -> List[int]:
    return map_task(measure)(text=texts)
"""

_TEMPLATES = """\
from flytekit import task


@task
def unnamed() -> None: ...


@task(container_image="{{.image.xgb}}")
def whole() -> None: ...


@task(container_image="{{.image.xgb.fqn}}:{{.image.xgb.version}}")
def parts() -> None: ...
"""

_SPEC = """\
name: {name}
registry: {registry}
builder: taskimage
python_version: 3.11
platform: linux/amd64
packages: [idna==3.10]
builder_options: {{taskimage: {{runtime: none, bytecode: false}}}}
"""

_PACKAGE = ("--pkgs", "wf", "package", "-f", "-o")
_PINNED = re.compile(r"127\.0\.0\.1:\d+/(\w+)@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class World:
    """A project of one flytekit, and what was made of its workflows: a package, and one for fast registration."""

    project: Project
    registry: str
    tasks: Mapping[str, Task]
    fast: Mapping[str, Task]
    sources: Path

    def run(self, task: Task, folder: Path, inputs: Mapping[str, Any], **environ: str) -> None:
        """Start the container of a task, with ``folder`` as what the cluster's storage is."""
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)  # the container's user is another one
        self.project.write_inputs(folder / "inputs.pb", inputs)
        shutil.copy(self.sources, folder / "sources.tar.gz")
        words = [word for pair in {**task.environ, **environ}.items() for word in ("-e", "=".join(pair))]
        command = Command(Path(self.project.environ["TASKIMAGE_HOME"]))
        command.succeed(
            "run", "-q", "-v", f"{folder}:/data", *words, task.image, "--", *_filled_in(task.words)
        )

    def result(self, task: Task, folder: Path, **inputs: Any) -> Any:
        """The one output of a task."""
        self.run(task, folder, inputs)
        return self.project.read_outputs(folder / "outputs.pb")["o0"]


def _filled_in(words: Sequence[str]) -> list[str]:
    """The words with what a cluster puts in the places of each."""
    places = {
        "input": "/data/inputs.pb",
        "outputPrefix": "/data",
        "rawOutputDataPrefix": "/data/raw",
        "checkpointOutputPrefix": "/data/checkpoint",
        "prevCheckpointPrefix": '""',
        "remote_package_path": "/data/sources.tar.gz",
    }
    return [re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda place: places[place[1]], word) for word in words]


def _short(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks by the names of their functions, and that of the map task as ``map``."""
    return {name.rpartition(".")[2] if "map" not in name else "map": task for name, task in tasks.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of all versions, which have nearly every package in common."""
    return tmp_path_factory.mktemp("tasks") / "home"


@pytest.fixture(scope="module")
def world(
    flytekit_installed: Flytekit, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    project = Project(flytekit_installed, folder, {**os.environ, "TASKIMAGE_HOME": str(home)})
    (folder / "registry").mkdir()
    with docker_registry(folder / "registry") as registry:
        project.write("wf/__init__.py", "")
        project.write("wf/flow.py", _FLOW.format(registry=registry.host))
        project.succeed("pyflyte", *_PACKAGE, "package.tgz")
        project.succeed("pyflyte", *_PACKAGE, "fast.tgz", "--copy", "all")
        with tarfile.open(folder / "fast.tgz") as tar:
            (name,) = (name for name in tar.getnames() if name.endswith(".tar.gz"))
            tar.extract(name, folder, filter="data")
        yield World(
            project,
            registry.host,
            _short(project.tasks(folder / "package.tgz")),
            _short(project.tasks(folder / "fast.tgz")),
            folder / name,
        )
    remove(folder)
    remove(home / "roots")


# -- what is registered --------------------------------------------------------------------------------------


def test_each_task_has_the_digest_of_its_own_image(world: World) -> None:
    """With the sources in the image, and without for fast registration."""
    for tasks in (world.tasks, world.fast):
        found = {name: _PINNED.fullmatch(task.image) for name, task in tasks.items()}
        assert {name: image and image[1] for name, image in found.items()} == {
            "encode": "below", "both": "above", "measure": "aside", "many": "below", "map": "aside",
        }  # fmt: skip
    images = [{task.image for task in tasks.values()} for tasks in (world.tasks, world.fast)]
    assert not images[0] & images[1]


def test_every_command_names_the_images_that_there_are(world: World) -> None:
    """None of them builds or sends anything again."""
    project = world.project
    (project.folder / "out").mkdir()
    (project.folder / "fast").mkdir()
    register = ("register", "--dry-run", "-p", "p", "-d", "d", "-v", "v1", "--copy", "none", "wf")
    said = ""
    for words, tasks in (
        (("--pkgs", "wf", "serialize", "workflows", "-f", "out"), world.tasks),
        (("--pkgs", "wf", "serialize", "fast", "workflows", "-f", "fast"), world.fast),
        ((*_PACKAGE, "again.tgz"), world.tasks),
        (register, world.tasks),
        (("build", "wf/flow.py", "flow"), world.tasks),
        (("build", "--fast", "wf/flow.py", "flow"), world.fast),
    ):
        done = project("pyflyte", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        named = {line.split()[-1] for line in done.stderr.splitlines() if line.startswith("nothing to do: ")}
        everything = {task.image for task in tasks.values()}
        assert named == everything or ("build" in words and named < everything)
        said += done.stderr
    assert not re.search(r"^(built|Making|Moving|Resolving)", said, re.MULTILINE)
    for path, tasks in (("out", world.tasks), ("fast", world.fast), ("again.tgz", world.tasks)):
        images = {name: task.image for name, task in _short(project.tasks(project.folder / path)).items()}
        assert images == {name: task.image for name, task in tasks.items()}


@pytest.mark.parametrize("options", [(), ("--copy", "all")])
def test_files_of_yaml_are_images_by_a_name_and_by_default(
    world: World, options: Sequence[str], tmp_path: Path
) -> None:
    """Whichever template a task has, with one of which flytekit before 1.16.24 would make a name that cannot be."""
    project = Project(world.project.flytekit, tmp_path, world.project.environ)
    project.write("wf/__init__.py", "")
    project.write("wf/templates.py", _TEMPLATES)
    for name in ("standard", "boosted"):
        project.write(f"{name}.yaml", _SPEC.format(name=name, registry=world.registry))
    images = ("--image", "standard.yaml", "--image", "xgb=boosted.yaml")
    project.succeed("pyflyte", *_PACKAGE, "p.tgz", *images, *options)
    tasks = _short(project.tasks(tmp_path / "p.tgz"))
    found = {name: _PINNED.fullmatch(task.image) for name, task in tasks.items()}
    assert {name: image and image[1] for name, image in found.items()} == {
        "unnamed": "standard", "whole": "boosted", "parts": "boosted",
    }  # fmt: skip
    assert tasks["whole"].image == tasks["parts"].image


# -- what runs -----------------------------------------------------------------------------------------------


def test_a_workflow_s_tasks_run_each_in_its_own_image(world: World, tmp_path: Path) -> None:
    encoded = world.result(world.tasks["encode"], tmp_path / "encode", text="bücher")
    assert encoded == "xn--bcher-kva"
    assert world.result(world.tasks["measure"], tmp_path / "measure", text=encoded) == len(encoded)


def test_a_task_runs_in_an_image_on_an_image(world: World, tmp_path: Path) -> None:
    assert world.result(world.tasks["both"], tmp_path / "both", text="bücher") == "xn--bcher-kva"


def test_a_task_runs_with_the_sources_of_a_fast_registration(world: World, tmp_path: Path) -> None:
    task = world.fast["encode"]
    assert task.words[0] == "pyflyte-fast-execute"
    assert world.result(task, tmp_path / "encode", text="bücher") == "xn--bcher-kva"


def test_an_element_of_a_map_task_runs(world: World, tmp_path: Path) -> None:
    index = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "INDEX", "INDEX": "1"}
    world.run(world.tasks["map"], tmp_path, {"text": ["a", "four"]}, **index)
    (outputs,) = tmp_path.rglob("outputs.pb")
    assert world.project.read_outputs(outputs) == {"o0": 4}


def test_a_dynamic_task_names_the_digests_of_its_registration(world: World, tmp_path: Path) -> None:
    """What it starts has the images that its own registration found, though the specs are read anew there.

    But for one: flytekit writes the folder of the sources into a spec that a task has for its image. One that stands on
    it has another id then than where the task runs, unless the registration is fast.
    """
    for name, tasks, started in (
        ("many", world.tasks, {"measure"}),
        ("fast", world.fast, {"measure", "both"}),
    ):
        world.run(tasks["many"], tmp_path / name, {"texts": ["ä", "ö"]})
        named = _short(world.project.tasks(tmp_path / name / "futures.pb"))
        assert named.keys() == {"measure", "both"}
        assert {each: named[each].image for each in started} == {each: tasks[each].image for each in started}
