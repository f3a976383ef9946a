"""The floor: the same bytes fetched, hashed, written and sent, and nothing else done."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.commands import Command, run
from benchmarks.jobs import job_of
from benchmarks.material import Material
from benchmarks.peers import Ground

__all__ = ["Floor"]

_PROGRAM = Path(__file__).resolve().parent.parent / "floor.py"


class Floor:
    """``benchmarks/floor.py``, with the job of each case."""

    name = "floor"
    cases = frozenset(CASES) - {"copy"}
    most = 99
    engine = None

    def __init__(self, material: Material) -> None:
        self._material = material

    def forget(self) -> None:
        """It keeps nothing."""

    def ready(self, case: Case, ground: Ground) -> Command:
        """The job of the case, in a file."""
        if case.name == "base-cold":
            run(self._material.base_to(f"{ground.host}/floor:base"))
        job = ground.folder / f"{case.name}.json"
        job.write_text(json.dumps(job_of(case.name, self._material)), "utf-8")
        # Without site-packages, as nothing but the standard library is needed.
        program = [sys.executable, "-I", "-S", str(_PROGRAM)]
        return Command([*program, str(job), ground.host, str(ground.folder / f"fetched-{case.name}")])
