"""``taskimage build``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskimage.adapters.atomic import replacing
from taskimage.adapters.settings import Settings
from taskimage.cli.parser import Parser, platforms
from taskimage.cli.progress import progress
from taskimage.cli.results import each, show
from taskimage.model.errors import BadInput
from taskimage.model.events import Notice

if TYPE_CHECKING:
    from taskimage.verbs.export import Output

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``build``."""
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
    values = parser().parse(words)
    if values.dry_run and (values.output or values.image_refs or values.load):
        raise BadInput("--dry-run makes nothing that --output, --load or --image-refs could take")
    if values.dry_run:
        return each(values.specs, lambda spec: _preview(spec, values))
    output = _output(values.output) if values.output else None
    if output and not output.holds_many and len(values.specs) > 1:
        raise BadInput(f"{values.output!r} holds one image, and {len(values.specs)} SPECs are given")
    references: list[str] = []
    code = each(values.specs, lambda spec: _build(spec, values, output, references))
    if values.image_refs is not None:
        with replacing(values.image_refs) as file:
            file.write("".join(f"{reference}\n" for reference in references).encode())
    return code


def _output(text: str) -> Output:
    from taskimage.verbs.export import parse_output

    return parse_output(text)


def _build(spec: Path, values: Namespace, output: Output | None, references: list[str]) -> int:
    from taskimage.verbs.build import build

    settings = Settings.load()
    with progress(quiet=values.quiet) as listener:
        built = build(
            spec, **_asked(values), push=values.push, keep=bool(output or values.load), cached=values.cached,
            verify=values.verify, settings=settings, listener=listener,
        )  # fmt: skip
        if built.fresh:
            where = "registry" if built.published else "store"
            listener(Notice(f"nothing to do: the {where} has this image"))
        if output is not None:
            from taskimage.verbs.export import export

            export(built, output, settings=settings, listener=listener)
        if values.load:
            from taskimage.verbs.export import load

            load(built, settings=settings, listener=listener)
    references.append(built.reference)
    show(built.image.to_json() if values.json else built.reference)
    return 0


def _preview(spec: Path, values: Namespace) -> int:
    from taskimage.verbs.preview import preview

    with progress(quiet=values.quiet) as listener:
        found = preview(spec, **_asked(values), settings=Settings.load(), listener=listener)
        for origin in found.layers:
            listener(Notice(f"would make a layer: {origin}"))
        listener(Notice(f"would fetch {found.fetches} packages, {found.bytes / 1e6:.1f} MB"))
        listener(Notice(f"would make {len(found.layers)} layers; the store has {found.known_layers}"))
    show(found.image.to_json() if values.json else found.image.full)
    return 0


def _asked(values: Namespace) -> dict[str, Any]:
    """What building and previewing have in common, by the names of their arguments."""
    names = ("root", "locked", "offline", "force", "registry", "tag")
    return {**{name: getattr(values, name) for name in names}, "platform": platforms(values.platform)}
