"""`copy` beside the programs that people have: with Debian's docker-registry between, digests are equal everywhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import Command
from tests.dockerregistry import DockerRegistry, docker_registry

from taskimage.adapters.settings import Settings
from taskimage.model.digest import Digest
from taskimage.model.oci import Manifest, Platform
from taskimage.testing import Fault, MadeImage, Registry, make_image, make_index
from taskimage.verbs.copy import copy

pytestmark = pytest.mark.integration

LARGE = b"".join(Digest.of(bytes([number % 256, number // 256])).hex.encode() for number in range(20_000))
IMAGES = {
    "image": make_image([{"bin/": b"", "bin/sh": b"#!"}, {"data": LARGE}], config={"Cmd": ["/bin/sh"]}),
    "docker": make_image([{"bin/sh": b"#!"}, {"data": LARGE}], docker=True),
    "index": make_index([make_image([{"arch": name.encode()}], platform=f"linux/{name}") for name in ("amd64", "arm64")]),
    "docker-index": make_index(
        [make_image(platform=f"linux/{name}", docker=True) for name in ("amd64", "arm64")], docker=True
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """Debian's, for everybody."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a machine with nothing on it."""
    return Settings(home=tmp_path / "home")


@pytest.fixture(params=sorted(IMAGES))
def image(request: pytest.FixtureRequest) -> MadeImage:
    """Every kind of image."""
    return IMAGES[str(request.param)]


def run(*words: str | Path) -> str:
    """What a program prints; it succeeds."""
    if not shutil.which(str(words[0])):
        pytest.skip(f"needs {words[0]}")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(*words: str) -> str:
    """`skopeo copy`, of all platforms, with registries of plain HTTP."""
    return run(
        "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *words
    )


def seen(name: str) -> Digest:
    """The digest that skopeo sees under a name."""
    raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    return Digest.of(raw.encode())


def test_what_is_copied_is_what_skopeo_sees_and_copies_on(
    registry: DockerRegistry, settings: Settings, tmp_path: Path, image: MadeImage
) -> None:
    with Registry() as first:
        first.put_image("team/app:v1", image)
        place = copy(f"{first.host}/team/app:v1", f"{registry.host}/ours/app:v1", settings=settings)
        assert place == f"{registry.host}/ours/app:v1@{image.digest}"
        assert seen(f"{registry.host}/ours/app:v1") == image.digest
        skopeo("--all", f"docker://{registry.host}/ours/app:v1", f"docker://{first.host}/back/app:v1")
        assert first.manifest("back/app", "v1").data == image.manifest
    copy(place, f"{registry.host}/mounted/app:v1", settings=settings)
    assert seen(f"{registry.host}/mounted/app:v1") == image.digest
    copy(f"{registry.host}/mounted/app:v1", f"oci:{tmp_path}/out:v1", settings=settings)
    # In an image layout skopeo looks for OCI's manifests alone.
    if "docker" not in image.media_type:
        skopeo("--all", f"oci:{tmp_path}/out:v1", f"docker://{registry.host}/from/layout:v1")
        assert seen(f"{registry.host}/from/layout:v1") == image.digest


@pytest.mark.parametrize("form", ["oci", "v2s2"])
@pytest.mark.parametrize("kind", ["image", "index"])
def test_what_skopeo_pushes_is_copied_as_it_is(
    registry: DockerRegistry, settings: Settings, tmp_path: Path, *, form: str, kind: str
) -> None:
    with Registry() as first:
        first.put_image("app:v1", IMAGES[kind])
        name = f"{registry.host}/skopeo/{kind}-{form}:v1"
        skopeo("--all", "--format", form, f"docker://{first.host}/app:v1", f"docker://{name}")
    digest = seen(name)
    assert (digest == IMAGES[kind].digest) == (form == "oci")
    assert copy(name, f"{registry.host}/copy/{kind}-{form}:v1", settings=settings).endswith(f"@{digest}")
    assert copy(name, f"oci:{tmp_path}/out", settings=settings) == f"oci:{tmp_path}/out@{digest}"
    with Registry() as other:
        copy(f"oci:{tmp_path}/out", f"{other.host}/app:v1", settings=settings)
        assert other.manifest("app", "v1").digest == digest == seen(f"{registry.host}/copy/{kind}-{form}:v1")


@pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here")
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_buildah_pushes_is_copied_as_it_is(
    registry: DockerRegistry, settings: Settings, tmp_path: Path, form: str
) -> None:
    buildah = (
        "buildah",
        "--root",
        str(tmp_path / "root"),
        "--runroot",
        str(tmp_path / "run"),
        "--storage-driver=vfs",
    )
    container = run(*buildah, "from", "scratch").strip()
    (tmp_path / "file").write_bytes(LARGE)
    run(*buildah, "copy", "--quiet", container, str(tmp_path / "file"), "/file")
    built = run(*buildah, "commit", "--quiet", container).strip()
    name = f"{registry.host}/buildah/{form}:v1"
    run(*buildah, "push", "--tls-verify=false", "--format", form, built, f"docker://{name}")
    digest = seen(name)
    copy(name, f"oci:{tmp_path}/out", settings=settings)
    place = copy(f"oci:{tmp_path}/out", f"{registry.host}/buildah-copy/{form}:v1", settings=settings)
    assert place.endswith(f"@{digest}")
    pulled = run(
        *buildah,
        "from",
        "--tls-verify=false",
        "--pull-always",
        f"docker://{registry.host}/buildah-copy/{form}:v1",
    )
    run(*buildah, "rm", pulled.split()[-1], container)


def test_layouts_of_umoci_are_read_and_ours_unpacked(
    registry: DockerRegistry, settings: Settings, tmp_path: Path
) -> None:
    run("umoci", "init", "--layout", tmp_path / "umoci")
    run("umoci", "new", "--image", f"{tmp_path}/umoci:v1")
    (tmp_path / "file").write_bytes(LARGE)
    run("umoci", "insert", "--image", f"{tmp_path}/umoci:v1", tmp_path / "file", "/file")
    place = copy(f"oci:{tmp_path}/umoci:v1", f"{registry.host}/umoci:v1", settings=settings)
    assert place.endswith(f"@{seen(f'{registry.host}/umoci:v1')}")
    copy(place, f"oci:{tmp_path}/ours:v1", settings=settings)
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run("umoci", "unpack", *rootless, "--image", f"{tmp_path}/ours:v1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "file").read_bytes() == LARGE


def test_archives_of_skopeo_are_read_and_ours_by_skopeo(settings: Settings, tmp_path: Path) -> None:
    image = IMAGES["image"]
    with Registry() as first:
        first.put_image("app:v1", image)
        skopeo(f"docker://{first.host}/app:v1", f"docker-archive:{tmp_path}/theirs.tar:app:v1")
        copy(f"docker-archive:{tmp_path}/theirs.tar:app:v1", f"{first.host}/theirs:v1", settings=settings)
        copy(f"{first.host}/app:v1", f"docker-archive:{tmp_path}/ours.tar:app:v1", settings=settings)
        skopeo(f"docker-archive:{tmp_path}/ours.tar:app:v1", f"docker://{first.host}/ours:v1")
        configs = {
            Manifest.from_dict(json.loads(first.manifest(name, "v1").data)).config.digest
            for name in ("app", "theirs", "ours")
        }
        assert configs == {Digest.of(image.blobs[0])}


def test_one_platform_of_an_index_is_what_skopeo_takes_of_it(settings: Settings, tmp_path: Path) -> None:
    with Registry() as first:
        first.put_image("app:v1", IMAGES["index"])
        arm64 = Platform("linux", "arm64")
        place = copy(f"{first.host}/app:v1", f"oci:{tmp_path}/ours:v1", platform=arm64, settings=settings)
        skopeo("--override-arch=arm64", f"docker://{first.host}/app:v1", f"oci:{tmp_path}/theirs:v1")
    (theirs,) = json.loads((tmp_path / "theirs" / "index.json").read_bytes())["manifests"]
    assert place.endswith(f"@{theirs['digest']}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("kind", ["registry", "oci", "docker-archive"])
def test_a_copy_that_is_ended_leaves_the_target_as_it_was_and_can_be_done_again(
    registry: DockerRegistry, tmp_path: Path, *, kind: str, number: signal.Signals
) -> None:
    image = make_image([{"a": LARGE}, {"b": LARGE[::-1]}], compressed=False)
    path = f"ended/{number.name.lower()}"
    target = {"registry": f"{registry.host}/{path}:v1"}.get(kind, f"{kind}:{tmp_path}/out")
    command = Command(tmp_path / "home")
    with Registry() as first:
        first.put_image("app:v1", image)
        first.fail(Fault(method="GET", path="/blobs/", rate=100_000, times=None))
        with command.start("copy", f"{first.host}/app:v1", target) as process:
            time.sleep(3)
            process.send_signal(number)
            process.communicate(timeout=20)
        assert process.returncode == (130 if number == signal.SIGINT else -number)
        if kind == "registry":
            with pytest.raises(AssertionError, match=r"manifest unknown|name unknown"):
                seen(f"{registry.host}/{path}:v1")
        assert not (tmp_path / "out").exists()
        if number == signal.SIGINT:
            assert [one.name for one in tmp_path.iterdir()] == ["home"]
        first.heal()
        assert command.succeed("copy", f"{first.host}/app:v1", target).startswith(target)
