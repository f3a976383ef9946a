"""The metadata that a Python script has in its comments (PyPA, inline script metadata)."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskimage.adapters.specfiles.checkedfile import open_regular
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

__all__ = ["ScriptMetadata"]

_START, _END = "# /// script", "# ///"
_CONTENT = re.compile(r"#(?: .*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptMetadata:
    """What a script needs: packages, and versions of Python; ``tool`` is what it says to programs."""

    dependencies: tuple[str, ...] = ()
    requires_python: str = ""
    tool: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> ScriptMetadata:
        """The metadata of the script ``path``. Raises BadInput where it has none, or none that can be read; NotFound."""
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        with open_regular(path) as file:
            text = file.read().decode("utf-8", "replace")
        try:
            document = tomllib.loads("\n".join(_block(text, str(path))))
        except tomllib.TOMLDecodeError as error:
            raise BadInput(f"the script's metadata is not TOML: {error}", where=str(path)) from error
        return cls(
            dependencies=tuple(document.get("dependencies", ())),
            requires_python=document.get("requires-python", ""),
            tool=document.get("tool", {}),
        )


def _block(text: str, where: str) -> list[str]:
    """The lines of the one block ``script``: it ends at the last mark before a line that is no comment."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line == _START]
    if len(starts) != 1:
        raise BadInput(
            f"the script has {len(starts)} blocks {_START!r}; wanted one",
            where=where,
            hint='write "# dependencies = […]" between "# /// script" and "# ///"',
        )
    found: list[str] = []
    for line in lines[starts[0] + 1 :]:
        if not _CONTENT.fullmatch(line):
            break
        found.append(line)
    if _END not in found:
        raise BadInput(f"the block {_START!r} has no end {_END!r}", where=f"{where}:{starts[0] + 1}")
    end = len(found) - 1 - found[::-1].index(_END)
    return [line[2:] for line in found[:end]]
