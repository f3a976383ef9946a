"""The builders that are measured: ours, BuildKit behind a Docker engine, and buildah."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from benchmarks.commands import run

HERE = Path(__file__).resolve().parent
SPEC = HERE / "ml5.yaml"
PACKAGES = ("numpy==2.1.3", "pandas==2.2.3", "pyarrow==18.1.0", "scikit-learn==1.5.2", "requests==2.32.3")
# Debian's Python cannot be compiled for by a uv on the host: the peers run the one in their base image.
DOCKERFILE = f"""\
FROM taskimage-bench-base
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN apt-get update && apt-get install -y --no-install-recommends jq
RUN uv venv /opt/venv --python /usr/bin/python3.11 && \\
    uv pip install --python /opt/venv/bin/python --compile-bytecode {" ".join(PACKAGES)}
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/root
WORKDIR /root
COPY shop /root/shop
"""


class Peer(Protocol):
    """A builder: `forget` empties every cache, `build` does the job once."""

    name: str

    def forget(self) -> None: ...
    def build(self) -> None: ...


class Taskimage:
    """This project's command, with a store of its own."""

    name = "taskimage"

    def __init__(self, folder: Path, *, bytecode: bool = True) -> None:
        self._home = folder / f"{self.name}-home"
        self._spec = SPEC
        if not bytecode:
            self.name = "taskimage, no bytecode"
            self._spec = folder / "plain" / "ml5.yaml"
            self._spec.parent.mkdir()
            self._spec.write_text(SPEC.read_text() + "    bytecode: false\n")
            shutil.copytree(HERE / "shop", self._spec.parent / "shop")
            self._home = folder / "plain-home"

    def forget(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def build(self) -> None:
        home = str(self._home)
        # uv's cache is a cache as any other.
        environment = {"TASKIMAGE_HOME": home, "UV_CACHE_DIR": f"{home}/uv"}
        run(
            [str(Path(sys.executable).with_name("taskimage")), "build", "--quiet", str(self._spec)],
            environment,
        )


class Docker:
    """``docker build`` with BuildKit, on an engine of our own behind a private socket."""

    name = "docker build (BuildKit)"

    def __init__(self, context: Path, socket: Path) -> None:
        self._context = context
        self._docker = docker_client()
        self._environment = {"DOCKER_BUILDKIT": "1", "DOCKER_HOST": f"unix://{socket}"}

    def forget(self) -> None:
        run([self._docker, "builder", "prune", "--all", "--force"], self._environment)

    def build(self) -> None:
        command = [
            self._docker,
            "build",
            "--quiet",
            "--network",
            "host",
            "--tag",
            "bench",
            str(self._context),
        ]
        run(command, self._environment)

    def load_base(self, rootfs: Path) -> None:
        """Take ``rootfs``, a tar file, for the base image."""
        run([self._docker, "import", str(rootfs), "taskimage-bench-base"], self._environment)


class Buildah:
    """``buildah build`` with chroot isolation and layers kept."""

    name = "buildah build"

    def __init__(self, context: Path, folder: Path) -> None:
        self._context = context
        self._storage = [
            "--root",
            str(folder / "buildah"),
            "--runroot",
            str(folder / "buildah-run"),
            "--storage-driver",
            "vfs",
        ]

    def forget(self) -> None:
        run(["buildah", *self._storage, "rmi", "--force", "bench"], {}, check=False)
        run(["buildah", *self._storage, "rmi", "--prune", "--force"], {}, check=False)

    def build(self) -> None:
        run(
            ["buildah", *self._storage, "build", "--quiet", "--layers", "--isolation", "chroot", "--network", "host",
             "--pull-never", "--tag", "bench", str(self._context)],
            {},
        )  # fmt: skip

    def load_base(self, rootfs: Path) -> None:
        """Take ``rootfs``, a tar file, for the base image."""
        context = self._context.with_name("buildah-base")
        context.mkdir(exist_ok=True)
        shutil.copy(rootfs, context / "rootfs.tar")
        (context / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
        run(
            ["buildah", *self._storage, "build", "--quiet", "--isolation", "chroot", "--tag", "taskimage-bench-base", str(context)],
            {},
        )  # fmt: skip


def make_context(folder: Path) -> Path:
    """The folder that the peers build: Dockerfile and sources."""
    context = folder / "context"
    shutil.copytree(HERE / "shop", context / "shop")
    (context / "Dockerfile").write_text(DOCKERFILE)
    return context


def make_base(folder: Path) -> Path:
    """A root file system with Debian, apt, Python and uv, as the base image that the peers start from."""
    from taskimage.adapters.debian.mirrors import Mirrors

    rootfs = folder / "base.tar"
    mirror = Mirrors.find((), Path("/etc/apt")).of("debian")[0]
    uv = Path(sys.executable).with_name("uv")
    run(
        ["mmdebstrap", "--variant=apt", "--include=python3.11,ca-certificates", "--quiet",
         f"--customize-hook=copy-in {uv} /usr/local/bin",
         # What this host trusts, which may be a company's proxy.
         "--customize-hook=copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs", "bookworm", str(rootfs), mirror],
        {},
    )  # fmt: skip
    return rootfs


def docker_client() -> str:
    """A Docker client that speaks to BuildKit: from 23 on it takes a plug-in for that, which may be missing."""
    for program in (shutil.which("docker"), "/usr/bin/docker"):
        if program and Path(program).exists():
            version = subprocess.run(
                [program, "--version"], capture_output=True, text=True, check=True
            ).stdout
            plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False)
            if plugin.returncode == 0 or int(version.split()[2].split(".")[0]) < 23:
                return program
    sys.exit("no Docker client here can use BuildKit")


@contextlib.contextmanager
def docker_engine(folder: Path) -> Iterator[Path | None]:
    """The socket of a Docker engine that runs within the block; None where none can be started."""
    program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        yield None
        return
    # Sockets have short names.
    with tempfile.TemporaryDirectory(prefix="tib") as short, (folder / "dockerd.log").open("wb") as log:
        socket = Path(short) / "docker.sock"
        engine = subprocess.Popen(
            [program, "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root", str(folder / "docker"),
             "--exec-root", f"{short}/exec", "--pidfile", f"{short}/pid", "--host", f"unix://{socket}"],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield socket if _answers(socket, engine) else None
        finally:
            engine.terminate()
            engine.wait(30)


def _answers(socket: Path, engine: subprocess.Popen[bytes]) -> bool:
    for _ in range(100):
        if engine.poll() is not None:
            return False
        probe = subprocess.run(
            [docker_client(), "version"],
            env={**os.environ, "DOCKER_HOST": f"unix://{socket}"},
            capture_output=True,
            check=False,
        )
        if probe.returncode == 0:
            return True
        time.sleep(0.2)
    return False
