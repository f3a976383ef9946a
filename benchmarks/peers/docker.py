"""BuildKit, in a Docker engine that is started for the benchmark on a private socket."""

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
from shlex import join, quote

from benchmarks.cases import Case
from benchmarks.commands import Command, run
from benchmarks.peers import Ground
from benchmarks.projects import STATES, fleet, write

__all__ = ["Docker", "Engine", "docker_client", "docker_engine"]

_BASE = "taskimage-bench-base"


class Engine:
    """A running Docker engine: where it listens, and its process."""

    def __init__(self, socket: Path, process: subprocess.Popen[bytes]) -> None:
        self.environment = {"DOCKER_BUILDKIT": "1", "DOCKER_HOST": f"unix://{socket}"}
        self.pid = process.pid


class Docker:
    """``docker build`` and ``docker push``."""

    name = "docker"
    cases = frozenset(("cold", "nothing", "edited", "added", "bumped", "locked", "plain", "fleet"))
    most = 2

    def __init__(self, engine: Engine, rootfs: Path) -> None:
        self._docker = docker_client()
        self._environment = engine.environment
        self.engine = engine.pid
        self._run("import", str(rootfs), _BASE)

    def forget(self) -> None:
        """The cache of builds, and all images but the base."""
        names = self._run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        if made := [name for name in names if not name.startswith(_BASE)]:
            self._run("image", "rm", "--force", *made)
        self._run("builder", "prune", "--all", "--force")

    def ready(self, case: Case, ground: Ground) -> Command:
        """The project in its state."""
        if case.name == "fleet":
            jobs = [self._job(folder, f"{ground.host}/{folder.name}:v1") for folder in fleet(ground.folder)]
            return self._shell(" && ".join(jobs))
        write(ground.folder / "project", STATES[case.name])
        image = f"{ground.host}/ml5"
        # flytekit's builder does not ask for it, but whoever knows BuildKit would.
        cache = ("--cache-from", f"{image}:cold") if case.name == "locked" else ()
        tag = "cold" if case.name == "nothing" else case.name
        return self._shell(self._job(ground.folder / "project", f"{image}:{tag}", *cache))

    def _job(self, folder: Path, reference: str, *options: str) -> str:
        build = [
            self._docker, "build", "--quiet", "--network", "host", "--build-arg", "BUILDKIT_INLINE_CACHE=1",
            "--tag", reference, *options, str(folder),
        ]  # fmt: skip
        return f"{join(build)} && {quote(self._docker)} push --quiet {quote(reference)}"

    def _shell(self, script: str) -> Command:
        return Command(["sh", "-c", script], self._environment)

    def _run(self, *words: str) -> str:
        return run(Command([self._docker, *words], self._environment))


def docker_client() -> str:
    """A Docker client that speaks to BuildKit: from 23 on it takes a plug-in for that, which may be missing."""
    for program in (shutil.which("docker"), "/usr/bin/docker"):
        if program and Path(program).exists():
            version = run(Command([program, "--version"]))
            plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False)
            if plugin.returncode == 0 or int(version.split()[2].split(".")[0]) < 23:
                return program
    sys.exit("no Docker client here can use BuildKit")


@contextlib.contextmanager
def docker_engine(folder: Path) -> Iterator[Engine | None]:
    """A Docker engine that runs within the block; None where none can be started."""
    program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        yield None
        return
    # Sockets have short names.
    with tempfile.TemporaryDirectory(prefix="tib") as short, (folder / "dockerd.log").open("wb") as log:
        socket = Path(short) / "docker.sock"
        process = subprocess.Popen(
            [program, "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root", str(folder / "docker"),
             "--exec-root", f"{short}/exec", "--pidfile", f"{short}/pid", "--host", f"unix://{socket}"],
            stdout=log, stderr=log,
        )  # fmt: skip
        engine = Engine(socket, process)
        try:
            yield engine if _answers(engine, process) else None
        finally:
            process.terminate()
            process.wait(300)


def _answers(engine: Engine, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(100):
        if process.poll() is not None:
            return False
        probe = subprocess.run(
            [docker_client(), "version"],
            env={**os.environ, **engine.environment},
            capture_output=True,
            check=False,
        )
        if probe.returncode == 0:
            return True
        time.sleep(0.2)
    return False
