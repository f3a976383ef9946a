"""Build backends (PEP 517), run in a sandbox without network: an sdist goes in, and a wheel comes out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from taskimage.adapters import wheel_backend
from taskimage.adapters.sandbox import Ended, Job, Sandbox, Volume, captured
from taskimage.adapters.uvprogram import uv_program
from taskimage.model.errors import CannotBuild
from taskimage.model.oci import ExecutionConfig
from taskimage.model.shown import ending, last_lines
from taskimage.model.value import dataclass
from taskimage.transform.runtime import CONDA, environment_of_commands
from taskimage.transform.sdist import BuildSystem
from taskimage.transform.tarheader import MTIME

__all__ = ["Backend"]

_FOLDER: Final = "/tmp"  # noqa: S108 - the sandbox's own
_SCRIPT: Final = "wheel_backend.py"
_MAX_NEEDS: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What builds one sdist.

    Attributes:
        system: What the sdist says of that.
        sdist: What its archive is called there, by which its kind is told.
        files: It and, below ``wheels/``, what the backend is installed from: where they are on this machine.
        given: The requirements that these wheels meet; None where nobody asks the backend whether it wants more.
    """

    system: BuildSystem
    sdist: str
    files: Mapping[str, Path]
    given: Sequence[str] | None

    def job(self, scratch: Path, *, root: Path, python: str, base: ExecutionConfig | None) -> Job:
        """What is run, in the empty folder ``scratch``: by the interpreter ``python`` of the unpacked image ``root``.

        ``base`` says how a container of its base image starts.
        """
        folder, own = scratch / "tmp", scratch / "sandbox"
        for path in (own, folder / "out", folder / "home", folder / "wheels"):
            path.mkdir(parents=True)
        # Copies: what runs there may write to them.
        for name, source in {_SCRIPT: Path(wheel_backend.__file__), **self.files}.items():
            shutil.copyfile(source, folder / name)
        job = {
            "sdist": self.sdist,
            "backend": self.system.backend,
            "path": self.system.path,
            "given": self.given,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        program = Volume(Path(uv_program()), "/usr/bin/uv", read_only=True)
        return Job(
            root=root,
            argv=[python, "-I", f"{_FOLDER}/{_SCRIPT}"],
            env=_environment(base),
            scratch=own,
            volumes=(Volume(folder, _FOLDER), program),
            network=False,
        )

    def run(self, sandbox: Sandbox, job: Job) -> Path | list[str]:
        """The wheel, as a file below the scratch folder of ``job``; or what the backend wants besides.

        Raises CannotBuild with the last lines of a build that fails, KeyboardInterrupt for one that was interrupted.
        """
        _expect_done(*captured(sandbox, job, job.scratch.with_name("output")))
        out = job.volumes[0].source / "out"
        requires = out / "requires.json"
        if _is_plain(requires):
            return _needs(requires)
        found = [path for path in sorted(out.glob("*.whl")) if _is_plain(path)]
        if len(found) != 1:
            raise CannotBuild(f"its build gives {len(found)} wheels, and one is wanted")
        return found[0]


def _environment(base: ExecutionConfig | None) -> dict[str, str]:
    variables = environment_of_commands(base=base)
    for name in ("PYTHONPATH", "UV_PYTHON"):
        del variables[name]
    return {
        **variables,
        "PATH": f"{_FOLDER}/env/bin:{variables['PATH']}:{CONDA}/bin",
        "HOME": f"{_FOLDER}/home",
        "LANG": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(MTIME),
        "PYTHONHASHSEED": "0",
    }


def _needs(path: Path) -> list[str]:
    """The requirements in the file ``path``, which what ran has written. Raises CannotBuild."""
    with path.open("rb") as file:
        data = file.read(_MAX_NEEDS)
    try:
        needs = json.loads(data)
    except (ValueError, RecursionError):
        needs = None
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        raise CannotBuild("its backend wants something that is no list of requirements")
    return needs


def _is_plain(path: Path) -> bool:
    """Whether a file is there, and no link that what ran has left to lead into this machine's own."""
    return not path.parent.is_symlink() and not path.is_symlink() and path.is_file()


_NO_COMPILER: Final = (
    r"No such file or directory: '[\w+-]*(?:cc|\+\+|clang)'|(?:cc|\+\+|clang): (?:command )?not found"
    r"|unable to (?:find|execute) .*(?:compiler|cc)|unknown compiler"
)
_HINTS: Final = (
    (_NO_COMPILER, "where it wants a compiler: apt_packages: [gcc, python3-dev], and g++ for C++"),
    (r"\S+\.h: No such file", "name the Debian package that has the header in apt_packages: one in -dev"),
    (
        r"resolv|name or service|network is unreachable|urlopen",
        "sdists are built without network: choose a version or another package that has a wheel",
    ),
)


def _expect_done(ended: Ended, said: str) -> None:
    if ended.reason:
        raise CannotBuild(ended.reason)
    if ended.code == 0:
        return
    shown = "\n".join(last_lines(said))
    hints = [hint for pattern, hint in _HINTS if re.search(pattern, shown, re.IGNORECASE)]
    raise CannotBuild(
        ending(f"its build ended with exit code {ended.code}", said),
        hint=next(iter(hints), "choose a version or another package that has a wheel"),
    )
