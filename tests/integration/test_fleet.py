"""Many specs on a real Dask cluster: processes with stores of their own, which share the registry and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.case import Case
from tests.command import Command
from tests.dockerregistry import DockerRegistry, docker_registry

pytest.importorskip("distributed")
pytestmark = pytest.mark.integration

COUNT = 4


@dataclass
class Cluster:
    """A scheduler, and workers that come and go."""

    case: Case
    folder: Path
    stack: contextlib.ExitStack
    address: str = ""

    def start(self) -> None:
        """The scheduler answers."""
        said = self.folder / "scheduler.log"
        self._run(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show", log=said,
            environ={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"},
        )  # fmt: skip
        self.address = self._awaited(said, r"Scheduler at:\s+(tcp://\S+)")

    def add(self, name: str, **environ: str) -> subprocess.Popen[bytes]:
        """A worker, with one thread and a store that nobody else has."""
        said = self.folder / f"{name}.log"
        worker = self._run(
            "worker", self.address, "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1", "--no-dashboard",
            "--local-directory", str(self.folder / name), log=said,
            environ={**self.case.environ, "TASKIMAGE_HOME": str(self.home(name)), **environ},
        )  # fmt: skip
        self._awaited(said, r"(Registered to)")
        return worker

    def home(self, name: str) -> Path:
        """The store of a worker."""
        return self.folder / f"home of {name}"

    def made(self, name: str) -> set[str]:
        """The keys of the layers that a worker has made."""
        return {path.name for path in (self.home(name) / "records" / "layers").glob("*")}

    def _run(self, *words: str, log: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("dask")), *words],
                env={**os.environ, **environ}, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def _awaited(self, log: Path, pattern: str) -> str:
        for _ in range(300):
            if found := re.search(pattern, log.read_text()):
                return found[1]
            time.sleep(0.1)
        pytest.fail(log.read_text())


@pytest.fixture
def cluster(case: Case, tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        made = Cluster(case, folder, stack)
        made.start()
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    with docker_registry(folder) as started:
        yield started


def specs(case: Case, host: str) -> list[str]:
    """Specs that share a big wheel and Debian's packages, each with wheels of its own, and locks."""
    found = []
    for number in range(COUNT):
        case.index.add(f"own{number}", "1.0", files={f"own{number}.py": os.urandom(1 << 16)})
        case.spec(name=f"image{number}", registry=host, packages=["demo", f"own{number}"])
        found.append(str(case.spec_path.rename(case.folder / f"image{number}.yaml")))
    assert case.run("lock", *found)[0] == 0
    return found


def digests(out: str) -> list[str]:
    return [line.partition("@")[2] for line in out.splitlines()]


def test_a_cluster_that_loses_a_worker_makes_the_same_images_as_this_machine(
    case: Case, cluster: Cluster, registry: DockerRegistry, tmp_path: Path
) -> None:
    paths = specs(case, registry.host)
    first = cluster.add("first")
    cluster.add("second")
    # A wheel that the index keeps back keeps a worker busy until it dies.
    case.index.stalls = "before"
    building = Command(case.home, case.environ).start("build", f"--on=dask:{cluster.address}", *paths)
    try:
        for _ in range(300):
            if any(path.endswith(".whl") for path in case.index.asked):
                break
            time.sleep(0.1)
        time.sleep(0.5)
        first.send_signal(signal.SIGKILL)
    finally:
        case.index.stalls = ""
    out, err = building.communicate(timeout=120)
    assert building.returncode == 0, err
    assert [line.partition(":")[2].partition("/")[2].partition(":")[0] for line in out.splitlines()] == [
        f"image{number}" for number in range(COUNT)
    ]
    # What a worker made nobody else did, and what has to be made here was made here.
    here = {path.name for path in (case.home / "records" / "layers").glob("*")}
    assert len(cluster.made("second")) >= COUNT
    assert not here & cluster.made("second")
    alone = Command(tmp_path / "alone", case.environ).succeed("build", "--no-push", *paths)
    assert digests(out) == digests(alone)


def test_when_no_worker_is_left_the_build_ends_with_what_to_do(
    case: Case, cluster: Cluster, registry: DockerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskimage.adapters.cluster.PATIENCE", 1.0)
    paths = specs(case, registry.host)
    code, out, err = case.run("build", f"--on=dask:{cluster.address}", paths[0])
    assert (code, out) == (5, "")
    assert "there has been no worker at tcp://127.0.0.1:" in err
    assert "hint: start some: dask worker tcp://" in err


def test_a_worker_of_another_version_is_told_from_ours(
    case: Case, cluster: Cluster, registry: DockerRegistry, tmp_path: Path
) -> None:
    paths = specs(case, registry.host)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(
        "import taskimage.transform.layer as layer\nlayer.FORMAT = 0\n"
    )
    cluster.add("other", PYTHONPATH=f"{tmp_path / 'other'}:{os.environ.get('PYTHONPATH', '')}")
    code, out, err = case.run("build", f"--on=dask:{cluster.address}", paths[0])
    assert (code, out) == (2, "")
    assert re.search(
        r"a worker has taskimage \S+ with layers of format 0, and this is \S+ with format [1-9]", err
    )


def test_a_scheduler_that_is_not_there_is_unreachable(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskimage.adapters.cluster.ANSWER", 1.0)
    case.spec(registry="127.0.0.1:9")
    code, out, err = case.run("build", "--on=dask:tcp://127.0.0.1:9", str(case.spec_path))
    assert (code, out) == (5, "")
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in err
