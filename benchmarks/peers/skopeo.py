"""skopeo, for what only moves images."""

from __future__ import annotations

from benchmarks.cases import Case
from benchmarks.commands import Command
from benchmarks.material import Material
from benchmarks.peers import Ground

__all__ = ["Skopeo"]


class Skopeo:
    """``skopeo copy``."""

    name = "skopeo"
    cases = frozenset(("push", "pull", "copy"))
    most = 99
    engine = None

    def __init__(self, material: Material) -> None:
        self._image = material.image

    def forget(self) -> None:
        """It keeps nothing."""

    def ready(self, case: Case, ground: Ground) -> Command:
        """From place to place."""
        here, there = (f"docker://{host}/ml5:v1" for host in (ground.host, ground.second))
        source, target = {
            "push": (f"oci:{self._image}", here),
            "pull": (here, f"oci:{ground.folder}/pulled:v1"),
            "copy": (here, there),
        }[case.name]
        return copying(source, target)


def copying(source: str, target: str) -> Command:
    """The command that copies an image."""
    return Command(
        ["skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", source, target]
    )
