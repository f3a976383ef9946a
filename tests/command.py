"""The command as users have it, and the quickstart that it built, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "examples" / "quickstart" / "image.yaml"


@dataclass(frozen=True)
class Command:
    """The command as users have it, with a store of its own."""

    home: Path

    def __call__(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        **options: object,
    ) -> subprocess.CompletedProcess[str]:
        """What came of ``taskimage words…``, run after ``prefix``."""
        command = [*prefix, str(Path(sys.executable).with_name("taskimage")), *words]
        environment = {**os.environ, "TASKIMAGE_HOME": str(self.home), **(env or {})}
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            command, env=environment, capture_output=True, text=True, check=False, **options
        )

    def succeed(self, *words: str, **options: object) -> str:
        """What ``taskimage words…`` prints; it succeeds."""
        done = self(*words, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout


@dataclass(frozen=True)
class Quickstart:
    """The quickstart's image in its store."""

    command: Command
    reference: str

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return self.reference.partition("@")[2]

    def run(self, *command: str) -> str:
        """What a command prints inside of the image."""
        return self.command.succeed("run", str(SPEC), "--", *command)

    def python(self, program: str, *arguments: str) -> str:
        """What a Python program prints inside of the image."""
        return self.run("python", "-c", program, *arguments)
