"""What the floor does in each case: the bytes that have to be fetched, and those that have to be sent."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.material import Material
from benchmarks.projects import STATES

from taskimage.adapters.debian.mirrors import Mirrors
from taskimage.model.lock import DebPin, WheelPin

__all__ = ["Job", "job_of"]

Job: TypeAlias = dict[str, Any]
"""What `floor.py` reads."""

_File: TypeAlias = dict[str, Any]
"""A file by its `sha256`, with its `size`, and its `url` where it is fetched."""

_BEFORE = {"edited": "cold", "added": "cold", "bumped": "cold", "locked": "cold", "base-edited": "base-cold"}
"""What is in the registry, and in the caches, when the case comes."""


def job_of(case: str, material: Material) -> Job:
    """The least that has to be done in ``case``."""
    job: Job = {
        "layout": str(material.images),
        "fetch": [], "push": [], "pull": [], "manifests": [], "exists": [],
        **_parts(case, material),
    }  # fmt: skip
    return job


def _parts(case: str, material: Material) -> Job:
    if case == "big":
        wheels = material.big.fetched
        return {"fetch": wheels, "push": wheels, "layout": str(material.big.layout)}
    if case == "pull":
        return {"pull": _sent(["cold"], material)}
    if case == "push":
        return {"push": _sent(["cold"], material), "manifests": [material.manifest("cold")]}
    if case.endswith("nothing"):
        return {"exists": [material.manifest(case)]}
    names = material.fleet if case == "fleet" else (case,)
    fetched, sent = _fetched(names, material), _sent(names, material)
    if before := _BEFORE.get(case):
        fetched = _without(fetched, _digests(_fetched([before], material)))
        sent = _without(sent, _digests(_sent([before], material)))
    elif case in STATES and STATES[case].on_base:
        manifest = json.loads((material.base / "index.json").read_bytes())["manifests"][0]["digest"]
        sent = _without(sent, _digests(_blobs(material.base, manifest.partition(":")[2])))
    return {"fetch": fetched, "push": sent, "manifests": [material.manifest(name) for name in names]}


def _fetched(names: Iterable[str], material: Material) -> list[_File]:
    """What the locks of these images name, once each, and where it is."""
    mirrors, wheels = Mirrors.find((), Path("/etc/apt")), material.wheel_addresses()
    found: dict[str, _File] = {}
    for lock in map(material.lock, names):
        places: list[tuple[DebPin | WheelPin, str]] = [
            *((pin, f"{mirrors.of(pin.archive)[0]}/{pin.path}") for pin in (*lock.base, *lock.apt)),
            *((pin, wheels[pin.file]) for pin in lock.wheels),
        ]
        for pin, url in places:
            found[pin.digest.hex] = {"url": url, "sha256": pin.digest.hex, "size": pin.size}
    return list(found.values())


def _sent(names: Iterable[str], material: Material) -> list[_File]:
    """The blobs of these images, once each."""
    blobs = [blob for name in names for blob in _blobs(material.images, material.manifest(name))]
    return list({blob["sha256"]: blob for blob in blobs}.values())


def _blobs(layout: Path, manifest: str) -> list[_File]:
    """The blobs of the image with that manifest."""
    document: Mapping[str, Any] = json.loads((layout / "blobs" / "sha256" / manifest).read_bytes())
    return [
        {"sha256": blob["digest"].partition(":")[2], "size": blob["size"]}
        for blob in (document["config"], *document["layers"])
    ]


def _digests(files: Iterable[_File]) -> frozenset[str]:
    return frozenset(file["sha256"] for file in files)


def _without(files: Iterable[_File], digests: Container[str]) -> list[_File]:
    return [file for file in files if file["sha256"] not in digests]
