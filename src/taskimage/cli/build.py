"""``taskimage build``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.adapters.witness import watching
from taskimage.cli.errors import warn
from taskimage.cli.results import show
from taskimage.verbs.receipt import answer, question

TYPE_CHECKING = False  # spelled out: what a build waits for when nothing has changed is imports
if TYPE_CHECKING:
    from argparse import Namespace

    from taskimage.cli.parser import Parser
    from taskimage.verbs.receipt import Receipt

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``build``."""
    from taskimage.cli.parser import Parser

    made = Parser(
        "build",
        "Build the image of a YAML file, from its lock where it has one, publish it when it has a registry, and\n"
        "print it as name:tag@digest. What the registry or the store has already is not made again.",
        usage="[OPTION…] SPEC…",
        examples=[
            "taskimage build image.yaml",
            "taskimage build --dry-run image.yaml",
            "taskimage build --locked --offline image.yaml -o oci:out",
            "taskimage build --registry localhost:5000 --platform linux/amd64,linux/arm64 image.yaml",
            "taskimage build --no-push --load image.yaml",
            "taskimage build --json --image-refs refs.txt train.yaml serve.yaml",
            "taskimage build --on dask:tcp://scheduler:8786 specs/*.yaml",
        ],
    )
    made.add_specs()
    made.add_argument(
        "-o",
        "--output",
        metavar="KIND:PATH",
        help="write the image too: oci:DIR, or docker-archive:FILE for docker load",
    )
    made.add_argument(
        "--load", action="store_true", help="hand the image to a running Docker, Podman or containerd too"
    )
    made.add_argument("--locked", action="store_true", help="refuse to build without a fresh lock")
    made.add_argument("--offline", action="store_true", help="fetch nothing; build from what the store has")
    made.add_argument("--force", action="store_true", help="make everything again, whatever exists")
    made.add_argument(
        "--no-cache-from", dest="cached", action="store_false",
        help="do not believe the registry's list of layers (its tag buildcache)",
    )  # fmt: skip
    made.add_argument(
        "--verify",
        action="store_true",
        help="make every layer again, and compare it with what is known of it",
    )
    made.add_argument("--dry-run", action="store_true", help="tell what would be fetched and made, and stop")
    made.add_argument(
        "--platform",
        metavar="OS/ARCH",
        help="build for this platform, such as linux/arm64; several with commas",
    )
    made.add_argument(
        "--on",
        metavar="CLUSTER",
        help="have the layers made by a cluster of Dask, dask:tcp://HOST:PORT, whose workers share the registry alone",
    )
    made.add_argument("--registry", help="publish the image below this registry")
    made.add_argument("-t", "--tag", help="give the image this tag")
    push = made.add_mutually_exclusive_group()
    push.add_argument("--push", action="store_true", default=None, help="push the image to its registry")
    push.add_argument("--no-push", dest="push", action="store_false", help="keep the image in the store")
    made.add_argument(
        "--image-refs", type=Path, metavar="FILE", help="write the references to this file, one a line"
    )
    made.add_argument("--json", action="store_true", help="print each Image as JSON")
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Print one line for each spec."""
    with watching() as witness:
        settings = Settings.load()
        asked = question(words, os.environ)
        if receipt := answer(settings, asked):
            _repeat(receipt)
            return 0
        values = parser().parse(words)
        from taskimage.cli.building import Building

        building = Building(values, settings)
        code = building.all()
        if code == 0 and not _does_more(values) and (marks := witness.settled()) is not None:
            building.keep_receipt(asked, marks, witness.contents)
    return code


def _repeat(receipt: Receipt) -> None:
    """Say again what the build said that left ``receipt``."""
    for text, hint in receipt.warnings:
        warn(text, hint)
    for text in receipt.notices:
        print(text, file=sys.stderr)
    for line in receipt.lines:
        show(line)


def _does_more(values: Namespace) -> bool:
    """Whether something is wanted even where the image is there."""
    return any((values.output, values.image_refs, values.load, values.force, values.verify, values.dry_run))
