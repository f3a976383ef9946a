"""The command as users have it, and the quickstart that it built, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "examples" / "quickstart" / "image.yaml"


_PROGRAM = str(Path(sys.executable).with_name("taskimage"))


@dataclass(frozen=True)
class Command:
    """The command as users have it, with a store of its own; ``environ`` is on top of this process's."""

    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def __call__(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        **options: object,
    ) -> subprocess.CompletedProcess[str]:
        """What came of ``taskimage words…``, run after ``prefix``."""
        environment = {**self._environment, **(env or {})}
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [*prefix, _PROGRAM, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """``taskimage words…``, which runs from now on."""
        return subprocess.Popen(
            [_PROGRAM, *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environ, "TASKIMAGE_HOME": str(self.home)}

    def succeed(self, *words: str, **options: object) -> str:
        """What ``taskimage words…`` prints; it succeeds."""
        done = self(*words, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def afresh(self, home: Path) -> Command:
        """The command with a store at ``home`` that has what was fetched, and nothing that was made."""
        for name in ("inputs", "records/urls"):
            source = self.home / name
            if source.exists():
                shutil.copytree(source, home / name, copy_function=os.link)
        return Command(home, self.environ)


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
