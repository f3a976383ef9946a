"""Images are taken as they are by the programs that people have: skopeo, umoci, oci-image-tool, buildah, Docker."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests import engines
from tests.command import Quickstart
from tests.engines import Engine

from taskimage.adapters import layout
from taskimage.adapters.atomic import replacing
from taskimage.adapters.images.archive_target import archive_target
from taskimage.adapters.images.layout import layout_target
from taskimage.adapters.images.store import store_source
from taskimage.adapters.store import Store
from taskimage.model.oci import Platform
from taskimage.transform.assemble import BuiltImage, Layer, assemble
from taskimage.transform.entry import Deflated, Entry
from taskimage.transform.runtime import runtime_config
from taskimage.verbs.transfer import Target, transfer

pytestmark = pytest.mark.integration

NAME = "registry.example.com:5000/team/app:v1"
# What a task needs to write to, and what other images often get wrong.
MODES = {
    "/root": "775 1000:0",
    "/home/flytekit": "775 1000:0",
    "/tmp": "1777 0:0",
    "/var/tmp": "1777 0:0",
}


@dataclass(frozen=True)
class Sample:
    """An image as files, and what is to be seen in it."""

    image: BuiltImage
    layout: Path
    archive: Path
    command: tuple[str, ...]
    says: str
    links: Mapping[str, str]
    modes: Mapping[str, str] = field(default_factory=lambda: MODES)

    @property
    def reference(self) -> str:
        """The image as the tools that read image layouts name it."""
        return f"{self.layout}:{NAME}"

    @property
    def look(self) -> list[str]:
        """A command that prints what `seen` reads."""
        paths = " ".join(self.modes)
        links = "; ".join(f"readlink {path}" for path in self.links)
        return ["sh", "-c", f"stat -c '%a %u:%g' {paths}; {links}; {' '.join(self.command)}"]

    @property
    def seen(self) -> list[str]:
        """What `look` prints."""
        return [*self.modes.values(), *self.links.values(), self.says]


def written(store: Store, image: BuiltImage, folder: Path, **seen: Any) -> Sample:
    """An image of a store as a sample in ``folder``."""
    archive = folder / "image.tar"
    opened: tuple[AbstractContextManager[Target], ...] = (
        layout_target(folder / "layout", store),
        archive_target("archive", replacing(archive)),
    )
    for one in opened:
        with one as target:
            transfer(store_source(store), target, image.raw, names=[NAME])
    return Sample(image=image, layout=folder / "layout", archive=archive, **seen)


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A shell and its tools in one static program, from Debian."""
    folder = tmp_path_factory.mktemp("busybox")
    run("apt-get", "download", "busybox-static", cwd=folder)
    (archive,) = folder.glob("*.deb")
    run("dpkg-deb", "-x", str(archive), str(folder / "root"))
    return (folder / "root" / "bin" / "busybox").read_bytes()


@pytest.fixture(scope="module")
def tiny(
    tmp_path_factory: pytest.TempPathFactory, busybox: bytes, keep_layer: Callable[..., Layer]
) -> Sample:
    """Three layers, with what goes wrong easily: links, long names, shared parents, owners, many gzip members."""
    folder = tmp_path_factory.mktemp("tiny")
    store = Store(folder / "home")
    tools = ("sh", "cat", "stat", "readlink", "id", "touch")
    long = "usr/share/" + "folder/" * 40 + "übersicht"
    script = f"#!/bin/sh\necho $WHOM $(cat /{long} /usr/share/deflated /usr/share/linked)\n".encode()
    layers = [
        keep_layer(
            store,
            Entry.file("usr/bin/busybox", busybox, 0o755),
            *(Entry.symlink(f"usr/bin/{tool}", "busybox") for tool in tools),
            Entry.symlink("bin", "usr/bin"),
            Entry.file(
                "etc/passwd", b"root:x:0:0::/root:/bin/sh\nflytekit:x:1000:0::/home/flytekit:/bin/sh\n"
            ),
            *(Entry.directory(path.lstrip("/")) for path in MODES),
        ),
        keep_layer(
            store,
            Entry.file("usr/bin/hello", script, 0o755),
            Entry.file(long, b"long\n"),
            Entry.file("usr/share/deflated", deflated(b"deflated\n")),
            Entry("usr/share/linked", "hardlink", 0o644, target="usr/share/deflated"),
            Entry.file("tmp/left", b""),
        ),
        keep_layer(store, Entry.file("root/src/main.py", b"print()\n", uid=1000)),
    ]
    execution = runtime_config(image_id="x", env={"WHOM": "world"})
    image = assemble(layers, execution, platform=Platform.parse(f"linux/{os.uname().machine}"))
    layout.put(store, image, names=[NAME])
    says = "world long deflated deflated"
    return written(store, image, folder, command=("hello",), says=says, links={"/bin": "usr/bin"})


def deflated(data: bytes) -> Deflated:
    """A body that stands in its layer as a gzip member of its own."""
    compressor = zlib.compressobj(wbits=-15)
    raw = compressor.compress(data) + compressor.flush()
    return Deflated(lambda: io.BytesIO(raw), len(raw), len(data), zlib.crc32(data))


