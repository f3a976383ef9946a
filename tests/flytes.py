"""The real flyte 2, of one version, in a venv that has this package beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uv

ROOT = Path(__file__).parents[1]
VERSIONS = ("2.0.0", "2.12.1")


@dataclass(frozen=True)
class Flyte:
    """One version, run in ``folder``; ``environ`` is on top of this process's."""

    version: str
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """What came of a program of the venv."""
        command = [
            uv.find_uv_bin(), "run", "--quiet", "--no-project", "--no-config", "--no-python-downloads",
            "--python", sys.executable, "--with", f"flyte=={self.version}", "--with-editable", str(ROOT), "--", *words,
        ]  # fmt: skip
        return subprocess.run(
            command, cwd=self.folder, input=stdin, capture_output=True, text=True, check=False,
            env={**os.environ, "COLUMNS": "1000", "NO_COLOR": "1", **self.environ, **environ},
        )  # fmt: skip

    def succeed(self, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """The same, of a program that succeeds."""
        done = self.run(*words, stdin=stdin, **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def translate(self, images: Sequence[str]) -> list[dict[str, Any]]:
        """What the builder makes of images, which are expressions for `flyte2_translation.py`."""
        program = str(ROOT / "tests" / "integration" / "flyte2_translation.py")
        done = self.succeed("python", program, stdin="\n".join(images))
        return [json.loads(line) for line in done.stdout.splitlines()]
