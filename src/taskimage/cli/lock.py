"""``taskimage lock``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress
from taskimage.model.errors import BadInput

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``lock``."""
    made = Parser(
        "lock",
        "Pin everything that a YAML file needs, and write it to NAME.lock.toml beside NAME.yaml: the packages of\n"
        "Python and of Debian, and the interpreter, each with size and digest. Prints the lock's path; what changed\n"
        "is told on standard error. A lock that is fresh stays as it is.\n\n"
        "Of a folder or file of Python the modules are imported, as pyflyte imports them; each ImageSpec in them gets a\n"
        "lock in the folder .taskimage of the project.",
        usage="[--check] [-U] [-P NAME] [--diff OLD] [--prune] SPEC…",
        examples=[
            "taskimage lock image.yaml",
            "taskimage lock workflows/                 # the specs in modules of Python",
            "taskimage lock --check image.yaml         # exit code 1 when the lock is stale",
            "taskimage lock -P pandas -P numpy image.yaml",
        ],
    )
    made.add_specs("a YAML file (ImageSpec's fields), or a folder or file of Python")
    made.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when the lock is stale"
    )
    made.add_argument("-U", "--upgrade", action="store_true", help="take the newest of everything")
    made.add_argument(
        "-P", "--upgrade-package", dest="upgrade_packages", action="append", default=[], metavar="NAME",
        help="take the newest of this package of Python or Debian (may be repeated)",
    )  # fmt: skip
    made.add_argument("--diff", type=Path, metavar="OLD", help="tell what changed since this lock")
    made.add_argument(
        "--prune", action="store_true", help="remove the locks of specs that are no longer in the modules"
    )
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Print the path of each lock that is written or fresh."""
    values = parser().parse(words)
    if values.check and (values.upgrade or values.upgrade_packages or values.diff or values.prune):
        raise BadInput(
            "--check changes nothing and takes neither --upgrade, --upgrade-package, --diff nor --prune"
        )
    if values.diff and len(values.specs) > 1:
        raise BadInput(f"--diff compares one lock, and {len(values.specs)} SPECs are given")
    from taskimage.cli.locking import Locking

    with progress(quiet=values.quiet) as listener:
        return Locking(values, settings=Settings.load(), listener=listener).all()
