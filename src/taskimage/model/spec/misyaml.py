"""What PyYAML's complaints mean to who wrote the text: in plain words, at the place to look at, with what to do."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from taskimage.model.errors import Problem

__all__ = ["Limit", "explain", "explained"]

# By what PyYAML says: what that means, and what to do.
_MEANINGS: Mapping[str, tuple[str | None, str]] = {
    "mapping values are not allowed here": (
        "a colon does not belong here",
        'text with ": " in it stands in quotes, and keys of one mapping begin in one column',
    ),
    "that cannot start any token": (None, "text that begins with a sign such as @, ` or % stands in quotes"),
    "found undefined alias": (None, "an alias stands for what has its anchor, &NAME, above; text that begins with * stands in quotes"),
    "expected alphabetic or numeric character": (None, "text that begins with * or & stands in quotes"),
    "found another document": (
        "a spec is one document, and --- begins another one",
        "write each image in a file of its own",
    ),
    "expected '<document start>'": ("this goes on behind the end of the document", "wanted lines of KEY: value"),
    "found unhashable key": (
        "a mapping or a list cannot be a key",
        "{{ begins one: templates are not filled in here",
    ),
    "could not determine a constructor": (None, "tags mean nothing here: write the value itself"),
    "for merging": ("<<: takes a mapping or a list of mappings", "such as <<: *NAME, with &NAME at that mapping"),
}  # fmt: skip


class Limit(yaml.MarkedYAMLError):
    """YAML that goes past a limit of ours."""


def explain(error: yaml.MarkedYAMLError) -> Problem:
    """The problem that ``error``, of text that is not YAML, tells about."""
    problem = error.problem or ""
    if isinstance(error, Limit):
        return _at(error.problem_mark, problem, None)
    if "\\t" in problem:
        return _at(error.problem_mark, "not YAML: a tab", "YAML is indented with spaces, never with tabs")
    if error.context_mark and "quoted scalar" in (error.context or "") and "end of stream" in problem:
        return _at(error.context_mark, "not YAML: the quote that begins here does not end", None)
    if error.context_mark and "flow" in (error.context or ""):
        line, column = _place(error.context_mark)
        opened = f"the bracket of line {line}, column {column} does not end, or a comma is missing"
        return _at(error.problem_mark, f"not YAML: {problem}", opened)
    message, hint = explained(error)
    return _at(error.problem_mark or error.context_mark, f"not YAML: {message}", hint)


def explained(error: yaml.MarkedYAMLError) -> tuple[str, str | None]:
    """What ``error`` says, in words of ours where there are some, and a hint."""
    said = ": ".join(part for part in (error.context, error.problem) if part)
    for sign, (meaning, hint) in _MEANINGS.items():
        if sign in said:
            return meaning or error.problem or said, hint
    return said, None


def _at(mark: yaml.Mark | None, message: str, hint: str | None) -> Problem:
    return Problem(*_place(mark), message, hint)


def _place(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)
