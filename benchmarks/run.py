"""Measure every case, here and with what people use today, in one run, interleaved."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.bigwheels import big_wheels
from benchmarks.cases import CASES, chosen, needed
from benchmarks.figures import Cost, machine, versions
from benchmarks.material import Material
from benchmarks.peers import Peer
from benchmarks.peers.buildah import Buildah
from benchmarks.peers.docker import Docker, docker_engine
from benchmarks.peers.least import Floor
from benchmarks.peers.ours import Taskimage
from benchmarks.peers.skopeo import Skopeo
from benchmarks.playing import played
from benchmarks.report import PLOT, RESULTS, Result, details, plot, summary
from benchmarks.setting import base_layout, base_rootfs, installed_taskimage

PEERS = (Taskimage.name, Docker.name, Buildah.name, Skopeo.name, Floor.name)


def main() -> None:
    """Measure, print tables, write figures and plot."""
    arguments = _arguments()
    # Whatever ends it, what it started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="taskimage-bench", dir=arguments.folder))
        )
        wanted = chosen(arguments.case, big=bool(arguments.big))
        peers = list(_peers(stack, folder, wanted, arguments.peer, arguments.big))
        costs: dict[str, dict[str, list[Cost]]] = {}
        for peer, case, cost in played(peers, wanted, arguments.runs, folder):
            costs.setdefault(case, {}).setdefault(peer, []).append(cost)
            _say(f"turn {len(costs[case][peer])}: {peer}: {case}: {cost.wall:.2f} s")
        # Before anything is taken down, which can fail too.
        result = Result(
            machine=machine(),
            date=datetime.now(timezone.utc).date().isoformat(),
            versions=versions(),
            load=(load, os.getloadavg()[0]),
            runs=arguments.runs,
            figures={case: costs[case] for case in CASES if case in costs},
        )
        RESULTS.write_text(result.to_json(), "utf-8")
        PLOT.write_text(plot(result), "utf-8")
        print("\n".join([*summary(result), "", *details(result)]))


def _peers(
    stack: ExitStack, folder: Path, wanted: Container[str], names: Sequence[str], big: float
) -> Iterator[Peer]:
    """Those of ``names``, set up; those that cannot be are left out, and said so."""
    for tool in ("docker-registry", "skopeo", "mmdebstrap"):
        if not shutil.which(tool):
            sys.exit(f"needs {tool}: scripts/setup installs it, on Debian as root")
    _say("setting up: our command, the base image, images and locks")
    program, rootfs = installed_taskimage(), base_rootfs()
    wheels = stack.enter_context(big_wheels(folder / "big", big)) if big else None
    material = Material(folder, program, base_layout(rootfs), needed(wanted), wheels)
    if Taskimage.name in names:
        yield Taskimage(program, folder, material)
    if Docker.name in names:
        if engine := stack.enter_context(docker_engine(folder)):
            yield Docker(engine, rootfs)
        else:
            _say("no Docker engine can be started here")
    if Buildah.name in names:
        if shutil.which("buildah"):
            buildah = Buildah(folder, base_layout(rootfs))
            stack.callback(buildah.close)
            yield buildah
        else:
            _say("there is no buildah here")
    if Skopeo.name in names:
        yield Skopeo(material)
    if Floor.name in names:
        yield Floor(material)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="in how many turns each peer takes part, at most")
    parser.add_argument(
        "--case", nargs="+", choices=list(CASES), default=[], metavar="NAME", help=", ".join(CASES)
    )
    parser.add_argument(
        "--peer", nargs="+", choices=PEERS, default=PEERS, metavar="NAME", help=", ".join(PEERS)
    )
    parser.add_argument(
        "--big", type=float, default=0, metavar="GB", help="an image of this size too, of synthetic wheels"
    )
    parser.add_argument(
        "--folder", type=Path, help="where all of it happens: a disk with 10 GB, four times --big beside"
    )
    arguments = parser.parse_args()
    if "big" in arguments.case and not arguments.big:
        parser.error("--case big wants --big GB")
    return arguments


if __name__ == "__main__":
    main()
