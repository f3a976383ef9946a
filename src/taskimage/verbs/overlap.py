"""Two packages that install the same path: harmless when the files mean the same, else a warning or an error.

pip lets the one that comes last win, and nobody hears of it; conda tells and goes on. Here the lock decides which one
is in the image: of packages in one layer the first, and of layers the upper one. The names of a package's files are
kept in the store, so that one whose layer is known need not be opened, or even be there, to be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Warned
from taskimage.model.lock import CondaPin, WheelPin
from taskimage.transform.entry import Entry
from taskimage.transform.overlap import Relation, relation
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

__all__ = ["check_overlaps", "names_key", "note_names"]

_Pin: TypeAlias = WheelPin | CondaPin


def check_overlaps(tools: Tools, inputs: Inputs, pins: Sequence[_Pin]) -> None:
    """Raises CannotBuild, naming the path and both packages, when two of ``pins`` differ in a file that matters.

    Of files that do not (`transform.overlap`) the listener is told, once for each two packages.
    """
    owners: dict[str, _Pin] = {}
    stray: dict[tuple[_Pin, _Pin], list[str]] = {}
    for pin in pins:
        for path in _paths(tools, inputs, pin):
            other = owners.setdefault(path, pin)
            if other is pin:
                continue
            match _relation(inputs, path, other, pin):
                case "stray":
                    stray.setdefault((other, pin), []).append(path)
                case "clash":
                    raise CannotBuild(
                        f"{_named(other, pin)} have different files at '/{path}'",
                        hint="leave one of the two out, or ask for versions that do not overlap",
                    )
    for both, paths in stray.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        tools.listener(
            Warned(
                f"{_named(*both)} have different files at '/{paths[0]}'{more}: one of each is in the image",
                "packages bring such files by mistake; nothing is to be done where no task reads them",
            )
        )


def _named(*pins: _Pin) -> str:
    return " and ".join(f"{pin.name} {pin.version}" for pin in pins)


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


def _relation(inputs: Inputs, path: str, *pins: _Pin) -> Relation:
    one, other = (next(entry for entry in _entries(inputs, pin) if entry.path == path) for pin in pins)
    return relation(one, other)


def _entries(inputs: Inputs, pin: _Pin) -> Sequence[Entry]:
    if isinstance(pin, WheelPin):
        inputs.fetch(wheels=[pin])
        return inputs.wheel(pin).entries
    inputs.fetch(conda=[pin])
    return inputs.conda(pin).entries
