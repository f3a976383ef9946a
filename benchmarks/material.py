"""What the cases need that is made beforehand: images and locks of ours, in every state of the project."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from pathlib import Path
from urllib.parse import unquote

from benchmarks.bigwheels import BigWheels
from benchmarks.commands import Command, run
from benchmarks.projects import FLEET, STATES, fleet, write
from benchmarks.setting import cache
from tests.dockerregistry import docker_registry

from taskimage.model.lock import PlatformLock
from taskimage.model.lockfile import loads

__all__ = ["Material"]


class Material:
    """Made for the cases in ``wanted``, by the command ``program``, in ``folder``; ``base`` is an image layout."""

    def __init__(
        self, folder: Path, program: Path, base: Path, wanted: Container[str], big: BigWheels | None
    ) -> None:
        self.base = base
        self.images = folder / "images"
        """An image layout with all images."""
        self.image = folder / "image"
        """An image layout with the image of the case `cold`, and no other."""
        self._folder = folder
        self._program = str(program)
        self._big = big
        self._home = cache() / "home"
        self._specs: dict[str, Path] = {}
        self._digests = self._make(wanted)

    @property
    def big(self) -> BigWheels:
        """The wheels of the case `big`."""
        if self._big is None:
            raise RuntimeError("the case 'big' was not chosen")
        return self._big

    @property
    def fleet(self) -> tuple[str, ...]:
        """The names of the images of the fleet."""
        return tuple(state.name for state in FLEET)

    def base_to(self, reference: str) -> Command:
        """The command that has the base image at ``reference``."""
        target = f"docker://{reference}"
        return Command(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{self.base}", target])

    def manifest(self, name: str) -> str:
        """The digest, in hexadecimal digits, of the image of a case, or of one of the fleet."""
        return self._digests[name]

    def lockfile(self, name: str) -> Path:
        """Where the lock of it is."""
        return self._specs[name].with_name("image.lock.toml")

    def lock(self, name: str) -> PlatformLock:
        """What it says."""
        path = self.lockfile(name)
        return loads(path.read_bytes(), where=str(path)).platforms[0]

    def wheel_addresses(self) -> Mapping[str, str]:
        """Where the files are that were asked for, by name, as the store remembers it."""
        records = (self._home / "records" / "urls").rglob("*")
        urls = [json.loads(record.read_bytes())["url"] for record in records if record.is_file()]
        return {unquote(url.rpartition("/")[2]): url for url in urls}

    def _make(self, wanted: Container[str]) -> Mapping[str, str]:
        registry = self._folder / "registry"
        registry.mkdir()
        with docker_registry(registry) as running:
            base = f"{running.host}/base:v1"
            run(self.base_to(base))
            for case, state in STATES.items():
                if case in wanted or case == "cold":
                    write(self._folder / case, state, base=base if state.on_base else "")
                    self._specs[case] = self._folder / case / "image.yaml"
            if "fleet" in wanted:
                self._specs |= {made.name: made / "image.yaml" for made in fleet(self._folder)}
            return self._built()

    def _built(self) -> Mapping[str, str]:
        environment = {"TASKIMAGE_HOME": str(self._home), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""}
        specs = [str(path) for path in self._specs.values()]
        build = [self._program, "build", "--quiet", "--no-push", "--output"]
        run(Command([self._program, "lock", "--quiet", *specs], environment))
        run(Command([*build, f"oci:{self.image}", str(self._specs["cold"])], environment))
        said = run(Command([*build, f"oci:{self.images}", *specs], environment)).split()
        return {name: line.rpartition(":")[2] for name, line in zip(self._specs, said, strict=True)}
