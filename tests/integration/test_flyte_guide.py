"""The CI job of docs/from-docker.md does what the page says: its steps are run, against a registry that wants a password."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.case import Case
from tests.command import ROOT
from tests.dockerregistry import docker_registry, with_users
from tests.flytekits import VERSIONS, Project
from tests.repositories import CANARY

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("flytekit_installed", [VERSIONS[-1]], indirect=True, scope="session"),
]

# What the machine of a job has done before, or a cluster has to be there for.
_ELSEWHERE = ("pip install", "pyflyte register")


def job() -> dict[str, Any]:
    """The workflow of the page."""
    page = (ROOT / "docs" / "from-docker.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(# \.github/.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_job_registers_the_image_that_its_lock_pins(project: Project, case: Case, tmp_path: Path) -> None:
    """Whoever is logged out cannot push, so the login of the job is one that serves."""
    workflow = job()
    case.spec_path = project.folder / "image.yaml"
    case.spec(copy=["workflows"])
    case.lock()
    project.write("workflows/__init__.py", "")
    project.write(
        "workflows/flow.py", "from flytekit import task\n\n\n@task\ndef hello() -> str:\n    return 'hello'\n"
    )
    (tmp_path / "registry").mkdir()
    said = ""
    with docker_registry(tmp_path / "registry", **with_users(tmp_path / "registry")) as registry:
        named = {
            "TASKIMAGE_FLYTEKIT": workflow["env"]["TASKIMAGE_FLYTEKIT"],
            "GITHUB_ACTOR": "ada",
            "TOKEN": CANARY,
        }
        named["TASKIMAGE_REGISTRY"] = workflow["env"]["TASKIMAGE_REGISTRY"].replace("ghcr.io", registry.host)
        for step in workflow["jobs"]["register"]["steps"]:
            if "run" not in step or step["run"].startswith(_ELSEWHERE):
                continue
            done = subprocess.run(
                ["/bin/bash", "-e", "-c", step["run"].replace("ghcr.io", registry.host)],
                cwd=project.folder, env={**os.environ, **project.environ, **named}, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            assert done.returncode == 0, f"{step['run']}\n{done.stdout}"
            said += done.stdout
    assert CANARY not in said
    (image,) = project.images(project.folder / "package.tgz").values()
    assert image.startswith(f"{named['TASKIMAGE_REGISTRY']}/demo@sha256:")
    assert f"{image.partition('@')[2]}\n" in said, "`taskimage build` printed the same digest"
    assert "nothing to do" in said
