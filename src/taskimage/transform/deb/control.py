"""Paragraphs of control fields (deb822(5), Debian policy 5.1)."""

from __future__ import annotations

import re

from taskimage.model.errors import IntegrityError

__all__ = ["parse_control"]

# Debian policy 5.6: package names, versions, architectures. They become file names in the image.
_REQUIRED = {
    "Package": r"[a-z0-9][a-z0-9+.-]+",
    "Version": r"(?:\d+:)?[A-Za-z0-9.+~-]+",
    "Architecture": r"[a-z0-9][a-z0-9-]*",
}
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")


def parse_control(data: bytes, *, where: str) -> dict[str, str]:
    """The fields of one paragraph in their order; a value keeps its continuation lines as they are.

    Raises IntegrityError for what is not one paragraph with a name, a version and an architecture.
    """
    fields: dict[str, str] = {}
    name = ""
    try:
        lines = data.decode("utf-8").strip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise IntegrityError("the control file is not UTF-8", where=where) from error
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            fields[name] += f"\n{line}"
        elif (match := _FIELD.fullmatch(line)) and match[1] not in fields:
            name = match[1]
            fields[name] = match[2]
        else:
            raise IntegrityError(f"not a line of a control file: {line!r:.200}", where=where)
    for name, pattern in _REQUIRED.items():
        if not re.fullmatch(pattern, fields.get(name, "")):
            raise IntegrityError(f"control field {name!r} is {fields.get(name)!r:.200}", where=where)
    return fields
