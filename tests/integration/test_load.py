"""Real engines take an image under the names that people type; what they save is read, and is the same image."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import engines
from tests.engines import Engine

from taskimage.adapters import layout
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import host_machine
from taskimage.adapters.store import Store
from taskimage.model.image import Image
from taskimage.model.oci import LAYER_GZIP, Config, ExecutionConfig, Manifest, Platform
from taskimage.testing import Registry
from taskimage.transform.assemble import BuiltImage, Layer, assemble
from taskimage.transform.entry import Entry
from taskimage.verbs.build import Built
from taskimage.verbs.copy import copy
from taskimage.verbs.export import load

pytestmark = pytest.mark.integration

NAMES = ("app:v1", "registry.example.com:5000/team/app:v2")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a machine with nothing on it."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def image(settings: Settings, keep_layer: Callable[..., Layer]) -> BuiltImage:
    """An image in the store, of a layer that it has twice and a larger one."""
    store = Store(settings.home)
    small = keep_layer(store, Entry.file("etc/motd", b"hello"))
    large = keep_layer(store, Entry.file("data", bytes(range(256)) * 100_000))
    made = assemble(
        [small, large, small],
        ExecutionConfig(user="1000:0", cmd=("/bin/true",)),
        platform=Platform.parse(f"linux/{host_machine()}"),
    )
    layout.put(store, made)
    return made


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engines.docker(tmp_path_factory.mktemp("docker")) as engine:
        yield engine


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engines.containerd(tmp_path_factory.mktemp("containerd")) as engine:
        yield engine


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engines.podman(tmp_path_factory.mktemp("podman")) as engine:
        yield engine


def handed_over(
    image: BuiltImage, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, **environ: str
) -> None:
    """The image is loaded into an engine, as a build does that is asked to."""
    for name in ("DOCKER_HOST", "CONTAINER_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**engine.environ, **environ}.items():
        monkeypatch.setenv(name, value)
    built = Built(
        image=Image("app", "app"), reference=f"{NAMES[0]}@{image.digest}", names=NAMES, root=image.raw, made=0,
        fresh=False, published=False,
    )  # fmt: skip
    load(built, settings=settings)


def test_docker_has_the_image_by_each_name(
    image: BuiltImage, settings: Settings, docker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over(image, settings, docker, monkeypatch)
    for name in NAMES:
        (found,) = json.loads(docker("image", "inspect", name))
        assert found["Id"] == str(image.manifest.config.digest)
        assert found["RootFS"]["Layers"] == [str(diff_id) for diff_id in image.config.diff_ids]


def test_containerd_has_the_image_by_each_name_and_with_its_digest(
    image: BuiltImage, settings: Settings, containerd: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Where podman is installed it comes first.
    (tmp_path / "ctr").symlink_to(str(shutil.which("ctr")))
    handed_over(image, settings, containerd, monkeypatch, PATH=str(tmp_path), CONTAINERD_NAMESPACE="k8s.io")
    rows = [line.split() for line in containerd("--namespace", "k8s.io", "images", "ls").splitlines()[1:]]
    assert {row[0]: row[2] for row in rows} == {
        f"docker.io/library/{NAMES[0]}": str(image.digest),
        NAMES[1]: str(image.digest),
    }


@pytest.mark.parametrize("listens", [True, False], ids=["socket", "program"])
def test_podman_has_the_image_by_each_name(
    image: BuiltImage, settings: Settings, podman: Engine, monkeypatch: pytest.MonkeyPatch, *, listens: bool
) -> None:
    if not listens:
        podman = dataclasses.replace(
            podman,
            environ={"CONTAINERS_STORAGE_CONF": podman.environ["CONTAINERS_STORAGE_CONF"]},
            command=("podman",),
        )
    handed_over(image, settings, podman, monkeypatch)
    for name in NAMES:
        (found,) = json.loads(podman("image", "inspect", name))
        assert found["Id"] == image.manifest.config.digest.hex
    podman("image", "rm", "--force", *NAMES)


def test_what_docker_saves_is_the_image_that_it_loaded(
    image: BuiltImage, settings: Settings, docker: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handed_over(image, settings, docker, monkeypatch)
    docker("save", *NAMES, "--output", str(tmp_path / "saved.tar"))
    places = [f"docker-archive:{tmp_path}/saved.tar", f"docker-archive:{tmp_path}/saved.tar:{NAMES[1]}"]
    with Registry() as registry:
        first, second = (copy(place, f"{registry.host}/app:v1", settings=settings) for place in places)
        assert first == second
        stored = registry.manifest("app", "v1")
        manifest = Manifest.from_dict(json.loads(stored.data))
        assert manifest.config.digest == image.manifest.config.digest
        assert {layer.media_type for layer in manifest.layers} == {LAYER_GZIP}
        # Loaded again it is the same once more, from a program that compares diff_ids.
        run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{registry.host}/app:v1",
            f"oci:{tmp_path}/out:v1")  # fmt: skip
        config = json.loads(run("skopeo", "inspect", "--config", "--raw", f"oci:{tmp_path}/out:v1"))
        assert Config.from_dict(config).diff_ids == image.config.diff_ids


def run(*words: str) -> str:
    """What a program prints; it succeeds."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
