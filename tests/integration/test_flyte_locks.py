"""Specs in Python that real flytekits have: locked as `pyflyte` imports them, and built with their locks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.case import Case
from tests.flytekits import Project, image_spec

from taskimage.model.digest import Digest
from taskimage.model.lock import Lock
from taskimage.testing import Registry
from taskimage.verbs.lock import read_lock

pytestmark = pytest.mark.integration

_FLOW = """\
from flytekit import ContainerTask, ImageSpec, map_task, task, workflow
from wf.images import train


@task(container_image=train)
def fit(a: int) -> int:
    return a + 1


@task(container_image={inline})
def score(a: int) -> int:
    return a + 1


box = ContainerTask(name="box", image={box}, command=["true"])


@workflow
def flow() -> list[int]:
    fit(a=1)
    return map_task(score)(a=[1, 2])
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


def locks(project: Project) -> dict[str, Lock]:
    """Each lock of the project by its labels."""
    found = {}
    for path in (project.folder / ".taskimage").iterdir():
        lock = read_lock(path)
        assert lock is not None
        found[" ".join(lock.labels)] = lock
    return found


def written(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.folder / ".taskimage").iterdir()}


def images(project: Project, *options: str, **environ: str) -> dict[str, str]:
    """The image of each task that ``pyflyte package`` serializes."""
    project.succeed("pyflyte", "--pkgs", "wf", "package", "-f", "-o", "p.tgz", *options, **environ)
    return project.images(project.folder / "p.tgz")


def wheels(lock: Lock | None) -> list[str]:
    assert lock is not None
    return [pin.name for pin in lock.platforms[0].wheels]


@pytest.fixture
def workflows(standing: Project, registry: Registry) -> Project:
    """Specs in a variable, in tasks, below another one, and of another builder."""
    fields: dict[str, Any] = {"registry": registry.host, "builder": None}
    below = image_spec(name="below", **fields)
    train = image_spec(**{**fields, "packages": ["other"], "base_image": below})
    other = image_spec(**{**fields, "builder": "noop", "base_image": "ghcr.io/org/app:v1"})
    standing.write("wf/images.py", f"from flytekit import ImageSpec\n\ntrain = {train}\nelse_ = {other}\n")
    inline = image_spec(name="inline", **{**fields, "requirements": "requirements.txt", "packages": None})
    box = image_spec(name="box", **{**fields, "apt_packages": ["tool"]})
    standing.write("wf/flow.py", _FLOW.format(inline=inline, box=box))
    standing.write("requirements.txt", "demo\n")
    return standing


def test_specs_are_locked_and_built_with_their_locks(
    workflows: Project, registry: Registry, case: Case
) -> None:
    """As from any other folder; what is newer since is not taken, and each image is under its content's tag too."""
    project = workflows
    said = project("taskimage", "lock", "wf")
    assert said.returncode == 0, said.stderr
    assert sorted(said.stdout.split()) == sorted(f".taskimage/{name}" for name in written(project))
    assert "wf.images:else_ is for another builder" in said.stderr
    first = written(project)
    assert {label: wheels(lock) for label, lock in locks(project).items()} == {
        "wf.flow:box._image": ["demo"],
        "wf.flow:score.container_image": ["demo"],
        "wf.images:train": ["other"],
        "wf.images:train.base_image": ["demo"],
    }
    assert wheels(locks(project)["wf.images:train"].base) == ["demo"]
    shutil.rmtree(project.folder / ".taskimage")
    elsewhere = Project(project.flytekit, Path("/"), project.environ)
    elsewhere.succeed("taskimage", "lock", str(project.folder / "wf"), TASKIMAGE_HOME=str(case.folder / "h"))
    assert written(project) == first

    case.index.add("demo", "2.0", files={"demo.py": b"x = 2\n"})
    case.index.add("other", "2.0", files={"other.py": b"y = 2\n"})
    case.use_another_store()
    made = images(project, TASKIMAGE_FLYTEKIT="default", TASKIMAGE_LOCKED="1", TASKIMAGE_HOME=str(case.home))
    assert made.keys() >= {"wf.flow.fit", "wf.flow.score", "box"}
    assert not any("2.0" in path for path in case.index.asked)
    assert all(re.fullmatch(rf"{registry.host}/\w+@sha256:\w+", image) for image in made.values())
    for name, image in (("demo", made["wf.flow.fit"]), ("inline", made["wf.flow.score"])):
        digest = Digest.parse(image.partition("@")[2])
        tags = [tag for tag in registry.tags(name) if tag != "buildcache"]
        assert {str(registry.manifest(name, tag).digest) for tag in tags} == {str(digest)}
        assert any(re.fullmatch("[0-9a-f]{32}", tag) for tag in tags)
    pin = locks(project)["wf.images:train"].platforms[0].image
    assert pin is not None
    lowest = [layer["digest"] for layer in registry.manifest("below", pin.digest).document["layers"]]
    layers = registry.manifest("demo", Digest.parse(made["wf.flow.fit"].partition("@")[2])).document["layers"]
    assert [layer["digest"] for layer in layers[: len(lowest)]] == lowest
    pushed = [one for one in registry.requests if one.method == "PUT"]
    assert images(project, TASKIMAGE_FLYTEKIT="default") == made
    assert [one for one in registry.requests if one.method == "PUT"] == pushed


def test_a_spec_that_was_edited_is_not_built(workflows: Project, registry: Registry) -> None:
    """Its lock is named, with what changed, and the command; one that had none is built, unless locks are required."""
    project = workflows
    environ = {"TASKIMAGE_FLYTEKIT": "default"}
    package = ("--pkgs", "wf", "package", "-f", "-o", "p.tgz")
    said = project.fails(*package, **environ, TASKIMAGE_LOCKED="1")
    assert "there is no lock" in said
    assert "taskimage lock PATH" in said
    project.succeed("taskimage", "lock", "wf")
    text = (project.folder / "wf/images.py").read_text()
    project.write("wf/images.py", text.replace("packages=['other']", "packages=['other', 'demo']"))
    said = project.fails(*package, **environ)
    assert "packages: 'demo' is wanted and not locked" in said
    assert "wf.images:train was edited: make it anew with `taskimage lock wf/images.py`" in said
    project.write("requirements.txt", "demo\nother\n")
    project.write("wf/images.py", text)
    assert "requirements: 'requirements.txt sha256:" in project.fails(*package, **environ)
    assert project("taskimage", "lock", "--check", "wf").returncode == 1
