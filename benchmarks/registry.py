"""Measure moving an image to, from and between registries here and with skopeo, in one run, interleaved."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeAlias

import platformdirs
from benchmarks.commands import Cost, measured, run
from benchmarks.figures import machine, spread
from tests.dockerregistry import docker_registry

from taskimage.testing import Registry

HERE = Path(__file__).resolve().parent
SPEC = HERE / "ml5.yaml"
TASKIMAGE = str(Path(sys.executable).with_name("taskimage"))
PEER = "skopeo copy"
CASES = ("push", "push again", "pull", "copy")

Figures: TypeAlias = dict[str, dict[str, list[Cost]]]
"""What the jobs cost, by case and mover."""


class Ground(NamedTuple):
    """Where one mover does all of its jobs: an image layout, two registries, and an empty folder."""

    image: Path
    first: str
    second: str
    empty: Path


Jobs: TypeAlias = Callable[[Ground], Mapping[str, Sequence[str]]]
"""The commands of one mover, by case; those of the later cases need what the earlier ones did."""


def copying(*copy: str, scheme: str = "") -> Jobs:
    """What a command does that copies from place to place; those of registries begin with ``scheme``."""

    def jobs(ground: Ground) -> Mapping[str, Sequence[str]]:
        here, there = (f"{scheme}{host}/ml5:v1" for host in (ground.first, ground.second))
        push = (*copy, f"oci:{ground.image}", here)
        pull = (*copy, here, f"oci:{ground.empty}/pulled:v1")
        return dict(zip(CASES, (push, push, pull, (*copy, here, there)), strict=True))

    return jobs


def building(ground: Ground) -> Mapping[str, Sequence[str]]:
    """What ``taskimage build`` does with a store that has every layer: it resolves, asks the registry, and pushes."""
    build = (TASKIMAGE, "build", "--quiet", "--registry", ground.first, str(SPEC))
    return {"push": build, "push again": build}


def floor(ground: Ground) -> Mapping[str, Sequence[str]]:
    """The least that Python can do."""
    program = (sys.executable, "-I", "-S", str(HERE / "floor.py"))
    return {
        "push": (*program, "push", str(ground.image), ground.first),
        "pull": (*program, "pull", ground.first, f"{ground.empty}/pulled"),
    }


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each side does each case")
    parser.add_argument(
        "--folder", type=Path, default=_cache(), help="where the store is kept, and all else is"
    )
    parser.add_argument("--json", type=Path, default=HERE / "registry.json", help="where the figures go")
    arguments = parser.parse_args()
    for program in ("docker-registry", "skopeo"):
        if not shutil.which(program):
            sys.exit(f"needs {program}")
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "TASKIMAGE_HOME": str(folder / "home"),
        # As an installed command has it: compiled once.
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    movers = {
        # Its store has nothing, and keeps nothing: what is there would not be fetched.
        "taskimage copy": copying("env", f"TASKIMAGE_HOME={folder / 'empty'}", TASKIMAGE, "copy", "--quiet"),
        PEER: copying(
            "skopeo",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            scheme="docker://",
        ),
        "taskimage build": building,
        "http.client": floor,
    }
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        image = Path(temporary) / "image"
        run([TASKIMAGE, "build", "--quiet", "--no-push", "--output", f"oci:{image}", str(SPEC)], environment)
        requests = counted(movers, image, environment)
        costs = measure(movers, image, environment, arguments.runs)
        size = sum(file.stat().st_size for file in image.rglob("*") if file.is_file())
    result = {
        "machine": machine(),
        "load before": round(load, 1),
        "runs": arguments.runs,
        "megabytes": round(size / 1e6, 1),
        "requests": requests,
        "costs": {
            case: {
                name: {part: [getattr(cost, part) for cost in listed] for part in Cost._fields}
                for name, listed in by_mover.items()
            }
            for case, by_mover in costs.items()
        },
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{machine()}; load {load:.1f} before; {size / 1e6:.1f} MB; median (smallest to largest)\n")
    show(costs, requests)


def measure(movers: Mapping[str, Jobs], image: Path, environment: Mapping[str, str], runs: int) -> Figures:
    """What each job costs, by case and mover; they take turns, with new registries for each turn."""
    costs: Figures = {case: {} for case in CASES}
    for number in range(runs):
        for name, jobs in movers.items():
            with ExitStack() as stack:
                # On the disk that the image is on.
                folders = [
                    Path(stack.enter_context(tempfile.TemporaryDirectory(dir=image.parent))) for _ in "123"
                ]
                first, second = (stack.enter_context(docker_registry(folder)).host for folder in folders[:2])
                ground = Ground(image, first, second, folders[2])
                for case, command in jobs(ground).items():
                    # Nobody pays for what others have left to write.
                    os.sync()
                    costs[case].setdefault(name, []).append(measured(command, environment))
            print(f"run {number + 1}: {name} done", file=sys.stderr)
    return costs


def counted(
    movers: Mapping[str, Jobs], image: Path, environment: Mapping[str, str]
) -> dict[str, dict[str, int]]:
    """How many requests each job makes, by case and mover."""
    requests: dict[str, dict[str, int]] = {case: {} for case in CASES}
    for name, jobs in movers.items():
        with (
            Registry() as first,
            Registry() as second,
            tempfile.TemporaryDirectory(dir=image.parent) as folder,
        ):
            ground = Ground(image, first.host, second.host, Path(folder))
            for case, command in jobs(ground).items():
                first.clear_requests()
                run(command, environment)
                requests[case][name] = len(first.requests) + len(second.requests)
    return requests


def show(costs: Figures, requests: Mapping[str, Mapping[str, int]]) -> None:
    """A table with medians, spread, and how many times as fast as the peer."""
    print(f"| case | mover | seconds | times as fast as {PEER} | CPU seconds | peak RSS, MB | requests |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case, by_mover in costs.items():
        reference = statistics.median(cost.wall for cost in by_mover[PEER])
        for name, listed in by_mover.items():
            wall, cpu, memory = ([cost[part] for cost in listed] for part in range(3))
            ratio = reference / statistics.median(wall)
            print(
                f"| {case} | {name} | {spread(wall)} | {ratio:.1f} | {statistics.median(cpu):.2f} | "
                f"{statistics.median(memory):.0f} | {requests[case][name]} |"
            )


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("taskimage-benchmarks", appauthor=False))


if __name__ == "__main__":
    main()
