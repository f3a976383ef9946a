"""A ``.dockerignore``: which paths it leaves out, by the rules that flytekit applies.

Those are docker-py's: case does not matter, the last rule that matches decides, a rule for a folder holds for
everything below it, and the file itself is never left out.
"""

from __future__ import annotations

import io
import posixpath
import re
import warnings
from collections.abc import Iterator

from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

__all__ = ["DockerIgnore"]


@dataclass(frozen=True, slots=True)
class _Rule:
    """``keeps`` is a rule that starts with ``!``; ``depth`` is how many names its pattern has."""

    pattern: re.Pattern[str]
    depth: int
    keeps: bool

    def matches(self, path: str, folders: list[str]) -> bool:
        if self.pattern.match(path.lower()):
            return True
        above = "/".join(folders[: self.depth]).lower()
        return self.depth <= len(folders) and self.pattern.match(above) is not None


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """The rules of one ``.dockerignore``, first to last."""

    rules: tuple[_Rule, ...] = ()

    @classmethod
    def parse(cls, text: str, *, where: str) -> DockerIgnore:
        """The rules in ``text``. Raises BadInput, naming ``where`` and the line."""
        rules = []
        # Any of \n, \r\n and \r ends a line, as for a file that Python reads as text.
        for number, line in enumerate(io.StringIO(text, newline=None), start=1):
            if line.startswith("#"):
                continue
            try:
                rule = _rule(line.strip())
            except re.error as error:
                raise BadInput(f"not a pattern: {line.rstrip()!r:.200}", where=f"{where}:{number}") from error
            if rule.depth:
                rules.append(rule)
        return cls((*rules, _rule("!.dockerignore")) if rules else ())

    def ignores(self, path: str) -> bool:
        """Whether ``path``, relative to the folder of the file, is left out."""
        folders = _names(posixpath.dirname(path))
        left_out = False
        for rule in self.rules:
            if rule.keeps is left_out and rule.matches(path, folders):
                left_out = not rule.keeps
        return left_out


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name and name != "."]


def _rule(text: str) -> _Rule:
    keeps = text.startswith("!")
    names: list[str] = []
    for name in _names(text.removeprefix("!").strip()):
        if name != "..":
            names.append(name)
        elif names:
            names.pop()
    with warnings.catch_warnings():
        # Of sets such as [[a], which may mean something else to a Python to come.
        warnings.simplefilter("ignore", FutureWarning)
        pattern = re.compile("".join(_regex("/".join(names).lower())) + "$")
    return _Rule(pattern, len(names), keeps)


# In order: ** with what follows it, *, ?, a closed set of characters, any other character.
_TOKEN = re.compile(r"(\*\*/?)|(\*)|(\?)|\[(?:(!)|(?!!))(\][^\]]*|[^\]]+)\]|(.)", re.DOTALL)


def _regex(pattern: str) -> Iterator[str]:
    for token in _TOKEN.finditer(pattern):
        folders, star, question, negated, characters, other = token.groups()
        if folders:
            yield ".*" if token.end() == len(pattern) else "(.*/)?"
        elif star:
            yield "[^/]*"
        elif question:
            yield "[^/]"
        elif other is None:
            escaped = characters.replace("\\", "\\\\")
            yield f"[^{escaped}]" if negated else f"[\\{escaped}]" if escaped[0] == "^" else f"[{escaped}]"
        else:
            yield re.escape(other)
