"""``taskimage login``."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Sequence

from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress
from taskimage.model.errors import BadInput

__all__ = ["execute", "parser"]

_PIPED = "pipe it in: taskimage login HOST -u USER --password-stdin < FILE"


def parser() -> Parser:
    """The arguments of ``login``."""
    made = Parser(
        "login",
        "Try a user and a password with a registry, and keep them where docker keeps them: with the credential\n"
        "helper that its config.json names, else in that file. Who has docker and is logged in needs none of this.",
        usage="HOST -u USER [--password-stdin]",
        examples=[
            "taskimage login ghcr.io -u octocat --password-stdin < token.txt",
            "taskimage login registry.example:5000 -u me",
        ],
    )
    made.add_argument("host", metavar="HOST", help="docker.io, or host, or host:port")
    made.add_argument("-u", "--username", required=True, metavar="USER", help="who logs in")
    made.add_argument(
        "--password-stdin", action="store_true",
        help="read the password, or token, from standard input (default: ask for it on the terminal)",
    )  # fmt: skip
    made.add_argument("-p", "--password", dest="argument", help=SUPPRESS)
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Log in."""
    values = parser().parse(words)
    if values.argument is not None:
        raise BadInput("a password is no argument, since every process sees those", hint=_PIPED)
    from taskimage.verbs.login import login

    with progress(quiet=values.quiet) as listener:
        login(values.host, values.username, _password(values), listener=listener)
    return 0


def _password(values: Namespace) -> str:
    if values.password_stdin:
        return _line(sys.stdin.buffer.read())
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"password of {values.username} for {values.host}: ")
    raise BadInput("no password is given", hint=_PIPED)


def _line(data: bytes) -> str:
    """``data`` without the line break that most programs put behind."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        # Its error would hold the password.
        raise BadInput("the password is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
