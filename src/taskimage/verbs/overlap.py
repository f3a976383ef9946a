"""Two wheels that install the same path: harmless when the bytes are equal, an error when they are not.

pip lets the one that comes last win, and nobody hears of it. The names of a wheel's files are kept in the store,
so that a wheel whose layer is known need not be opened, or even be there, to be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.model.errors import CannotBuild
from taskimage.model.lock import WheelPin
from taskimage.transform.entry import Entry, same_content
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

__all__ = ["check_overlaps"]


def check_overlaps(tools: Tools, inputs: Inputs, wheels: Sequence[WheelPin]) -> None:
    """Raises CannotBuild, naming the path and both packages, when two of ``wheels`` differ in a file."""
    owners: dict[str, WheelPin] = {}
    for pin in wheels:
        for path in _paths(tools, inputs, pin):
            other = owners.setdefault(path, pin)
            if other is not pin and not _agree(inputs, path, other, pin):
                raise CannotBuild(
                    f"{other.name} {other.version} and {pin.name} {pin.version} have different files at '/{path}'",
                    hint="leave one of the two out, or ask for versions that do not overlap",
                )


def _paths(tools: Tools, inputs: Inputs, pin: WheelPin) -> Sequence[str]:
    record = tools.store.record("files", pin.digest)
    if record is None:
        inputs.fetch(wheels=[pin])
        record = {"paths": [entry.path for entry in inputs.wheel(pin).entries if entry.kind == "file"]}
        tools.store.keep_record("files", pin.digest, record)
    paths: Sequence[str] = record["paths"]
    return paths


def _agree(inputs: Inputs, path: str, *pins: WheelPin) -> bool:
    inputs.fetch(wheels=pins)
    one, other = (_entry(inputs, path, pin) for pin in pins)
    return same_content(one, other)


def _entry(inputs: Inputs, path: str, pin: WheelPin) -> Entry:
    return next(entry for entry in inputs.wheel(pin).entries if entry.path == path)
