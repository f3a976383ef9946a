"""``taskimage pin``."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.cli.parser import Parser
from taskimage.cli.results import each, show
from taskimage.model.errors import TaskImageError

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``pin``."""
    made = Parser(
        "pin",
        "Ask registries what tags mean now, and print each identifier with its digest: repository:tag@sha256:…",
        usage="[--platform OS/ARCH] IDENTIFIER…",
        examples=[
            "taskimage pin ghcr.io/org/train:v1",
            "taskimage pin --platform linux/arm64 python:3.12-slim",
            "xargs taskimage pin < images.txt",
        ],
    )
    made.add_argument("identifiers", metavar="IDENTIFIER", nargs="+", help="an image in a registry")
    made.add_argument(
        "--platform",
        metavar="OS/ARCH",
        help="of an image for several platforms, pin the one for this platform",
    )
    return made


def execute(words: Sequence[str]) -> int:
    """Print one pinned reference a line, in the order of the arguments."""
    from taskimage.model.oci import Platform
    from taskimage.model.reference import Reference
    from taskimage.verbs.pin import pin_all

    values = parser().parse(words)
    platform = Platform.parse(values.platform) if values.platform else None

    def one(found: Reference | TaskImageError) -> int:
        if isinstance(found, TaskImageError):
            raise found
        show(str(found))
        return 0

    return each(pin_all(values.identifiers, platform=platform), one)
