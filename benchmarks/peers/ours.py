"""This project's command."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.commands import Command, run
from benchmarks.material import Material
from benchmarks.peers import Ground
from benchmarks.projects import STATES, fleet, write

__all__ = ["Taskimage"]


class Taskimage:
    """``taskimage build``, and ``taskimage copy``, with a store of their own."""

    name = "taskimage"
    cases = frozenset(CASES)
    most = 99
    engine = None

    def __init__(self, program: Path, folder: Path, material: Material) -> None:
        self._program = str(program)
        self._home = folder / "our-home"
        self._material = material

    def forget(self) -> None:
        """The store, and uv's cache, which is a cache as any other."""
        shutil.rmtree(self._home, ignore_errors=True)

    def ready(self, case: Case, ground: Ground) -> Command:
        """The project in its state, with the lock where one is wanted."""
        host, second, image = ground.host, ground.second, f"oci:{self._material.image}"
        if case.name == "push":
            return self._command("copy", image, f"{host}/ml5:v1")
        if case.name == "pull":
            return self._command("copy", f"{host}/ml5:v1", f"oci:{ground.folder}/pulled:v1")
        if case.name == "copy":
            return self._command("copy", f"{host}/ml5:v1", f"{second}/ml5:v1")
        if case.name == "fleet":
            specs = [str(folder / "image.yaml") for folder in fleet(ground.folder)]
            return self._command("build", "--registry", host, *specs)
        if case.name == "big":
            return self._command("build", "--registry", host, str(self._material.big.spec))
        project, state = ground.folder / "project", STATES[case.name]
        base = f"{host}/base:v1" if state.on_base else ""
        if case.name == "base-cold":
            run(self._material.base_to(base))
        write(project, state, base=base)
        if case.name == "locked":
            shutil.copy(self._material.lockfile("locked"), project / "image.lock.toml")
        return self._command("build", "--registry", host, str(project / "image.yaml"))

    def _command(self, verb: str, *words: str) -> Command:
        return Command([self._program, verb, "--quiet", *words], environment(self._home))


def environment(home: Path) -> dict[str, str]:
    """The variables of an installed command with the store ``home``."""
    return {
        "TASKIMAGE_HOME": str(home),
        "UV_CACHE_DIR": str(home / "uv"),
        "PYTHONPATH": "",
        "PYTHONDONTWRITEBYTECODE": "",
    }
