"""``taskimage copy``."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress
from taskimage.cli.results import show

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``copy``."""
    made = Parser(
        "copy",
        "Copy an image from one place to another, and print where it is, pinned. Manifests and layers stay bit for\n"
        "bit the same; what comes from a docker-archive, which has no manifest, gets one.\n"
        "A place is a reference (host/path:tag, host/path@sha256:…), oci:DIR[:NAME] (an image layout), or\n"
        "docker-archive:FILE[:NAME] (what docker save writes). What the target has is not sent again.",
        usage="[--platform OS/ARCH] SRC DST",
        examples=[
            "taskimage copy python:3.12-slim registry.example.com/mirror/python:3.12-slim",
            "taskimage copy --platform linux/amd64 registry.example.com/team/app:v1 docker-archive:app.tar",
            "taskimage copy oci:out registry.example.com/team/app:v1",
        ],
    )
    made.add_argument("--platform", metavar="OS/ARCH", help="copy the image for this platform alone")
    made.add_quiet()
    made.add_argument("source", metavar="SRC", help="the image")
    made.add_argument("target", metavar="DST", help="where it goes; an image of that name there is replaced")
    return made


def execute(words: Sequence[str]) -> int:
    """Print the place that the image has been copied to."""
    values = parser().parse(words)
    from taskimage.model.oci import Platform
    from taskimage.verbs.copy import copy

    platform = Platform.parse(values.platform) if values.platform else None
    with progress(quiet=values.quiet) as listener:
        place = copy(values.source, values.target, platform=platform, listener=listener)
    show(place)
    return 0
