"""Arguments: an `argparse` parser whose errors are ours, with a guess at what was meant."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from taskimage.model.errors import BadInput

__all__ = ["Parser", "did_you_mean", "platforms"]


def did_you_mean(kind: str, word: str, known: Iterable[str], *, hint: str) -> BadInput:
    """The error of a word that is not among ``known``, with the likely one in its hint."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return BadInput(f"no such {kind}: {word!r:.100}", hint=f"did you mean {close[0]!r}?" if close else hint)


def platforms(text: str | None) -> str | None:
    """The platforms that ``--platform`` names, with commas between; None for none. Raises BadInput."""
    from taskimage.model.oci import Platform

    return ",".join(str(Platform.parse(part)) for part in text.split(",")) if text else None


class Parser(argparse.ArgumentParser):
    """The parser of one command, with the options that every command has.

    Raises BadInput where argparse alone would print and exit. ``stray`` is the hint for an argument too many.
    """

    def __init__(
        self, command: str, summary: str, *, usage: str, examples: Sequence[str], stray: str | None = None
    ) -> None:
        super().__init__(
            prog=f"taskimage {command}",
            usage=f"taskimage {command} {usage}",
            description=summary,
            epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._stray = stray

    def add_quiet(self) -> None:
        """``--quiet``: no progress."""
        self.add_argument("-q", "--quiet", action="store_true", help="no progress; warnings and errors only")

    def add_specs(self, what: str = "a YAML file (ImageSpec's fields)") -> None:
        """``SPEC…``, of which ``what`` is said, and the folder that its relative paths start from."""
        self.add_argument("specs", metavar="SPEC", nargs="+", type=Path, help=what)
        self.add_argument(
            "-C", "--root", type=Path, metavar="DIR",
            help="where the relative paths in a SPEC start (default: beside the SPEC)",
        )  # fmt: skip

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The values of ``words``. Raises BadInput."""
        values, unknown = self.parse_known_args(words)
        if unknown and not unknown[0].startswith("-"):
            raise BadInput(f"unexpected argument: {unknown[0]!r:.100}", hint=self._stray or self._see())
        if unknown:
            raise did_you_mean("option", unknown[0], self._option_string_actions, hint=self._see())
        return values

    def error(self, message: str) -> NoReturn:
        """Raise BadInput for what argparse found."""
        raise BadInput(message, hint=self._see())

    def _see(self) -> str:
        return f"see: {self.prog} --help"

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse swallows a broken pipe here; `main` has an answer to it.
        print(message, end="", file=file)
