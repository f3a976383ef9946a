"""Measure `Image` and `Reference` against flytekit with dataclasses-json and docker-image-py, in one run, interleaved."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import timeit
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import machine

HERE = Path(__file__).resolve().parent
PEERS = ("flytekit==1.16.31", "docker-image-py==0.2.0")
IDENTIFIER = "ghcr.io/org/app:v1"
IDENTIFIERS = (
    "ubuntu",
    "ubuntu:24.04",
    "org/app:v1",
    "localhost:5000/a/b:v1",
    IDENTIFIER,
    "ghcr.io/org/app@sha256:" + "0a" * 32,
    "registry.example.org:5000/a/b/c:v1.2.3-rc.4@sha256:" + "0a" * 32,
)


class Target(NamedTuple):
    """How many times as fast as the peer a call has to be."""

    call: str
    factor: float


TARGETS = (
    Target("Image.look_up_image_info", 1),
    Target("Image.from_dict", 20),
    Target("Image.from_json", 20),
    Target("Image.to_dict", 10),
    Target("Image.to_json", 10),
    Target("Image.schema", 1),
    Target("Reference.parse", 3),
)
IMPORT_MILLISECONDS = 30
IMPORT_MODULES = 60


def main() -> int:
    """Measure, print a table, write the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--json", type=Path, default=HERE / "api.json", help="where the figures go")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        json.dump(microseconds(ours() if arguments.side == "ours" else theirs()), sys.stdout)
        return 0
    peers = peer_python()
    calls: dict[str, dict[str, list[float]]] = {"ours": {}, "theirs": {}}
    imports: dict[str, list[float]] = {"bare": [], "ours": [], "theirs": []}
    for run in range(arguments.runs):
        for side, python in (("ours", sys.executable), ("theirs", peers)):
            for call, figure in _measured_in(python, side).items():
                calls[side].setdefault(call, []).append(figure)
        for _ in range(5):
            imports["bare"].append(_start(sys.executable, "pass"))
            imports["ours"].append(_start(sys.executable, "from taskimage import Image"))
        imports["theirs"].append(_start(peers, "from flytekit.configuration import Image"))
        print(f"run {run + 1} done", file=sys.stderr)
    result = {
        "machine": machine(),
        "peers": PEERS,
        "runs": arguments.runs,
        "modules": _modules(),
        "milliseconds": imports,
        "microseconds": calls,
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return show(result)


# -- what is called --------------------------------------------------------------------------------------


def ours() -> dict[str, Callable[[], Any]]:
    """The calls of this project."""
    from taskimage import Image, Reference

    return {
        **_image_calls(Image),
        "Reference.parse": lambda: [Reference.parse(text) for text in IDENTIFIERS],
    }


def theirs() -> dict[str, Callable[[], Any]]:
    """The same calls of the peers."""
    from docker_image.reference import Reference
    from flytekit.configuration import Image

    return {
        **_image_calls(Image),
        # Its faster function, which fills in no registry; parse_normalized_named does what ours does.
        "Reference.parse": lambda: [Reference.parse(text) for text in IDENTIFIERS],
    }


def _image_calls(kind: Any) -> dict[str, Callable[[], Any]]:
    image = kind("default", "ghcr.io/org/app", tag="v1")
    document, text = image.to_dict(), image.to_json()
    return {
        "Image.look_up_image_info": lambda: kind.look_up_image_info("default", IDENTIFIER),
        "Image.from_dict": lambda: kind.from_dict(document),
        "Image.from_json": lambda: kind.from_json(text),
        "Image.to_dict": image.to_dict,
        "Image.to_json": image.to_json,
        "Image.schema": kind.schema,
    }


def microseconds(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The best of several series for each call: what it costs while nothing else runs."""
    warnings.simplefilter("ignore")  # their schema() has some at every call
    best = {}
    for name, call in calls.items():
        timer = timeit.Timer(call)
        number = max(1, int(0.02 / max(timer.timeit(3) / 3, 1e-7)))
        best[name] = round(min(timer.repeat(7, number)) / number * 1e6, 3)
    return best


# -- how it is run ---------------------------------------------------------------------------------------


def peer_python() -> str:
    """The interpreter of an environment with the peers, made where caches belong and used again."""
    import platformdirs
    import uv

    name = f"{'-'.join(PEERS)}-py{platform.python_version()}"
    folder = Path(platformdirs.user_cache_dir("taskimage-benchmarks", appauthor=False)) / name
    python = folder / "bin" / "python"
    command = [uv.find_uv_bin(), "--quiet"]
    subprocess.run(
        [*command, "venv", "--allow-existing", "--python", sys.executable, str(folder)], check=True
    )
    subprocess.run([*command, "pip", "install", "--python", str(python), *PEERS], check=True)
    return str(python)


def _measured_in(python: str, side: str) -> dict[str, float]:
    command = [python, "-m", "benchmarks.api", "--side", side]
    done = subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _start(python: str, statement: str) -> float:
    """Milliseconds of an interpreter that does ``statement`` and ends."""
    started = time.perf_counter()
    subprocess.run([python, "-c", statement], check=True)
    return round((time.perf_counter() - started) * 1e3, 2)


def _modules() -> int:
    program = (
        "import sys; bare = len(sys.modules); from taskimage import Image; print(len(sys.modules) - bare)"
    )
    return int(subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE).stdout)


def show(result: dict[str, Any]) -> int:
    """A table with medians and targets; 1 when one is missed."""
    print(f"{result['machine']}; {', '.join(result['peers'])}; medians of {result['runs']} runs\n")
    print("| what | ours | theirs | ratio | wanted |")
    print("| --- | --- | --- | --- | --- |")
    bare, mine, peers = (
        statistics.median(result["milliseconds"][side]) for side in ("bare", "ours", "theirs")
    )
    missed = [] if mine - bare <= IMPORT_MILLISECONDS and result["modules"] < IMPORT_MODULES else ["import"]
    print(
        f"| import Image, over bare Python | {mine - bare:.1f} ms | {peers - bare:.1f} ms | "
        f"{(peers - bare) / (mine - bare):.0f} | {IMPORT_MILLISECONDS} ms |"
    )
    print(f"| modules beyond bare Python | {result['modules']} | | | fewer than {IMPORT_MODULES} |")
    for call, factor in TARGETS:
        mine, peers = (statistics.median(result["microseconds"][side][call]) for side in ("ours", "theirs"))
        what = f"{call}, {len(IDENTIFIERS)} identifiers" if call == "Reference.parse" else call
        print(f"| {what} | {mine:.2f} µs | {peers:.2f} µs | {peers / mine:.1f} | {factor} |")
        if peers / mine < factor:
            missed.append(call)
    if missed:
        print(f"\nmissed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
