"""What the cases need that is made beforehand: images and locks of ours, and the job of the floor in each case."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from benchmarks.bigwheels import BigWheels
from benchmarks.commands import Command, run
from benchmarks.projects import STATES, fleet, write
from benchmarks.setting import cache
from tests.dockerregistry import docker_registry

from taskimage.adapters.debian.mirrors import Mirrors
from taskimage.model.lockfile import loads

__all__ = ["Job", "Material"]

Job: TypeAlias = dict[str, Any]
"""What `floor.py` reads."""

_Blobs: TypeAlias = Mapping[str, int]
"""Sizes of blobs by the hexadecimal digits of their digests."""

_BEFORE = {
    "edited": "cold", "added": "cold", "bumped": "cold", "locked": "cold",
    "base-edited": "base-cold",
}  # fmt: skip
"""What is in the registry, and in the caches, when the case comes."""


class Material:
    """Made for the cases in ``wanted``, by the command ``program``, in ``folder``."""

    def __init__(
        self, folder: Path, program: Path, base: Path, wanted: Container[str], big: BigWheels | None
    ) -> None:
        self._folder = folder
        self._program = program
        self._base = base
        self._big = big
        self._home = cache() / "home"
        self._layout = folder / "images"
        self._jobs: dict[str, Job] = {}
        self.image = folder / "image"
        """An image layout with the image of the case `cold`, and no other."""
        self._built: dict[str, str] = {}
        self._make(wanted)

    @property
    def big_spec(self) -> Path:
        """The spec of the case `big`."""
        if self._big is None:
            raise RuntimeError("the case 'big' was not chosen")
        return self._big.spec

    def base_to(self, reference: str) -> Command:
        """The command that has the base image at ``reference``."""
        target = f"docker://{reference}"
        return Command(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{self._base}", target])

    def lock(self, case: str) -> Path:
        """The lock of the project in that case."""
        return self._folder / case / "image.lock.toml"

    def job(self, case: str) -> Job:
        """What is done at the very least in that case."""
        return self._jobs[case]

    # -- making ----------------------------------------------------------------------------------------

    def _make(self, wanted: Container[str]) -> None:
        ours = [case for case in STATES if case in wanted or case == "cold"]
        if any(STATES[case].on_base for case in ours):
            ours = [*dict.fromkeys([*ours, "base-cold"])]
        with ExitStack() as stack:
            registry = self._folder / "registry"
            registry.mkdir()
            base = f"{stack.enter_context(docker_registry(registry)).host}/base:v1"
            run(self.base_to(base))
            for case in ours:
                write(self._folder / case, STATES[case], base=base if STATES[case].on_base else "")
            specs = {case: self._folder / case / "image.yaml" for case in ours}
            if "fleet" in wanted:
                specs |= {folder.name: folder / "image.yaml" for folder in fleet(self._folder)}
            self._build(specs)
        for case in ours:
            self._jobs[case] = self._job_of(case)
        self._jobs |= self._moving()
        if "fleet" in wanted:
            self._jobs["fleet"] = self._job_of_fleet([name for name in specs if name.startswith("fleet")])
        if self._big:
            fetched = self._big.fetched
            self._jobs["big"] = self._job(fetch=fetched, push=fetched, layout=self._big.layout)

    def _build(self, specs: Mapping[str, Path]) -> None:
        environment = {"TASKIMAGE_HOME": str(self._home), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""}
        paths = [str(path) for path in specs.values()]
        run(Command([str(self._program), "lock", "--quiet", *paths], environment))
        build = [str(self._program), "build", "--quiet", "--no-push", "-o"]
        said = run(Command([*build, f"oci:{self._layout}", *paths], environment)).split()
        self._built = {name: line.rpartition(":")[2] for name, line in zip(specs, said, strict=True)}
        run(Command([*build, f"oci:{self.image}", str(specs["cold"])], environment))

    # -- jobs ------------------------------------------------------------------------------------------

    def _job(self, **parts: Any) -> Job:
        empty: Job = {"fetch": [], "push": [], "pull": [], "manifests": [], "exists": []}
        return {
            **empty,
            "layout": str(self._layout),
            **{key: str(value) if key == "layout" else value for key, value in parts.items()},
        }

    def _job_of(self, case: str) -> Job:
        if case.endswith("nothing"):
            return self._job(exists=[self._built[case]])
        there: _Blobs = {}
        inputs: _Blobs = {}
        if case in _BEFORE:
            there, inputs = self._blobs(_BEFORE[case]), self._inputs(_BEFORE[case])
        elif STATES[case].on_base:
            manifest = json.loads((self._base / "index.json").read_bytes())["manifests"][0]
            there = _blobs(self._base, manifest["digest"].partition(":")[2])
        return self._job(
            fetch=self._addressed(case, inputs),
            push=_listed(self._blobs(case), there),
            manifests=[self._built[case]],
        )

    def _job_of_fleet(self, names: Sequence[str]) -> Job:
        fetch = {one["sha256"]: one for name in names for one in self._addressed(f"fleet/{name}", {})}
        push: dict[str, int] = {}
        for name in names:
            push |= self._blobs(name)
        return self._job(
            fetch=list(fetch.values()),
            push=_listed(push, {}),
            manifests=[self._built[name] for name in names],
        )

    def _moving(self) -> Mapping[str, Job]:
        blobs = _listed(self._blobs("cold"), {})
        return {
            "push": self._job(push=blobs, manifests=[self._built["cold"]]),
            "pull": self._job(pull=blobs),
        }

    def _blobs(self, name: str) -> _Blobs:
        return _blobs(self._layout, self._built[name])

    def _inputs(self, case: str) -> _Blobs:
        return {one["sha256"]: one["size"] for one in self._addressed(case, {})}

    def _addressed(self, case: str, known: Container[str]) -> list[dict[str, Any]]:
        """What the lock of ``case`` names beyond ``known``, and where it is."""
        path = self.lock(case)
        lock = loads(path.read_bytes(), where=str(path)).platforms[0]
        mirrors = Mirrors.find((), Path("/etc/apt"))
        addresses = {
            pin.digest.hex: (f"{mirrors.of(pin.archive)[0]}/{pin.path}", pin.size)
            for pin in (*lock.base, *lock.apt)
        }
        wheels = self._wheel_addresses()
        addresses |= {pin.digest.hex: (wheels[pin.file], pin.size) for pin in lock.wheels}
        return [
            {"url": url, "sha256": digest, "size": size}
            for digest, (url, size) in addresses.items()
            if digest not in known
        ]

    def _wheel_addresses(self) -> Mapping[str, str]:
        """Where files are that the store has heard of, by name."""
        records = (self._home / "records" / "urls").rglob("*")
        urls = [json.loads(record.read_bytes())["url"] for record in records if record.is_file()]
        return {unquote(url.rpartition("/")[2]): url for url in urls}


def _blobs(layout: Path, manifest: str) -> _Blobs:
    """The blobs of the image with that manifest."""
    document = json.loads((layout / "blobs" / "sha256" / manifest).read_bytes())
    return {
        blob["digest"].partition(":")[2]: blob["size"] for blob in (document["config"], *document["layers"])
    }


def _listed(blobs: _Blobs, without: Container[str]) -> list[dict[str, Any]]:
    return [{"sha256": digest, "size": size} for digest, size in blobs.items() if digest not in without]
