"""The command: text -> values -> one library call -> text. One file for each command; this one only wires."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from taskimage.cli.parser import Parser


__all__ = ["COMMANDS", "Command", "main"]

COMMANDS: Final = {
    "build": "build the image of a YAML file",
    "lock": "pin everything that a YAML file needs, or a spec in Python",
    "vendor": "fill a folder with everything that a build needs, for a machine with no network",
    "run": "run a command inside an image",
    "check": "look whether a build would find what it needs",
    "copy": "copy an image between registries, image layouts and archives",
    "pin": "ask registries what tags mean now",
    "parse": "read an image identifier strictly",
    "schema": "print the JSON Schema of the YAML, for editors",
    "login": "keep a user and password for a registry",
    "logout": "forget them",
}
"""Each command, a module of this package by its name, in the order of the help."""

_HELP: Final = """\
usage: taskimage COMMAND [OPTION…] ARGUMENT…

Pinned Python images for tasks and workflows, built from a small YAML file, without Docker.

commands:
{commands}

options:
  -h, --help     show this text, or with a command that command's
  -V, --version  show the version

examples:
  taskimage build image.yaml
  taskimage run image.yaml -- python -c 'import pandas; print(pandas.__version__)'
  taskimage lock image.yaml --upgrade

Exit codes: 0 done, 1 differs, 2 bad input, 3 not found, 4 not allowed, 5 unreachable (worth a retry),
6 integrity, 7 cannot be built, 70 a bug, 130 interrupted. `run` gives the command's own.
"""


class Command(Protocol):
    """What the module of a command has."""

    def parser(self) -> Parser:
        """The command's arguments and help."""

    def execute(self, words: Sequence[str]) -> int:
        """Do what ``words``, the arguments, ask for; the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what ``argv`` (by default this process's) asks for, and give the exit code. Never raises."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:
        from taskimage.cli.results import give_up_output

        give_up_output()  # whoever read it has seen enough
        return 141
    except BaseException as error:  # noqa: BLE001 -- the last place where anything can be said
        from taskimage.cli.errors import exit_code_of, fail

        fail(error)
        return exit_code_of(error)
    return code


def _dispatch(words: Sequence[str]) -> int:
    first = words[0] if words else ""
    if first in COMMANDS:
        _expect_folder()
        # By name, so that one command does not pay for what another one imports.
        command = cast("Command", importlib.import_module(f"taskimage.cli.{first}"))
        return command.execute(words[1:])
    commands = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
    if first in ("-h", "--help", "help"):
        print(_HELP.format(commands=commands), end="")
        return 0
    if first in ("-V", "--version"):
        from taskimage import __version__

        print(f"taskimage {__version__}")
        return 0
    if not words:
        print(_HELP.format(commands=commands), end="", file=sys.stderr)
        return 2
    from taskimage.cli.parser import did_you_mean

    kind = "option" if first.startswith("-") else "command"
    raise did_you_mean(kind, first, (*COMMANDS, "--help", "--version"), hint="see: taskimage --help")


def _expect_folder() -> None:
    """The working directory is there, which paths are taken from. Raises NotFound."""
    try:
        os.getcwd()  # noqa: PTH109 -- pathlib is not needed for all commands
    except FileNotFoundError as error:
        from taskimage.model.errors import NotFound

        raise NotFound(
            "the working directory is there no more", hint="change to another one: cd ~"
        ) from error
