"""Tokens of a shell script -> commands (POSIX.1-2017, 2.9 and 2.10), as far as maintainer scripts go."""

from __future__ import annotations

import re

from taskimage.transform.effects.shell.lexer import HereDocument, Token, tokens
from taskimage.transform.effects.shell.nodes import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Node,
    Part,
    Pipeline,
    Redirect,
    ShellSyntaxError,
    Simple,
    While,
    Word,
)

__all__ = ["parse_script"]

_RESERVED = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_script(text: str) -> Node:
    """The commands of a script. Raises ShellSyntaxError."""
    parser = _Parser(tokens(text))
    node = parser.commands(())
    if parser.peek() is not None:
        raise ShellSyntaxError(f"a {parser.peek()!r} with nothing before it")
    return node


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str | None:
        """The operator or unquoted literal that comes next; "" for any other word, None at the end."""
        if self.at >= len(self.tokens):
            return None
        token = self.tokens[self.at]
        if isinstance(token, str):
            return token
        if token[0] == "redirect":
            return ""
        return _literal(token)

    def accept(self, text: str) -> bool:
        if self.peek() == text:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise ShellSyntaxError(f"{self.peek()!r} where {text!r} must be")

    def newlines(self) -> None:
        while self.peek() in ("\n", ";"):
            self.at += 1

    def commands(self, ends: tuple[str, ...]) -> Node:
        """Commands up to one of ``ends``, which is left there."""
        found: list[Command] = []
        while True:
            while self.peek() in ("\n", ";", "&"):
                self.at += 1
            if self.peek() is None or self.peek() in ends or self.peek() in (")", ";;"):
                return tuple(found)
            found.append(self.and_or())

    def and_or(self) -> Command:
        first = self.pipeline()
        rest: list[tuple[str, Command]] = []
        while (operator := self.peek()) in ("&&", "||"):
            self.at += 1
            self.newlines()
            rest.append((operator or "", self.pipeline()))
        return AndOr(first, tuple(rest)) if rest else first

    def pipeline(self) -> Command:
        negated = self.accept("!")
        commands = [self.command()]
        while self.accept("|"):
            self.newlines()
            commands.append(self.command())
        return commands[0] if len(commands) == 1 and not negated else Pipeline(tuple(commands), negated)

    def command(self) -> Command:
        kinds = {
            "if": self.if_, "for": self.for_, "while": self.while_, "until": self.while_, "case": self.case,
            "{": self.group, "(": self.group, "function": self.function,
        }  # fmt: skip
        word = self.peek()
        if word in kinds:
            command = kinds[word]()
            redirects = self.redirects()
            return Group((command,), redirects) if redirects else command
        follows = self.tokens[self.at + 1 : self.at + 3]
        if word and follows == ["(", ")"]:
            return self.function()
        return self.simple()

    def function(self) -> Command:
        self.accept("function")
        name = self.peek() or ""
        self.at += 1
        if self.accept("("):
            self.expect(")")
        self.newlines()
        return Function(name, self.command())

    def group(self) -> Command:
        subshell = self.peek() == "("
        self.at += 1
        body = self.commands((")" if subshell else "}",))
        self.expect(")" if subshell else "}")
        return Group(body, (), subshell)

    def if_(self) -> Command:
        branches: list[tuple[Node, Node]] = []
        otherwise: Node = ()
        while self.accept("if") or self.accept("elif"):
            condition = self.commands(("then",))
            self.expect("then")
            branches.append((condition, self.commands(("elif", "else", "fi"))))
        if self.accept("else"):
            otherwise = self.commands(("fi",))
        self.expect("fi")
        return If(tuple(branches), otherwise)

    def for_(self) -> Command:
        self.at += 1
        variable = self.peek() or ""
        self.at += 1
        words: list[Word] | None = None
        self.newlines() if self.peek() == "\n" else None
        if self.accept("in"):
            words = []
            while self.peek() not in ("\n", ";", None):
                words.append(self.any_word())
        self.newlines()
        return For(variable, None if words is None else tuple(words), self.loop_body())

    def while_(self) -> Command:
        until = self.peek() == "until"
        self.at += 1
        condition = self.commands(("do",))
        return While(condition, self.loop_body(), until)

    def loop_body(self) -> Node:
        self.expect("do")
        body = self.commands(("done",))
        self.expect("done")
        return body

    def case(self) -> Command:
        self.at += 1
        word = self.any_word()
        self.newlines()
        self.expect("in")
        self.newlines()
        branches: list[tuple[tuple[Word, ...], Node]] = []
        while not self.accept("esac"):
            self.accept("(")
            patterns = [self.any_word()]
            while self.accept("|"):
                patterns.append(self.any_word())
            self.expect(")")
            branches.append((tuple(patterns), self.commands(("esac",))))
            self.accept(";;")
            self.newlines()
        return Case(word, tuple(branches))

    def any_word(self) -> Word:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if token is None or isinstance(token, str) or token[0] == "redirect":
            raise ShellSyntaxError(f"{token!r} where a word must be")
        self.at += 1
        return token

    def redirects(self) -> tuple[Redirect, ...]:
        found: list[Redirect] = []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if isinstance(token, str) or token[0] != "redirect":
                break
            _, operator, descriptor, target = token
            word = tuple(target.word) if isinstance(target, HereDocument) else target
            found.append(Redirect(operator, word, descriptor))
            self.at += 1
        return tuple(found)

    def simple(self) -> Command:
        if self.peek() in _RESERVED:
            raise ShellSyntaxError(f"{self.peek()!r} where a command must be")
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            redirects += self.redirects()
            if self.at >= len(self.tokens) or isinstance(self.tokens[self.at], str):
                break
            word = self.any_word()
            assigned = None if words else _assignment(word)
            assignments.append(assigned) if assigned else words.append(word)
        if not (assignments or words or redirects):
            raise ShellSyntaxError(f"{self.peek()!r} where a command must be")
        return Simple(tuple(assignments), tuple(words), tuple(redirects))


def _literal(word: Word) -> str:
    return word[0].text if len(word) == 1 and word[0].kind == "literal" and not word[0].quoted else ""


def _assignment(word: Word) -> tuple[str, Word] | None:
    first = word[0]
    name, equals, value = first.text.partition("=")
    if first.kind != "literal" or first.quoted or not equals or not _NAME.fullmatch(name):
        return None
    return name, (Part("literal", value, quoted=False), *word[1:])
