"""A spec that was read from a file, as JSON: where that file is the same again, nobody has to read YAML."""

from __future__ import annotations

import json
from typing import Final

from taskimage.model.spec import FIELDS, ImageSpec, Origin
from taskimage.model.spec.frozen import freeze, thaw

__all__ = ["FORMAT", "dumps", "loads"]

FORMAT: Final = 1
"""Counts up when the same YAML becomes another spec, or gets a warning that it did not get."""

_MAY_HOLD_PASSWORDS = ("pip_index", "pip_extra_index_url", "pip_extra_args")


def dumps(spec: ImageSpec) -> str | None:
    """``spec`` and its origin; None where JSON cannot hold all of that, as of a spec on a spec, or should not."""
    origin = spec.origin
    if origin is None or any(getattr(spec, name) for name in _MAY_HOLD_PASSWORDS):
        return None
    document = {
        "values": {name: thaw(value) for name in FIELDS if (value := getattr(spec, name)) is not None},
        "read": {name: [thaw(one) for one in pair] for name, pair in origin.read.items()},
        "places": [[key, place] for key, place in origin.places.items()],
    }
    try:
        text = json.dumps(document)
    except (TypeError, ValueError):
        return None
    again = loads(text, path=origin.path)
    return text if (again, again.origin) == (spec, origin) else None


def loads(text: str | bytes, *, path: str) -> ImageSpec:
    """The spec that `dumps` made ``text`` of, as one that was read from the file ``path``.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: No `dumps` made it.
        InvalidSpec: It makes no sense as a spec.
    """
    document = json.loads(text)
    return ImageSpec(
        **document["values"],
        origin=Origin(
            path,
            places={tuple(key): (line, column) for key, (line, column) in document["places"]},
            read={
                name: (freeze(meaning), freeze(read)) for name, (meaning, read) in document["read"].items()
            },
        ),
    )
