"""Shell scripts, followed without a shell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.transform.effects.shell.host import Call, Host, Result
from taskimage.transform.effects.shell.interpreter import Interpreter
from taskimage.transform.effects.shell.nodes import ShellSyntaxError
from taskimage.transform.effects.shell.parser import parse_script

Calls = list[tuple[object, ...]]


def follow(script: str, *arguments: str) -> tuple[Calls, Calls]:
    """The commands that certainly run and those that may, for a host that knows yes, no and "maybe"."""
    sure: Calls = []
    perhaps: Calls = []

    def run(call: Call, _: Interpreter) -> Result:
        known = {"yes": True, "no": False, "maybe": None}
        if call.name in known:
            return Result(known[call.name], "")
        if call.name == "echo":
            return Result(True, " ".join(word or "?" for word in call.arguments) + "\n")
        words = (call.name, *call.arguments, *([call.stdin] if call.stdin else []))
        (sure if call.sure else perhaps).append(words)
        return Result(True, "" if call.name != "query" else None)

    def write(path: str, text: str | None, append: bool, certain: bool) -> None:  # noqa: FBT001
        (sure if certain else perhaps).append((">>" if append else ">", path, text))

    Interpreter(
        Host(run, write, lambda pattern: [f"{pattern[:-1]}{x}" for x in "12"]),
        ("/script", *arguments),
        {"KNOWN": "value"},
    ).run_script(script)
    return sure, perhaps


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("run a 'b c' \"d e\" f\\ g", [("run", "a", "b c", "d e", "f g")]),
        ("run a; run b # comment\nrun c", [("run", "a"), ("run", "b"), ("run", "c")]),
        ("run \\\n  a", [("run", "a")]),
        ("X=1 Y=$X; run $X${Y}z", [("run", "1z")]),
        ("run \"$KNOWN\" '$KNOWN'", [("run", "value", "$KNOWN")]),
        ("X='a b'; run $X; run \"$X\"", [("run", "a", "b"), ("run", "a b")]),
        ("run ${UNSET:-$KNOWN} ${KNOWN:+set} ${UNSET-x}", [("run", "value", "set", "x")]),
        (
            "P=/a/b.tar.gz; run ${P##*/} ${P#*/} ${P%.*} ${P%%.*}",
            [("run", "b.tar.gz", "a/b.tar.gz", "/a/b.tar", "/a/b")],
        ),
        ('run "$@"', [("run", "configure", "")]),
        ("shift; run $# $1.", [("run", "1", ".")]),
        ("run $(echo a; echo b) `echo c`", [("run", "a", "b", "c")]),
        ("yes && run a || run b", [("run", "a")]),
        ("no && run a || run b", [("run", "b")]),
        ("! no && run a", [("run", "a")]),
        ("if no; then run a; elif yes; then run b; else run c; fi", [("run", "b")]),
        ("for x in a b; do run $x; done", [("run", "a"), ("run", "b")]),
        ("for x; do run .$x; done", [("run", ".configure"), ("run", ".")]),
        ('case "$1" in abort*|x) run a;; configure) run b;; *) run c;; esac', [("run", "b")]),
        ('case "$1" in (conf*) run a;; esac', [("run", "a")]),
        ("case x in 'x') run a;; esac; case '*' in \"*\") run b; esac", [("run", "a"), ("run", "b")]),
        ("f() { run $1 in; return 0; run never; }; f x; run $1", [("run", "x", "in"), ("run", "configure")]),
        ("f() { no; return 1; }; f || run a", [("run", "a")]),
        ("run a; exit 0; run b", [("run", "a")]),
        ("(run a; run b)", [("run", "a"), ("run", "b")]),
        ("{ run a; } >/dev/null 2>&1", [("run", "a")]),
        ("echo text > /f", [(">", "/f", "text\n")]),
        ("echo $KNOWN >> /f", [(">>", "/f", "value\n")]),
        ("run <<EOF\nis $KNOWN\nEOF", [("run", "is value\n")]),
        ("run <<'EOF'\nis $KNOWN\nEOF\nrun b", [("run", "is $KNOWN\n"), ("run", "b")]),
        ("run <<-EOF\n\tx\n\tEOF", [("run", "x\n")]),
        ("while yes; do run a; break; done; run b", [("run", "a"), ("run", "b")]),
        ("run /a/* '/a/*'", [("run", "/a/1", "/a/2", "/a/*")]),
        ("eval 'run $KNOWN'", [("run", "value")]),
        ("local x=1; export y=2; run $x$y", [("run", "12")]),
    ],
)
def test_what_is_known_is_followed(script: str, expected: Calls) -> None:
    assert follow(script, "configure", "") == (expected, [])


@pytest.mark.parametrize(
    ("script", "sure", "perhaps"),
    [
        ("if maybe; then run a; else run b; fi; run c", [("run", "c")], [("run", "a"), ("run", "b")]),
        ("maybe && run a; run b", [("run", "b")], [("run", "a")]),
        ("maybe || exit 0; run a", [], [("run", "a")]),
        ("maybe || exit 1; run a", [("run", "a")], []),
        ("f() { maybe && return; run a; }; f; run b", [("run", "b")], [("run", "a")]),
        ("X=a; maybe && X=b; run $X", [("run", None)], []),
        ("run $(query)", [("run", None)], [("query",)][:0]),
        ("yes | while maybe; do run a; done", [], [("run", "a")]),
        ("case $(query) in a) run a;; *) run b;; esac", [], [("run", "a"), ("run", "b")]),
        ("for x in $(query); do run $x; done", [], [("run", None)]),
        ("query > /f", [("query",), (">", "/f", None)], []),
    ],
)
def test_what_is_not_known_is_followed_both_ways(script: str, sure: Calls, perhaps: Calls) -> None:
    found_sure, found_perhaps = follow(script, "configure")
    assert ([call for call in found_sure if call != ("query",) or call in sure], found_perhaps) == (
        sure,
        perhaps,
    )


@pytest.mark.parametrize(
    "script", ["if yes; then run", "run 'a", "run <<EOF\nx", "fi", "run ${x", "case x in", "a )"]
)
def test_what_is_no_script_is_an_error(script: str) -> None:
    with pytest.raises(ShellSyntaxError):
        parse_script(script)


@pytest.mark.parametrize("script", ["while yes; do run; done", "f() { f; }; f"])
def test_a_script_without_an_end_is_an_error(script: str) -> None:
    with pytest.raises(ShellSyntaxError):
        follow(script)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["if", "then", "fi", "$(", ")", "'", '"', "`", "<<E", "\n", ";", "|", "{", "}", "a", "=", "$x", "case", "in", "esac"]), max_size=12))  # fmt: skip
def test_any_text_is_a_script_or_an_error(words: Sequence[str]) -> None:
    with suppress(ShellSyntaxError):
        follow(" ".join(words))
