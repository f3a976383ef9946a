"""Real flytekits, each in an environment of its own beside this checkout, and projects that use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uv
from tests.case import Case

__all__ = ["VERSIONS", "Flytekit", "Project", "Task", "image_spec", "install", "project_of", "workflow"]

VERSIONS = ("1.15.4", "1.16.31")
"""The oldest that is served, and the newest that was there when this was written."""

_ROOT = Path(__file__).parents[1]
_PROTOBUFS = str(_ROOT / "tests" / "integration" / "flytekit_protobufs.py")

# Of what `Case` has the packages of, so that it is built in a moment.
_FIELDS: Mapping[str, Any] = {
    "name": "demo",
    "builder": "taskimage",
    "python_version": "3.11",
    "platform": "linux/amd64",
    "packages": ["demo"],
    "builder_options": {"taskimage": {"runtime": "none", "bytecode": False}},
}

_WORKFLOW = """\
from flytekit import ImageSpec, task, workflow

spec = {spec}


@task(container_image=spec)
def add(a: int) -> int:
    return a + 1


@workflow
def flow(a: int = 1) -> int:
    return add(a=a)
"""


def image_spec(**fields: Any) -> str:
    """The expression of a small ImageSpec, with ``fields`` in place of its own; None takes one away.

    A value that is such an expression itself, as of a base image, is written as it is.
    """
    values = {name: value for name, value in {**_FIELDS, **fields}.items() if value is not None}
    return f"ImageSpec({', '.join(f'{name}={_expression(value)}' for name, value in values.items())})"


def _expression(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith("ImageSpec(") else repr(value)


def workflow(**fields: Any) -> str:
    """A module with the workflow ``flow`` of the task ``add``, whose image is of the small ImageSpec ``spec``."""
    return _WORKFLOW.format(spec=image_spec(**fields))


@dataclass(frozen=True)
class Flytekit:
    """A virtual environment, in ``folder``, with flytekit ``version`` and this checkout."""

    version: str
    folder: Path

    def program(self, name: str) -> str:
        """The path of a program in it."""
        return str(self.folder / "bin" / name)


def install(version: str, folder: Path, *packages: str) -> Flytekit:
    """A new environment with flytekit ``version``, and ``packages``, in ``folder``, for the Python that runs."""
    uv_command = uv.find_uv_bin()
    for words in (
        ("venv", "--quiet", "--no-project", "--no-config", "--python", sys.executable, str(folder)),
        ("pip", "install", "--quiet", "--no-config", "--python", str(folder), f"flytekit=={version}", *packages, str(_ROOT)),
    ):  # fmt: skip
        subprocess.run([uv_command, *words], check=True, capture_output=True)
    return Flytekit(version, folder)


@dataclass(frozen=True)
class Task:
    """What a container of a task is started with; ``words`` have the places that a cluster fills in."""

    image: str
    words: Sequence[str]
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Project:
    """A folder with workflows, in which a flytekit is used; ``environ`` is all that its processes see."""

    flytekit: Flytekit
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        """A file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def __call__(
        self, program: str, *words: str, stdin: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """What came of a program of the environment, run in the folder."""
        return subprocess.run(
            [self.flytekit.program(program), *words],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "TMPDIR": tempfile.gettempdir(), **self.environ, **environ},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def succeed(self, program: str, *words: str, stdin: str = "", **environ: str) -> str:
        """What a program prints on standard output; it succeeds."""
        done = self(program, *words, stdin=stdin, **environ)
        assert done.returncode == 0, f"{program} {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, program: str, **environ: str) -> str:
        """What a Python program prints."""
        return self.succeed("python", "-c", program, **environ).strip()

    def fails(self, *words: str, **environ: str) -> str:
        """What ``pyflyte`` says, in lines that are not wrapped, when it fails; no traceback is among it."""
        done = self("pyflyte", *words, **{"COLUMNS": "500", **environ})
        assert done.returncode not in (0, None), done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        return done.stderr

    def images(self, package: Path) -> dict[str, str]:
        """The image of each task in a package, or in a folder of protobufs, by the task's name."""
        return {name: task.image for name, task in self.tasks(package).items()}

    def tasks(self, path: Path) -> dict[str, Task]:
        """The tasks of a package, of a folder of protobufs, or of what a dynamic task wrote, by their names."""
        found = json.loads(self.succeed("python", _PROTOBUFS, "tasks", str(path)))
        return {name: Task(**fields) for name, fields in found.items()}

    def write_inputs(self, path: Path, values: Mapping[str, Any]) -> None:
        """A file of literals: texts, numbers and lists, by their names."""
        self.succeed("python", _PROTOBUFS, "inputs", str(path), stdin=json.dumps(values))

    def read_outputs(self, path: Path) -> dict[str, Any]:
        """The values in a file of literals."""
        values: dict[str, Any] = json.loads(self.succeed("python", _PROTOBUFS, "outputs", str(path)))
        return values


def project_of(case: Case, flytekit: Flytekit) -> Project:
    """A project with the sources of packages on loopback, where there is neither docker nor an engine that answers."""
    folder = case.folder / "project"
    folder.mkdir()
    nowhere = dict.fromkeys(("DOCKER_HOST", "CONTAINER_HOST"), "unix:///nowhere")
    environ = {**case.environ, **nowhere, "CONTAINERD_ADDRESS": "/nowhere"}
    made = Project(flytekit, folder, {**environ, "PATH": str(flytekit.folder / "bin")})
    made.write("wf/__init__.py", "")
    return made
