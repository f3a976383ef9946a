"""Paragraphs of fields, the syntax of Debian's control files (policy 5.1, deb822(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

__all__ = ["paragraph", "paragraphs"]

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")


def paragraph(text: str, fields: Collection[str] | None = None) -> dict[str, str]:
    """The fields of one paragraph by their names in lower case; only ``fields`` when they are given.

    A folded or multi-line value keeps its line ends and loses the space that starts each line.
    """
    values: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            if name:
                values[name] += "\n" + line.strip()
        elif line[:1] != "#":
            name, colon, value = line.partition(":")
            name = name.lower() if colon and (fields is None or name.lower() in fields) else ""
            if name:
                values[name] = value.strip()
    return values


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of ``text``, which blank lines separate, in order; empty ones are left out."""
    for block in _BLANK_LINES.split(text.replace("\r\n", "\n")):
        if values := paragraph(block):
            yield values
