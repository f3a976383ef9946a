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
        self.close()
        self._caches.mkdir(parents=True)
        storage = f"containers-storage:[{self._folder}/storage+{self._folder}/run]"
        run(Command(["skopeo", "copy", "--quiet", f"oci:{self._base}", storage + _BASE]))

    def close(self) -> None:
        """Take down what is mounted, which keeps folders from being removed, and remove them."""
        if self._folder.exists():
            run(self._command("umount", "--all"), check=False)
            run(self._command("rm", "--all"), check=False)
            overlay = self._folder / "storage" / "overlay"
            while overlay.is_mount():
                run(Command(["umount", str(overlay)]))
            shutil.rmtree(self._folder)

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
