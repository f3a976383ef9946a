"""``taskimage run``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from taskimage.adapters.sandbox import Volume, require_linux
from taskimage.adapters.settings import Settings
from taskimage.cli.errors import fail, say
from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress
from taskimage.model.errors import BadInput, TaskImageError

__all__ = ["execute", "parser"]

_OWN_FAILURE = 125  # as docker has it; the command's own codes begin at 0


def parser() -> Parser:
    """The arguments of ``run``."""
    made = Parser(
        "run",
        "Run a command inside an image, as the image's user, without privileges (Linux).\n"
        "What it writes outside of volumes is gone when it ends. Exits as the command does; with 125 when\n"
        "taskimage itself fails, 126 when the command cannot be executed, 127 when it is not in the image.",
        usage="[-v HOST:IMAGE[:ro]] [-e NAME[=VALUE]] [-w DIR] SPEC|REF [-- COMMAND…]",
        examples=[
            "taskimage run image.yaml -- python -c 'import pandas'",
            "taskimage run -v $PWD:/work -w /work image.yaml -- pyflyte run workflow.py main",
            "taskimage run -e AWS_PROFILE oci:out -- sh",
        ],
        stray="the command and its arguments come after --",
    )
    made.add_argument(
        "-v", "--volume", dest="volumes", action="append", default=[], type=_volume, metavar="HOST:IMAGE[:ro]",
        help="show a file or folder of the host at a path of the image; files made there are yours",
    )  # fmt: skip
    made.add_argument(
        "-e", "--env", action="append", default=[], type=_variable, metavar="NAME[=VALUE]",
        help="set a variable; without a value, the host's",
    )  # fmt: skip
    made.add_argument("-w", "--workdir", metavar="DIR", help="start in this folder of the image")
    made.add_quiet()
    made.add_argument(
        "target",
        metavar="SPEC|REF",
        help="a YAML file, an image by name or digest (pulled when it is not here), or oci:FOLDER",
    )
    return made


def execute(words: Sequence[str]) -> int:
    """Run the command; its exit code."""
    require_linux()
    try:
        own, command = _split(words)
        values = parser().parse(own)
        from taskimage.verbs.run import run

        with progress(quiet=values.quiet) as listener:
            ended = run(
                values.target, command, volumes=values.volumes, env=dict(filter(None, values.env)),
                workdir=values.workdir, settings=Settings.load(), listener=listener,
            )  # fmt: skip
    except TaskImageError as error:
        fail(error)
        return _OWN_FAILURE
    if ended.reason:
        say("error", ended.reason)
    return ended.code


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Our own words, and the command's after ``--``."""
    where = list(words).index("--") if "--" in words else len(words)
    return words[:where], words[where + 1 :]


def _volume(text: str) -> Volume:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or target.strip("/") == "" or mode not in ("", "ro", "rw"):
        raise BadInput(
            f"not a volume: {text!r:.200}; wanted HOST:IMAGE or HOST:IMAGE:ro, IMAGE an absolute path below /"
        )
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise BadInput(f"volume {text!r:.200}: there is no {str(path)!r} on this host")
    return Volume(path, target, read_only=mode == "ro")


def _variable(text: str) -> tuple[str, str] | None:
    name, given, value = text.partition("=")
    if not name:
        raise BadInput(f"not a variable: {text!r:.100}; wanted NAME=VALUE or NAME")
    if given:
        return name, value
    return (name, os.environ[name]) if name in os.environ else None
