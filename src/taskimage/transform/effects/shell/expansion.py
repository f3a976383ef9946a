"""Words of a shell script -> text, as far as it is known (POSIX.1-2017, 2.5 and 2.6)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

from taskimage.transform.effects.shell.lexer import expandable
from taskimage.transform.effects.shell.nodes import Part, Word

__all__ = ["MAX_TEXT", "Variables", "matches"]

# Longer text is not followed: a few doublings would fill the memory.
MAX_TEXT = 1 << 20

_PARAMETER = re.compile(r"(\w+|[@*#?$!-])(?:(:?[-+=?]|##?|%%?)(.*))?", re.DOTALL)
_WILD = re.compile(r"[*?\[]")
# Set by the shell, or by what a script asks debconf.
_NEVER_KNOWN = frozenset({"?", "$", "!", "-", "RET"})


class Variables:
    """A script's variables and arguments (the first is its own name); None stands for what is not known.

    ``substitute`` gives the output of the script in ``$(…)``, ``glob`` the paths that a pattern matches.
    """

    def __init__(
        self,
        values: dict[str, str | None],
        arguments: Sequence[str | None],
        *,
        substitute: Callable[[str], str | None],
        glob: Callable[[str], list[str]],
    ) -> None:
        self.values = values
        self.arguments = list(arguments)
        self._substitute = substitute
        self._glob = glob

    def expand(self, words: Sequence[Word]) -> list[str | None]:
        """The fields of ``words``; an unquoted expansion is split at blanks."""
        fields: list[str | None] = []
        for word in words:
            if len(word) == 1 and word[0].kind == "variable" and word[0].text in ("@", "*"):
                fields += self.arguments[1:]
                continue
            text = self.text(word)
            # A word that has quotes as well as unquoted expansions is not split: none is meant to be.
            if text is None or any(part.quoted or part.kind == "literal" for part in word):
                split = [text]
            else:
                split = [*text.split()]
            for field in split:
                fields += self._paths(word, field)
        return fields

    def _paths(self, word: Word, field: str | None) -> Sequence[str | None]:
        wild = any(not part.quoted and _WILD.search(self._value(part) or "") for part in word)
        if field is None or not wild or not field.startswith("/"):
            return [field]
        # A pattern that matches nothing stands for itself.
        return self._glob(field) or [field]

    def text(self, word: Word) -> str | None:
        """``word`` with its expansions, not split; None when one of them is not known."""
        values = [self._value(part) for part in word]
        text = "".join(value for value in values if value is not None)
        return None if None in values or len(text) > MAX_TEXT else text

    def pattern(self, word: Word) -> str | None:
        """``word`` as a pattern for ``matches``, in which quoted text stands for itself."""
        text = self.text(word)
        if text is None or not any(part.quoted for part in word):
            return text
        return "".join(
            re.sub(r"[*?\[]", r"[\g<0>]", self._value(part) or "") if part.quoted else self._value(part) or ""
            for part in word
        )

    def _value(self, part: Part) -> str | None:
        if part.kind == "literal":
            return part.text
        if part.kind == "command":
            # $((…)) is arithmetic, which nothing here needs.
            return None if part.text.startswith("(") else self._substitute(part.text)
        match = _PARAMETER.fullmatch(part.text)
        if match is None:
            return None
        name, operator, argument = match.groups()
        value = self._parameter(name)
        return value if operator is None or value is None else self._operated(value, operator, argument)

    def _operated(self, value: str, operator: str, argument: str) -> str | None:
        if operator[0] in "#%":
            pattern = self.text(expandable(argument))
            return None if pattern is None else _trimmed(value, operator, pattern)
        if operator[-1] == "+":
            return self.text(expandable(argument)) if value else ""
        return value or self.text(expandable(argument))

    def _parameter(self, name: str) -> str | None:
        if name == "#":
            return str(len(self.arguments) - 1)
        if name in ("@", "*"):
            known = [argument for argument in self.arguments[1:] if argument is not None]
            return " ".join(known) if len(known) == len(self.arguments) - 1 else None
        if name.isdecimal():
            return self.arguments[int(name)] if int(name) < len(self.arguments) else ""
        return self.values.get(name, None if name in _NEVER_KNOWN else "")


def matches(value: str, pattern: str | None) -> bool:
    """Whether ``pattern`` (POSIX.1-2017, 2.13) is known and matches the whole of ``value``."""
    return pattern is not None and fnmatch.fnmatchcase(value, pattern)


def _trimmed(value: str, operator: str, pattern: str) -> str:
    """``value`` without the start (``#``) or end (``%``) that ``pattern`` matches; doubled: the longest."""
    lengths = range(len(value) + 1)
    for length in lengths if len(operator) == 1 else reversed(lengths):
        part = value[:length] if operator[0] == "#" else value[len(value) - length :]
        if fnmatch.fnmatchcase(part, pattern):
            return value[length:] if operator[0] == "#" else value[: len(value) - length]
    return value
