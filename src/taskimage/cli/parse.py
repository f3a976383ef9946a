"""``taskimage parse``."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.cli.parser import Parser
from taskimage.cli.results import each, show

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``parse``."""
    made = Parser(
        "parse",
        "Read image identifiers strictly, and print each as the JSON of an Image: name, fqn, tag, digest.",
        usage="[--name NAME] IDENTIFIER…",
        examples=[
            "taskimage parse ghcr.io/org/train:v1",
            "taskimage parse --name gpu localhost:5000/train@sha256:…",
        ],
    )
    made.add_argument(
        "identifiers", metavar="IDENTIFIER", nargs="+", help="repository:tag or repository@digest"
    )
    made.add_argument("--name", default="default", help="the name of the Image (default: %(default)s)")
    return made


def execute(words: Sequence[str]) -> int:
    """Print one JSON Image a line."""
    from taskimage.model.image import Image

    values = parser().parse(words)

    def one(identifier: str) -> int:
        show(Image.parse(identifier, name=values.name).to_json())
        return 0

    return each(values.identifiers, one)
