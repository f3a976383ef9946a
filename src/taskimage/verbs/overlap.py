"""Two packages that install the same path: harmless when the bytes are equal, an error when they are not.

pip lets the one that comes last win, and nobody hears of it; conda tells and goes on. The names of a package's
files are kept in the store, so that one whose layer is known need not be opened, or even be there, to be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.lock import CondaPin, WheelPin
from taskimage.transform.entry import Entry, same_content
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

__all__ = ["check_overlaps", "names_key", "note_names"]

_Pin: TypeAlias = WheelPin | CondaPin


def check_overlaps(tools: Tools, inputs: Inputs, pins: Sequence[_Pin]) -> None:
    """Raises CannotBuild, naming the path and both packages, when two of ``pins`` differ in a file."""
    owners: dict[str, _Pin] = {}
    for pin in pins:
        for path in _paths(tools, inputs, pin):
            other = owners.setdefault(path, pin)
            if other is not pin and not _agree(inputs, path, other, pin):
                raise CannotBuild(
                    f"{other.name} {other.version} and {pin.name} {pin.version} have different files at '/{path}'",
                    hint="leave one of the two out, or ask for versions that do not overlap",
                )


def note_names(tools: Tools, inputs: Inputs, pins: Iterable[WheelPin | CondaPin]) -> None:
    """Keep the names of the files of ``pins``, which are being read."""
    for pin in pins:
        _paths(tools, inputs, pin)


def names_key(pin: WheelPin | CondaPin, python: str) -> Digest:
    """Where the store keeps them, in a record of the kind ``files``; ``python`` is the interpreter's feature version."""
    # Of a conda package for any Python, some paths have its version in them.
    return pin.digest if isinstance(pin, WheelPin) else Digest.of(f"{pin.digest} {python}".encode())


def _paths(tools: Tools, inputs: Inputs, pin: _Pin) -> Sequence[str]:
    key = names_key(pin, inputs.python)
    record = tools.store.record("files", key)
    if record is None:
        kinds = ("file", "symlink")
        record = {"paths": [entry.path for entry in _entries(inputs, pin) if entry.kind in kinds]}
        tools.store.keep_record("files", key, record)
    paths: Sequence[str] = record["paths"]
    return paths


def _agree(inputs: Inputs, path: str, *pins: _Pin) -> bool:
    one, other = (next(entry for entry in _entries(inputs, pin) if entry.path == path) for pin in pins)
    return same_content(one, other)


def _entries(inputs: Inputs, pin: _Pin) -> Sequence[Entry]:
    if isinstance(pin, WheelPin):
        inputs.fetch(wheels=[pin])
        return inputs.wheel(pin).entries
    inputs.fetch(conda=[pin])
    return inputs.conda(pin).entries
