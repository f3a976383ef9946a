"""``taskimage logout``."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.cli.parser import Parser
from taskimage.cli.progress import progress

__all__ = ["execute", "parser"]


def parser() -> Parser:
    """The arguments of ``logout``."""
    made = Parser(
        "logout",
        "Forget the user and password for a registry that `taskimage login` or `docker login` kept.",
        usage="HOST",
        examples=["taskimage logout ghcr.io", "taskimage logout registry.example:5000"],
    )
    made.add_argument("host", metavar="HOST", help="docker.io, or host, or host:port")
    made.add_quiet()
    return made


def execute(words: Sequence[str]) -> int:
    """Log out; no error when nobody was logged in."""
    values = parser().parse(words)
    from taskimage.verbs.login import logout

    with progress(quiet=values.quiet) as listener:
        logout(values.host, listener=listener)
    return 0
