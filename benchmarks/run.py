"""Measure the main job here and with what people use today, in one run, interleaved."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import machine, spread
from benchmarks.peers import Buildah, Docker, Peer, Taskimage, docker_engine, make_base, make_context

HERE = Path(__file__).resolve().parent
CASES = ("cold", "nothing changed")


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often each builder does each case")
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="where the figures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="taskimage-bench") as name:
        folder = Path(name)
        context = make_context(folder)
        with docker_engine(folder) as socket:
            base = make_base(folder)
            peer: Docker | Buildah = Docker(context, socket) if socket else Buildah(context, folder)
            peer.load_base(base)
            times = measure([Taskimage(folder), Taskimage(folder, bytecode=False), peer], arguments.runs)
    result = {
        "machine": machine(),
        "runs": arguments.runs,
        "seconds": times,
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    show(times, peer.name)


def measure(peers: Sequence[Peer], runs: int) -> dict[str, dict[str, list[float]]]:
    """Wall seconds by case and builder; the builders take turns, so that a slow minute hits them all."""
    times: dict[str, dict[str, list[float]]] = {case: {peer.name: [] for peer in peers} for case in CASES}
    for run in range(runs):
        for peer in peers:
            peer.forget()
            for case in CASES:
                start = time.perf_counter()
                peer.build()
                times[case][peer.name].append(round(time.perf_counter() - start, 3))
            print(f"run {run + 1}: {peer.name} done", file=sys.stderr)
    return times


def show(times: dict[str, dict[str, list[float]]], against: str) -> None:
    """A table with medians, spread, and how many times faster than ``against``."""
    print(
        f"{machine()}; wall seconds: median (smallest to largest), and how many times as fast as {against}\n"
    )
    print("| case | builder | seconds | ratio |")
    print("| --- | --- | --- | --- |")
    for case, by_peer in times.items():
        reference = statistics.median(by_peer[against])
        for name, seconds in by_peer.items():
            ratio = reference / statistics.median(seconds)
            print(f"| {case} | {name} | {spread(seconds)} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
