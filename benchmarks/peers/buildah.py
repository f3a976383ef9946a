"""buildah with chroot isolation, its storage in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from shlex import join

from benchmarks.cases import Case
from benchmarks.commands import Command, run
from benchmarks.peers import Ground
from benchmarks.projects import STATES, write

__all__ = ["Buildah"]

_BASE = "localhost/taskimage-bench-base:latest"


class Buildah:
    """``buildah build --layers`` and ``buildah push``."""

    name = "buildah"
    cases = frozenset(("cold", "nothing", "edited", "added", "bumped"))
    most = 1
    engine = None

    def __init__(self, folder: Path, base: Path) -> None:
        self._folder = folder / "buildah"
        self._base = base
        # Where it keeps what `--mount=type=cache` has.
        self._caches = self._folder / "tmp"

    def forget(self) -> None:
        """Everything but the base."""
        if self._folder.exists():
            run(self._command("rm", "--all"))
            run(self._command("rmi", "--all", "--force"))
            shutil.rmtree(self._folder)
        self._caches.mkdir(parents=True)
        run(self._command("pull", "--quiet", f"oci:{self._base}"))
        name = run(self._command("images", "--quiet")).split()[0]
        run(self._command("tag", name, _BASE))

    def ready(self, case: Case, ground: Ground) -> Command:
        """The project in its state."""
        project, image = ground.folder / "project", f"{ground.host}/ml5:v1"
        write(project, STATES[case.name])
        build = self._words("build", "--quiet", "--layers", "--isolation", "chroot", "--network", "host",
                            "--pull-never", "--tag", image, str(project))  # fmt: skip
        push = self._words("push", "--quiet", "--tls-verify=false", image)
        return Command(["sh", "-c", f"{join(build)} && {join(push)}"], {"TMPDIR": str(self._caches)})

    def _command(self, *words: str) -> Command:
        return Command(self._words(*words), {"TMPDIR": str(self._caches)})

    def _words(self, *words: str) -> list[str]:
        return ["buildah", "--root", f"{self._folder}/storage", "--runroot", f"{self._folder}/run", *words]
