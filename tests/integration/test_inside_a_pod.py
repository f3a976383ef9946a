"""taskimage inside of an image that taskimage built, as in a pod: uid 1000, a root to read only, no engine, no privilege.

The image with taskimage in it comes from PyPI and Debian's archives; what is built in it, from sources on loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv
from tests.case import Case
from tests.command import ROOT, Command
from tests.dockerregistry import DockerRegistry, docker_registry, with_users
from tests.repositories import CANARY
from tests.sources import Mirror

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="run needs Linux"),
]

# Where a pod has its volumes: the project with its secrets, and the store.
WORK, HOME = "/work", "/var/taskimage"
GONE = "http://127.0.0.1:1"


@dataclass(frozen=True)
class Builder:
    """An image that has taskimage: in a store, and unpacked by another tool."""

    command: Command
    reference: str
    root: Path


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    folder = tmp_path_factory.mktemp("builder")
    wheels = Mirror(folder / "wheels")
    subprocess.run(
        [uv.find_uv_bin(), "build", "--quiet", "--no-config", "--wheel", "--out-dir", str(wheels.root), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = wheels.root.glob("*.whl")
    spec = {
        "name": "builder",
        "python_version": "3.11",
        "packages": [f"taskimage @ {wheels.url}/{wheel.name}"],
        "builder_options": {"taskimage": {"runtime": "none"}},
    }
    (folder / "builder.yaml").write_text(json.dumps(spec))
    command = Command(folder / "home", {"NO_PROXY": "127.0.0.1"})
    try:
        built = command.succeed("build", "-o", f"oci:{folder / 'out'}:builder", str(folder / "builder.yaml"))
    finally:
        wheels.close()
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    unpack = ["umoci", "unpack", *rootless, "--image", f"{folder / 'out'}:builder", str(folder / "bundle")]
    subprocess.run(unpack, check=True, capture_output=True)
    return Builder(command, built.strip(), folder / "bundle" / "rootfs")


@pytest.fixture
def registry(tmp_path: Path, case: Case) -> Iterator[DockerRegistry]:
    """A registry that lets one user in, whose password is in a file of the project, as a secret is mounted."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with docker_registry(folder, **with_users(folder)) as started:
        auth = b64encode(f"ada:{CANARY}".encode()).decode()
        (case.folder / "secret").mkdir()
        (case.folder / "secret" / "config.json").write_text(
            json.dumps({"auths": {started.host: {"auth": auth}}})
        )
        yield started


def environ(case: Case, registry: DockerRegistry) -> dict[str, str]:
    """What a pod says in variables: where sources are, whom to trust, and where images go."""
    kept = ("TASKIMAGE_DEBIAN_MIRROR", "UV_DEFAULT_INDEX", "NO_PROXY")
    return {
        **{name: case.environ[name] for name in kept},
        "TASKIMAGE_DEBIAN_KEYRING": f"{WORK}/keyring.pgp",
        "TASKIMAGE_HOME": HOME,
        "TASKIMAGE_REGISTRY": f"{registry.host}/team",
        "DOCKER_CONFIG": f"{WORK}/secret",
    }


def in_a_pod(
    builder: Builder, case: Case, registry: DockerRegistry, *words: str
) -> subprocess.CompletedProcess[str]:
    """What came of a program in a container whose kernel allows no user namespaces."""
    for place in (WORK, HOME):
        (builder.root / place[1:]).mkdir(exist_ok=True)
    case.home.mkdir(exist_ok=True)
    variables = {"PATH": "/opt/venv/bin:/usr/bin:/bin", "HOME": "/home/flytekit", **environ(case, registry)}
    container = [
        "bwrap", "--unshare-all", "--share-net", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "0",
        "--cap-drop", "ALL", "--die-with-parent", "--ro-bind", str(builder.root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        "--ro-bind", str(case.folder), WORK, "--bind", str(case.home), HOME, "--chdir", WORK, "--clearenv",
        *(word for name, value in variables.items() for word in ("--setenv", name, value)),
    ]  # fmt: skip
    return subprocess.run([*container, *words], capture_output=True, text=True, check=False)


def test_taskimage_builds_and_pushes_inside_of_an_image_that_it_built(
    builder: Builder, case: Case, registry: DockerRegistry
) -> None:
    """As uid 1000; and from Python, as a task would, the image is found there by its digest."""
    case.lock()
    case.use_another_store()
    case.home.mkdir()
    variables = [word for item in environ(case, registry).items() for word in ("-e", "=".join(item))]
    volumes = ["-v", f"{case.folder}:{WORK}:ro", "-v", f"{case.home}:{HOME}", "-w", WORK]
    look_up = "from taskimage import Image; print(Image.look_up_image_info('app', 'image.yaml').full)"
    program = f'id -u; taskimage build --locked image.yaml && python -c "{look_up}"'
    done = builder.command(
        "run", "--quiet", *volumes, *variables, builder.reference, "--", "sh", "-c", program
    )
    assert done.returncode == 0, done.stderr
    user, built, found = done.stdout.splitlines()
    assert user == "1000"
    assert built.startswith(f"{registry.host}/team/demo:")
    assert found == f"{registry.host}/team/demo@{built.partition('@')[2]}"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="a pod is made by bubblewrap")
def test_without_user_namespaces_the_same_image_is_built(
    builder: Builder, case: Case, registry: DockerRegistry
) -> None:
    """Wheels, Debian packages and files need no sandbox; the digest is the one that is built outside."""
    case.lock()
    outside = case.build().partition("@")[2]
    case.use_another_store()
    assert "Read-only file system" in in_a_pod(builder, case, registry, "touch", "/root/x").stderr
    done = in_a_pod(builder, case, registry, "taskimage", "build", "--locked", "image.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().partition("@")[2] == outside
    assert CANARY not in done.stderr


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="a pod is made by bubblewrap")
def test_with_a_lock_the_registry_alone_is_a_store(
    builder: Builder, case: Case, registry: DockerRegistry
) -> None:
    """Layers that it has are neither fetched nor made: sources may be gone, and the volume be empty."""
    case.lock()
    outside = {"TASKIMAGE_REGISTRY": f"{registry.host}/team", "DOCKER_CONFIG": str(case.folder / "secret")}
    code, _, err = case.run("build", "--locked", str(case.spec_path), **outside)
    assert code == 0, err
    case.spec(env={"NEW": "1"})
    case.use_another_store()
    case.environ.update(UV_DEFAULT_INDEX=GONE, TASKIMAGE_DEBIAN_MIRROR=GONE)
    done = in_a_pod(builder, case, registry, "taskimage", "build", "--locked", "image.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{registry.host}/team/demo:")
    assert "Fetching" not in done.stderr
    assert "Making" not in done.stderr


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="a pod is made by bubblewrap")
def test_without_user_namespaces_commands_are_refused_before_anything_is_pushed(
    builder: Builder, case: Case, registry: DockerRegistry
) -> None:
    case.spec(commands=["touch /opt/x"])
    done = in_a_pod(builder, case, registry, "taskimage", "build", "image.yaml")
    assert (done.returncode, done.stdout) == (7, "")
    assert "`commands` cannot be run here: no sandbox works on this host" in done.stderr
    assert "Moving" not in done.stderr
