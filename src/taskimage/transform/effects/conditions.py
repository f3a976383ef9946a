"""The `test` command, on the files of a tree (POSIX.1-2017, test)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

from taskimage.transform.effects.tree import Tree

__all__ = ["evaluate_test"]

_NUMBERS = {
    "-eq": operator.eq, "-ne": operator.ne, "-lt": operator.lt, "-le": operator.le, "-gt": operator.gt,
    "-ge": operator.ge,
}  # fmt: skip
# What a build never has: a running system, a terminal.
_ABSENT = ("/run/", "/proc", "/sys", "/dev/")


def evaluate_test(words: Sequence[str | None], tree: Tree) -> bool | None:
    """Whether ``words`` (what stands between the brackets) hold; None when that cannot be known."""
    for joint, stop in (("-o", True), ("-a", False)):
        if joint in words[1:-1]:
            at = words.index(joint, 1)
            left, right = evaluate_test(words[:at], tree), evaluate_test(words[at + 1 :], tree)
            if stop in (left, right):
                return stop
            return None if None in (left, right) else not stop
    if words and words[0] == "!":
        inner = evaluate_test(words[1:], tree)
        return None if inner is None else not inner
    if len(words) == 3:
        return _compared(words[0], words[1], words[2])
    if len(words) == 2:
        return _asked(words[0], words[1], tree)
    return None if None in words else bool(words and words[0])


def _compared(left: str | None, sign: str | None, right: str | None) -> bool | None:
    if left is None or right is None:
        return None
    if sign in ("=", "==", "!="):
        return (left == right) == (sign != "!=")
    if sign in _NUMBERS and left.lstrip("-").isdecimal() and right.lstrip("-").isdecimal():
        return bool(_NUMBERS[sign](int(left), int(right)))
    return None


def _asked(question: str | None, value: str | None, tree: Tree) -> bool | None:
    if value is None:
        return None
    if question in ("-n", "-z"):
        return bool(value) == (question == "-n")
    if question not in _QUESTIONS:
        return None
    return bool(value) and not value.startswith(_ABSENT) and _QUESTIONS[question](tree, value)


def _is_link(tree: Tree, path: str) -> bool:
    entry = tree.get(path)
    return entry is not None and entry.kind == "symlink"


def _is_executable(tree: Tree, path: str) -> bool:
    entry = tree.file(path)
    return tree.is_directory(path) if entry is None else bool(entry.mode & 0o111)


def _has_bytes(tree: Tree, path: str) -> bool:
    entry = tree.file(path)
    return entry is not None and entry.size > 0


_QUESTIONS: Mapping[str | None, Callable[[Tree, str], bool]] = {
    "-d": Tree.is_directory, "-e": Tree.__contains__, "-f": lambda tree, path: tree.file(path) is not None,
    "-h": _is_link, "-L": _is_link, "-r": Tree.__contains__, "-s": _has_bytes, "-t": lambda *_: False,
    "-w": Tree.__contains__, "-x": _is_executable,
}  # fmt: skip
