"""``taskimage schema``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from taskimage.cli.parser import Parser
from taskimage.cli.results import show

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``schema``."""
    return Parser(
        "schema",
        "Print the JSON Schema of the YAML, for an editor that completes, explains and checks it.\n"
        "A first line such as this one tells a YAML language server where it is:\n"
        "  # yaml-language-server: $schema=image.schema.json",
        usage="[--help]",
        examples=["taskimage schema > image.schema.json", "taskimage schema | python -m json.tool"],
    )


def execute(words: Sequence[str]) -> int:
    """Print the schema."""
    from taskimage.model.spec.jsonschema import schema

    parser().parse(words)
    show(json.dumps(schema(), ensure_ascii=False, indent=2))
    return 0
