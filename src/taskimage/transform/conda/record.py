"""The record of a linked package, ``conda-meta/NAME-VERSION-BUILD.json``, by which conda's tools know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from taskimage.model.lock import CondaPin
from taskimage.model.oci import canonical_json
from taskimage.transform.conda.metadata import CondaFacts
from taskimage.transform.entry import Entry

__all__ = ["record_entry"]

_KINDS = {"file": "hardlink", "symlink": "softlink", "dir": "directory"}


def record_entry(facts: CondaFacts, pin: CondaPin, entries: Iterable[Entry], *, prefix: str) -> Entry:
    """The record of a package that has ``entries`` linked below ``prefix``.

    It names the channel as the lock does, and no host: whoever builds from a mirror gets the same bytes.
    """
    linked = sorted((entry.path.removeprefix(f"{prefix}/"), _KINDS[entry.kind]) for entry in entries)
    record: dict[str, Any] = {
        "name": facts.name, "version": facts.version, "build": facts.build,
        "build_number": facts.build_number, "subdir": pin.subdir,
        "depends": list(facts.depends), "constrains": list(facts.constrains), "license": facts.license or None,
        "channel": pin.channel, "fn": pin.file, "url": f"conda:{pin.channel}/{pin.subdir}/{pin.file}",
        "sha256": pin.digest.hex, "size": pin.size, "requested_spec": "",
        "files": [path for path, kind in linked if kind != "directory"],
        "paths_data": {
            "paths_version": 1, "paths": [{"_path": path, "path_type": kind} for path, kind in linked],
        },
    }  # fmt: skip
    if facts.noarch:
        record["noarch"] = facts.noarch
    stem = pin.file.removesuffix(".conda").removesuffix(".tar.bz2")
    return Entry.file(f"{prefix}/conda-meta/{stem}.json", canonical_json(record))
