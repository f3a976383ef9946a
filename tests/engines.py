"""Container engines of our own, each in a folder that holds all of it: Docker, Podman, containerd."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Engine", "containerd", "docker", "podman"]


@dataclass(frozen=True)
class Engine:
    """A running engine: what says where it is, and its client."""

    environ: Mapping[str, str]
    command: tuple[str, ...]

    def __call__(self, *words: str) -> str:
        """What its client prints; it succeeds."""
        done = subprocess.run(
            (*self.command, *words), env={**os.environ, **self.environ}, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def docker(folder: Path) -> Iterator[Engine]:
    """Docker, which its client and ``DOCKER_HOST`` are told of."""
    address = f"unix://{folder}/socket"
    server = (
        "dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
        f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", f"--host={address}",
    )  # fmt: skip
    with _running(folder, server, ("docker", "-H", address), ("info",), {"DOCKER_HOST": address}) as engine:
        yield engine


@contextmanager
def containerd(folder: Path) -> Iterator[Engine]:
    """containerd, which `ctr` and ``CONTAINERD_ADDRESS`` are told of."""
    address = f"{folder}/socket"
    settings = folder / "config.toml"
    settings.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{address}"\n'
    )
    client = ("ctr", "--address", address)
    with _running(folder, ("containerd", "--config", str(settings)), client, ("version",), {"CONTAINERD_ADDRESS": address}) as engine:  # fmt: skip
        yield engine


@contextmanager
def podman(folder: Path) -> Iterator[Engine]:
    """Podman, which listens at ``CONTAINER_HOST``; its program uses the same images."""
    settings = folder / "storage.conf"
    settings.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    address = f"unix://{folder}/socket"
    # Told of a service, the program that is to be one would ask that.
    server = ("env", "--unset=CONTAINER_HOST", "podman", "system", "service", "--time=0", address)
    environ = {"CONTAINERS_STORAGE_CONF": str(settings), "CONTAINER_HOST": address}
    with _running(folder, server, ("podman", "--remote"), ("version",), environ) as engine:
        yield engine


@contextmanager
def _running(
    folder: Path, server: Sequence[str], client: tuple[str, ...], asked: tuple[str, ...], environ: Mapping[str, str]
) -> Iterator[Engine]:  # fmt: skip
    if os.geteuid() != 0 or not shutil.which(server[0]) or not shutil.which(client[0]):
        pytest.skip(f"cannot start an engine: it takes root, {server[0]} and {client[0]}")
    engine = Engine(environ, client)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(server, env={**os.environ, **environ}, stdout=log, stderr=log)
        try:
            if not _waited(process, lambda: engine(*asked)):
                pytest.skip(f"{server[0]} does not start here: {(folder / 'log').read_text()[-500:]}")
            yield engine
        finally:
            process.terminate()
            process.wait(60)


def _waited(process: subprocess.Popen[bytes], answers: Callable[[], object]) -> bool:
    for _ in range(150):
        if process.poll() is not None:
            return False
        try:
            answers()
        except AssertionError:
            time.sleep(0.2)
        else:
            return True
    return False
