"""Text of a shell script -> operators, words and redirections (POSIX.1-2017, 2.2, 2.3, 2.6, 2.7)."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Literal, TypeAlias

from taskimage.model.value import dataclass
from taskimage.transform.effects.shell.nodes import Part, ShellSyntaxError, Word

__all__ = ["HereDocument", "Token", "expandable", "tokens"]


@dataclass(slots=True)
class HereDocument:
    """A ``<<`` whose text is found at the next line's start."""

    end: str
    strip: bool
    word: list[Part] = field(default_factory=list)


Token: TypeAlias = str | Word | tuple[Literal["redirect"], str, str, "Word | HereDocument"]
_OPERATOR = re.compile(r"&&|\|\||;;|[;&|()\n]")
_REDIRECT = re.compile(r"(\d*)(<<-?|>>|>&|<&|>\||[<>])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")


def tokens(text: str) -> list[Token]:
    """The tokens of a script; a line's end is one. Raises ShellSyntaxError."""
    return _Lexer(text + "\n").tokens()


def expandable(text: str) -> Word:
    """The parts of text that is not split into words, such as what a ``${name:-text}`` has."""
    return _Lexer(text).quoted("")


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\\\n", "")
        self.at = 0
        self.pending: list[HereDocument] = []

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif match := _REDIRECT.match(self.text, self.at):
                self.at = match.end()
                found.append(self.redirect(match[2], match[1]))
            elif match := _OPERATOR.match(self.text, self.at):
                self.at = match.end()
                found.append(match[0])
                if match[0] == "\n":
                    self.here_documents()
            else:
                found.append(self.word())
        return found

    def redirect(self, operator: str, descriptor: str) -> Token:
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        word = self.word()
        if not operator.startswith("<<"):
            return ("redirect", operator, descriptor, word)
        document = HereDocument("".join(part.text for part in word), operator == "<<-")
        document.word = [Part("literal", "", quoted=True)] if any(part.quoted for part in word) else []
        self.pending.append(document)
        return ("redirect", "<<", descriptor, document)

    def here_documents(self) -> None:
        for document in self.pending:
            lines: list[str] = []
            while True:
                if self.at >= len(self.text):
                    raise ShellSyntaxError(f"a here-document without its end {document.end!r}")
                line, _, _ = self.text[self.at :].partition("\n")
                self.at += len(line) + 1
                line = line.lstrip("\t") if document.strip else line
                if line == document.end:
                    break
                lines.append(line + "\n")
            text = "".join(lines)
            if document.word:
                document.word = [Part("literal", text, quoted=True)]
            else:
                document.word = list(expandable(text))
        self.pending = []

    def word(self) -> Word:
        parts: list[Part] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;&|()<>":
                break
            if char == "'":
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise ShellSyntaxError("a quote without its end")
                parts.append(Part("literal", self.text[self.at + 1 : end], quoted=True))
                self.at = end + 1
            elif char == '"':
                self.at += 1
                parts += self.quoted('"') or (Part("literal", "", quoted=True),)
                self.at += 1
            elif char == "\\":
                parts.append(Part("literal", self.text[self.at + 1 : self.at + 2], quoted=True))
                self.at += 2
            elif char in "$`":
                parts.append(self.expansion(quoted=False))
            else:
                parts.append(Part("literal", char, quoted=False))
                self.at += 1
        if not parts:
            raise ShellSyntaxError(f"no word where one must be: {self.text[self.at : self.at + 40]!r}")
        return _joined(parts)

    def quoted(self, end: str) -> Word:
        """Parts up to the quote ``end``, or all of the text when that is empty."""
        parts: list[Part] = []
        while self.at < len(self.text) and (not end or self.text[self.at] != end):
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\"):
                parts.append(Part("literal", self.text[self.at + 1], quoted=True))
                self.at += 2
            elif char in "$`":
                parts.append(self.expansion(quoted=True))
            else:
                parts.append(Part("literal", char, quoted=True))
                self.at += 1
        if end and self.at >= len(self.text):
            raise ShellSyntaxError("a quote without its end")
        return _joined(parts)

    def expansion(self, *, quoted: bool) -> Part:
        if self.text[self.at] == "`":
            end = self.text.find("`", self.at + 1)
            if end < 0:
                raise ShellSyntaxError("a backquote without its end")
            inner, self.at = self.text[self.at + 1 : end], end + 1
            return Part("command", inner, quoted)
        follows = self.text[self.at + 1 : self.at + 2]
        if follows in ("(", "{"):
            inner = self.nested(follows, ")" if follows == "(" else "}")
            return Part("command" if follows == "(" else "variable", inner, quoted)
        if match := _VARIABLE.match(self.text, self.at + 1):
            self.at = match.end()
            return Part("variable", match[0], quoted)
        self.at += 1
        return Part("literal", "$", quoted)

    def nested(self, opening: str, closing: str) -> str:
        start, depth, quote = self.at + 2, 0, ""
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == "\\" and quote != "'":
                self.at += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    return self.text[start : self.at - 1]
        raise ShellSyntaxError(f"a '${opening}' without its end")


def _joined(parts: list[Part]) -> Word:
    """Neighbouring literals as one."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last and last.kind == part.kind == "literal" and last.quoted == part.quoted:
            joined[-1] = Part("literal", last.text + part.text, part.quoted)
        else:
            joined.append(part)
    return tuple(joined)
