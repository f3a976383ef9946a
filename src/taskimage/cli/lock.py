"""``taskimage lock``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters.settings import Settings
from taskimage.cli.errors import say
from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress
from taskimage.cli.results import each, show
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.events import Notice

if TYPE_CHECKING:
    from taskimage.model.lock import Lock
    from taskimage.verbs.tools import Tools

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``lock``."""
    made = Parser(
        "lock",
        "Pin everything that a YAML file needs, and write it to NAME.lock.toml beside NAME.yaml: the packages of\n"
        "Python and of Debian, and the interpreter, each with size and digest. Prints the lock's path; what changed\n"
        "is told on standard error. A lock that is fresh stays as it is.",
        usage="[--check] [-U] [-P NAME] [--diff OLD] SPEC…",
        examples=[
            "taskimage lock image.yaml",
            "taskimage lock --check image.yaml         # exit code 1 when the lock is stale",
            "taskimage lock -P pandas -P numpy image.yaml",
        ],
    )
    made.add_specs()
    made.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 when the lock is stale"
    )
    made.add_argument("-U", "--upgrade", action="store_true", help="take the newest of everything")
    made.add_argument(
        "-P", "--upgrade-package", dest="upgrade_packages", action="append", default=[], metavar="NAME",
        help="take the newest of this package of Python or Debian (may be repeated)",
    )  # fmt: skip
    made.add_argument("--diff", type=Path, metavar="OLD", help="tell what changed since this lock")
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Print the path of each lock that is written or fresh."""
    values = parser().parse(words)
    if values.check and (values.upgrade or values.upgrade_packages or values.diff):
        raise BadInput("--check changes nothing and takes neither --upgrade, --upgrade-package nor --diff")
    if values.diff and len(values.specs) > 1:
        raise BadInput(f"--diff compares one lock, and {len(values.specs)} SPECs are given")
    if values.check:
        return each(values.specs, lambda spec: _check(spec, values))
    from taskimage.verbs.tools import Tools

    with progress(quiet=values.quiet) as listener:
        together = len(values.specs) > 1
        tools = Tools(settings=Settings.load(), listener=listener, together=together)
        return each(values.specs, lambda spec: _lock(spec, values, tools))


def _lock(spec: Path, values: Namespace, tools: Tools) -> int:
    from taskimage.model.lockfile import diff
    from taskimage.verbs.changes import changes
    from taskimage.verbs.lock import lock, lock_path, read_lock, write_lock

    path = lock_path(spec)
    before = read_lock(path)
    old = _read(values.diff) if values.diff else before
    made = lock(
        spec, root=values.root, upgrade=values.upgrade, upgrade_packages=values.upgrade_packages, tools=tools
    )
    if made != before:
        write_lock(made, path)
    if values.diff and old:
        lines = changes(tools, spec, old, made, root=values.root)
    else:
        lines = diff(old, made) if old else ()
    for line in lines:
        tools.listener(Notice(line))
    show(str(path))
    return 0


def _check(spec: Path, values: Namespace) -> int:
    from taskimage.adapters.specfiles import load
    from taskimage.verbs.lock import lock_path, outdated, read_lock

    path = lock_path(spec)
    lock = read_lock(path)
    loaded = load(spec, root=values.root)
    differences = ("there is no lock",) if lock is None else outdated(loaded, lock)
    for line in differences:
        say("error", f"{path}: {line}")
    if differences:
        say("hint", f"run `taskimage lock {spec}`, and commit what it writes")
        return 1
    show(str(path))
    return 0


def _read(path: Path) -> Lock:
    from taskimage.verbs.lock import read_lock

    lock = read_lock(path)
    if lock is None:
        raise NotFound(f"there is no lock at {str(path)!r}")
    return lock
