"""Runs maintainer scripts without a shell, on files that are nowhere yet: an abstract interpretation.

What a script asks that cannot be known gives "unknown": both ways of a branch are then followed, and a
command in one of them that would change files is reported instead of done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from taskimage.transform.effects.shell.expansion import MAX_TEXT, Variables, matches
from taskimage.transform.effects.shell.host import Call, Host, Result
from taskimage.transform.effects.shell.nodes import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Node,
    Pipeline,
    Redirect,
    ShellSyntaxError,
    Simple,
    While,
)
from taskimage.transform.effects.shell.parser import parse_script

__all__ = ["Interpreter"]

# A script that takes longer does not end, or does too much to be followed.
MAX_STEPS = 20_000


class _Exit(Exception):
    """The script ends; ``good`` when it says that all is well."""

    def __init__(self, *, good: bool) -> None:
        self.good = good


class _Return(Exception):
    """A function ends with ``status``."""

    def __init__(self, *, status: bool | None) -> None:
        self.status = status


class _Loop(Exception):
    """A loop's turn ends."""


class Interpreter:
    """One script with its variables and functions."""

    def __init__(self, host: Host, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self._host = host
        self._variables = Variables(dict(variables), arguments, substitute=self._substituted, glob=host.glob)
        self._functions: dict[str, Command] = {}
        self._doubts = 0
        self._steps = 0
        self._input: list[str] | None = None  # the lines that are there to be read; None: not known
        self._by_kind: dict[type, Callable[[Any], Result]] = {
            Simple: self._simple, AndOr: self._and_or, Pipeline: self._pipeline, If: self._if, For: self._for,
            While: self._while, Case: self._case, Group: self._group, Function: self._define,
        }  # fmt: skip

    def run_script(self, text: str) -> Result:
        """How a whole script ends. Raises ShellSyntaxError for what is not understood."""
        try:
            return self.run(parse_script(text))
        except _Exit as end:
            return Result(None if self._doubts else end.good)
        except (_Return, _Loop):
            return Result(None)
        except RecursionError as error:
            raise ShellSyntaxError("it calls itself without end") from error

    def assign(self, name: str, value: str | None) -> None:
        """Sets a variable, as a command of the shell's own would."""
        self._variables.values[name] = None if self._doubts else value

    def run(self, node: Node) -> Result:
        """Runs commands one after the other; the status is the last one's, the output of all."""
        status: bool | None = True
        output: str | None = ""
        for command in node:
            result = self._execute(command)
            status = result.status
            output = _joined(output, result.output)
        return Result(status, output)

    @contextmanager
    def doubt(self) -> Iterator[None]:
        """What runs inside may not run at all; and where it would end something, so may what follows."""
        before = self._doubts
        self._doubts += 1
        try:
            yield
        except _Exit as end:
            # The installation is one that succeeds, so a bad end is not met.
            self._doubts = before + end.good
        except (_Return, _Loop):
            self._doubts = before + 1
        else:
            self._doubts = before

    def _execute(self, command: Command) -> Result:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise ShellSyntaxError("it does not come to an end")
        return self._by_kind[type(command)](command)

    def _define(self, command: Function) -> Result:
        self._functions[command.name] = command.body
        return Result(True, "")

    def _and_or(self, command: AndOr) -> Result:
        result = self._execute(command.first)
        for operator, following in command.rest:
            if result.status is None:
                with self.doubt():
                    self._execute(following)
                result = Result(None)
            elif result.status == (operator == "&&"):
                result = self._execute(following)
        return result

    def _pipeline(self, command: Pipeline) -> Result:
        if len(command.commands) == 1:
            result = self._execute(command.commands[0])
            return Result(None if result.status is None else not result.status, result.output)
        output = self._stdin(())
        for part in command.commands:
            result = Result(None)
            with self.doubt(), self._reading(output):
                result = self._execute(part)
            output = result.output
        return result if output is not None else Result(None)

    def _if(self, command: If) -> Result:
        for condition, body in command.branches:
            status = self.run(condition).status
            if status is None:
                with self.doubt():
                    self.run(body)
                rest = If(
                    command.branches[command.branches.index((condition, body)) + 1 :], command.otherwise
                )
                with self.doubt():
                    self._if(rest)
                return Result(None)
            if status:
                return self.run(body)
        return self.run(command.otherwise)

    def _for(self, command: For) -> Result:
        words = (
            self._variables.arguments[1:] if command.words is None else self._variables.expand(command.words)
        )
        output: str | None = ""
        doubts = self._doubts
        for word in words:
            self._variables.values[command.variable] = word
            result = Result(None)
            with suppress(_Loop):
                if word is None:
                    with self.doubt():
                        self.run(command.body)
                else:
                    result = self.run(command.body)
            output = _joined(output, result.output)
        self._doubts = doubts
        return Result(True, output)

    def _while(self, command: While) -> Result:
        while True:
            status = self.run(command.condition).status
            if status is None:
                with self.doubt():
                    self.run(command.body)
                return Result(None)
            if status == command.until:
                return Result(True)
            try:
                self.run(command.body)
            except _Loop:
                return Result(True)

    def _case(self, command: Case) -> Result:
        value = self._variables.text(command.word)
        for patterns, body in command.branches:
            if value is None:
                with self.doubt():
                    self.run(body)
            elif any(matches(value, self._variables.pattern(pattern)) for pattern in patterns):
                return self.run(body)
        return Result(None if value is None else True)

    def _group(self, command: Group) -> Result:
        with self._reading(self._stdin(command.redirects)):
            result = self.run(command.body)
        return self._redirected(result, command.redirects)

    @contextmanager
    def _reading(self, text: str | None) -> Iterator[None]:
        """What runs inside reads ``text``."""
        before = self._input
        self._input = None if text is None else text.splitlines(keepends=True)
        try:
            yield
        finally:
            self._input = before

    def _stdin(self, redirects: tuple[Redirect, ...]) -> str | None:
        """What is left to read, or a here-document among ``redirects``; None where that is not known."""
        for redirect in redirects:
            if redirect.operator.startswith("<"):
                return self._variables.text(redirect.target) if redirect.operator == "<<" else None
        return None if self._input is None else "".join(self._input)

    def _simple(self, command: Simple) -> Result:
        assigned = {name: self._variables.text(word) for name, word in command.assignments}
        words = self._variables.expand(command.words)
        if not words:
            self._variables.values.update(
                {name: None if self._doubts else value for name, value in assigned.items()}
            )
            return self._redirected(Result(True, ""), command.redirects)
        result = self._call(words, command.redirects)
        return self._redirected(result, command.redirects)

    def _call(self, words: list[str | None], redirects: tuple[Redirect, ...]) -> Result:
        name, arguments = words[0], words[1:]
        if name is None:
            name = "(a command whose name is not known)"
        if name == "exit":
            raise _Exit(good=arguments in ([], ["0"]))
        if name == "return":
            raise _Return(status={"0": True, None: None}.get(arguments[0], False) if arguments else None)
        if name in ("break", "continue"):
            raise _Loop
        if name in ("local", "export", "readonly", "declare", "typeset"):
            return self._declare(arguments)
        if name in ("set", "shift", "unset", "read"):
            return self._builtin(name, arguments, redirects)
        if name == "exec" and arguments:
            self._call(arguments, redirects)
            raise _Exit(good=True)
        if name == "eval" and None not in arguments:
            return self.run(parse_script(" ".join(map(str, arguments))))
        if name in self._functions:
            return self._function(name, arguments)
        stdin = self._stdin(redirects)
        return self._host.run(
            Call(name=name, arguments=tuple(arguments), stdin=stdin, sure=not self._doubts), self
        )

    def _read(self, arguments: list[str | None], redirects: tuple[Redirect, ...]) -> Result:
        lines = None if any(redirect.operator.startswith("<") for redirect in redirects) else self._input
        names = [name for name in arguments if name is None or not name.startswith("-")] or ["REPLY"]
        if lines is None or self._doubts or None in names:
            values: list[str | None] = [None] * len(names)
            result = Result(None)
        else:
            line = lines.pop(0) if lines else None
            words = (line or "").split(maxsplit=len(names) - 1)
            values = [*(word.rstrip() for word in words), *[""] * (len(names) - len(words))]
            result = Result(line is not None, "")
        for name, value in zip(names, values, strict=True):
            self.assign(name or "", value)
        return result

    def _declare(self, arguments: list[str | None]) -> Result:
        for argument in arguments:
            name, equals, value = (argument or "").partition("=")
            if equals:
                self.assign(name, value)
        return Result(True, "")

    def _builtin(self, name: str, arguments: list[str | None], redirects: tuple[Redirect, ...]) -> Result:
        if name == "read":
            return self._read(arguments, redirects)
        if name == "shift":
            del self._variables.arguments[1:2]
        elif name == "unset":
            for argument in arguments:
                self._variables.values.pop(argument or "", None)
        elif arguments[:1] == ["--"]:
            self._variables.arguments = [self._variables.arguments[0], *arguments[1:]]
        return Result(True, "")

    def _function(self, name: str, arguments: list[str | None]) -> Result:
        before, doubts = self._variables.arguments, self._doubts
        self._variables.arguments = [before[0], *arguments]
        try:
            return self._execute(self._functions[name])
        except _Return as end:
            return Result(end.status, "")
        finally:
            self._variables.arguments, self._doubts = before, doubts

    def _redirected(self, result: Result, redirects: tuple[Redirect, ...]) -> Result:
        for redirect in redirects:
            target = self._variables.text(redirect.target)
            if redirect.operator in (">", ">>", ">|") and redirect.descriptor in ("", "1"):
                if target is None or not target.startswith("/dev/"):
                    self._host.write(target or "", result.output, redirect.operator == ">>", not self._doubts)
                result = Result(result.status, "")
        return result

    def _substituted(self, text: str) -> str | None:
        try:
            output = self.run(parse_script(text)).output
        except (_Exit, _Return, _Loop):
            return None
        return None if output is None else output.rstrip("\n")


def _joined(output: str | None, more: str | None) -> str | None:
    return None if output is None or more is None or len(output) > MAX_TEXT else output + more
