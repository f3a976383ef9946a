"""os-release(5): which distribution of Linux a base is."""

from __future__ import annotations

import re

__all__ = ["parse_os_release"]

_ASSIGNMENT = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)=(?:"(.*)"|'(.*)'|(.*))""")
_ESCAPED = re.compile(r"""\\([$"'\\`])""")


def parse_os_release(text: str) -> dict[str, str]:
    r"""The fields of ``text``; lines that are no assignment are passed over, and of two the last counts.

    >>> parse_os_release('# a comment\nID=debian\nNAME="A \\"good\\" one"')
    {'ID': 'debian', 'NAME': 'A "good" one'}
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if match := _ASSIGNMENT.fullmatch(line.strip()):
            name, double, single, bare = match.groups()
            # Nothing is special between single quotes (POSIX shell, 2.2.2).
            fields[name] = (
                single if single is not None else _ESCAPED.sub(r"\1", double if bare is None else bare)
            )
    return fields