@pytest.fixture(scope="module")
def built(quickstart: Quickstart, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The quickstart's image: Debian on the biggest wheels, a hundred others above."""
    store = Store(quickstart.command.home)
    descriptor = layout.find(store, quickstart.reference.partition("@")[0])
    assert descriptor is not None
    return written(
        store,
        layout.load(store, descriptor.digest),
        tmp_path_factory.mktemp("built"),
        command=("python", "-c", "'import pandas, sys; print(pandas.__version__, sys.prefix)'"),
        says="2.2.3 /opt/venv",
        links={"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"},
    )


@pytest.fixture(params=["tiny", "built"])
def sample(request: pytest.FixtureRequest) -> Sample:
    """Every image that the consumers are tried with."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Sample)
    return found


def run(*command: str, cwd: Path | None = None) -> str:
    """What a program prints; a failure shows what it said."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
    return result.stdout


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs as root only")


# -- skopeo ------------------------------------------------------------------------------------------------


def test_skopeo_sees_the_image_by_name_and_alone(sample: Sample) -> None:
    by_name = json.loads(run("skopeo", "inspect", f"oci:{sample.reference}"))
    alone = json.loads(run("skopeo", "inspect", f"oci:{sample.layout}"))
    assert by_name["Digest"] == alone["Digest"] == str(sample.image.digest)
    assert by_name["Layers"] == [str(layer.digest) for layer in sample.image.manifest.layers]
    assert by_name["Env"] == list(sample.image.config.execution.env)


def test_skopeo_copies_the_layout_and_keeps_the_digest(sample: Sample, tmp_path: Path) -> None:
    run("skopeo", "--insecure-policy", "copy", f"oci:{sample.reference}", f"oci:{tmp_path}/copy:x")
    copied = json.loads(run("skopeo", "inspect", f"oci:{tmp_path}/copy:x"))
    assert copied["Digest"] == str(sample.image.digest)


def test_skopeo_takes_the_archive_and_finds_the_same_trees_in_it(sample: Sample, tmp_path: Path) -> None:
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        f"docker-archive:{sample.archive}:{NAME}",
        f"oci:{tmp_path}/copy:x",
    )
    config = json.loads(run("skopeo", "inspect", "--config", "--raw", f"oci:{tmp_path}/copy:x"))
    assert config["rootfs"]["diff_ids"] == [str(diff_id) for diff_id in sample.image.config.diff_ids]


# -- umoci, oci-image-tool ---------------------------------------------------------------------------------


def test_umoci_unpacks_it_with_modes_and_links_as_they_should_be(sample: Sample, tmp_path: Path) -> None:
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run("umoci", "unpack", *rootless, "--image", sample.reference, str(tmp_path / "bundle"))
    root = tmp_path / "bundle" / "rootfs"
    for path, text in sample.modes.items():
        found = (root / path.lstrip("/")).stat()
        owner = text.partition(" ")[2] if rootless else f"{found.st_uid}:{found.st_gid}"
        assert f"{found.st_mode & 0o7777:o} {owner}" == text, path
    for path, target in sample.links.items():
        assert str((root / path.lstrip("/")).readlink()) == target


def test_oci_image_tool_finds_no_fault(sample: Sample) -> None:
    assert "Validation succeeded" in run("oci-image-tool", "validate", "--type", "image", str(sample.layout))


# -- buildah -----------------------------------------------------------------------------------------------


@contextmanager
def buildah(driver: str, folder: Path, source: str) -> Iterator[Callable[..., list[str]]]:
    """A function that runs a command in a container of ``source``, and gives the lines it prints."""
    storage = (
        "buildah", "--root", str(folder / "root"), "--runroot", str(folder / "run"),
        "--storage-driver", driver,
    )  # fmt: skip
    container = run(*storage, "from", "--quiet", "--pull-never", source).split()[-1]

    def inside(*command: str, user: str | None = None) -> list[str]:
        chosen = [] if user is None else ["--user", user]
        return run(*storage, "run", "--isolation", "chroot", *chosen, container, "--", *command).splitlines()

    try:
        yield inside
    finally:
        run(*storage, "rm", "--all")
        run(*storage, "rmi", "--all", "--force")


@needs_root
@pytest.mark.parametrize(
    ("sample", "driver"), [("tiny", "overlay"), ("tiny", "vfs"), ("built", "overlay")], indirect=["sample"]
)
def test_buildah_runs_it_as_its_user_and_as_any_user_of_group_0(
    sample: Sample, driver: str, tmp_path: Path
) -> None:
    write = "touch /root/1 $HOME/1 /tmp/1 && id -u && id -g"
    with buildah(driver, tmp_path, f"oci:{sample.reference}") as inside:
        assert inside(*sample.look) == sample.seen
        assert inside("sh", "-c", write) == ["1000", "0"]
        assert inside("sh", "-c", write.replace("1", "2"), user="12345:0") == ["12345", "0"]
        assert inside("sh", "-c", write.replace("1", "3"), user="1000:12345") == ["1000", "12345"]


# -- Docker ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Docker engine of our own."""
    with engines.docker(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def test_docker_loads_the_archive_under_its_name_with_its_configuration(
    sample: Sample, docker: Engine
) -> None:
    assert f"Loaded image: {NAME}" in docker("load", "--input", str(sample.archive))
    (found,) = json.loads(docker("image", "inspect", NAME))
    assert found["Id"] == str(sample.image.manifest.config.digest)
    assert found["RootFS"]["Layers"] == [str(diff_id) for diff_id in sample.image.config.diff_ids]
    assert found["Config"]["User"] == "1000:0"


def test_docker_runs_what_it_loaded(sample: Sample, docker: Engine) -> None:
    docker("load", "--input", str(sample.archive))
    seen = docker("run", "--rm", "--network=none", NAME, *sample.look)
    assert seen.splitlines() == sample.seen
