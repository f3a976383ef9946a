"""`Rule`: what a value of a spec may be, for the reader and, as JSON Schema, for editors; and the rules that fields share."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from taskimage.model.spec.problem import Key, SpecProblem
from taskimage.model.value import dataclass

__all__ = [
    "ANYTHING",
    "ENVIRONMENT",
    "PAIRS",
    "TEXT",
    "TEXTS",
    "TRUTH",
    "Problems",
    "Rule",
    "both",
    "each",
    "matching",
    "one_of",
    "text",
]

Problems: TypeAlias = Iterator[SpecProblem]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check, and the same as JSON Schema 2020-12 as far as that can say it: never stricter than the check."""

    problems: Callable[[Key, Any], Problems]
    schema: Mapping[str, Any]


# -- what a value is ---------------------------------------------------------------------------------------


def text(*, instead_of_list: str = "it takes one: write it without brackets or dash") -> Rule:
    """Text; ``instead_of_list`` is the hint for who gives a list."""

    def problems(key: Key, value: Any) -> Problems:
        hint = instead_of_list if isinstance(value, list | tuple) else None
        yield from _text(key, value, hint)

    return Rule(problems, {"type": "string"})


def _text(key: Key, value: Any, hint: str | None = None) -> Problems:
    if not isinstance(value, str):
        yield SpecProblem.wrong(key, value, "text", hint or _as_yaml_reads(value))
    elif not _is_plain(value):
        yield SpecProblem.wrong(key, value, "text without NUL and without halves of surrogate pairs")


def _as_yaml_reads(value: Any) -> str | None:
    """Why a value that looks like text is none."""
    if value is None:
        return 'nothing stands there: write "" for text that is empty, or take the line away'
    if isinstance(value, bool):
        return "YAML reads yes, no, on, off, true and false as truth values: put it in quotes"
    if isinstance(value, int | float):
        return "YAML reads it as a number: put it in quotes"
    if isinstance(value, dt.date):
        return "YAML reads it as a date: put it in quotes"
    return None


def _is_plain(value: str) -> bool:
    """Whether a file name, a command line and JSON can hold ``value``."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _environment(key: Key, value: Any) -> Problems:
    if not isinstance(value, Mapping):
        hint = "write NAME: value, with no dash" if isinstance(value, list | tuple | str) else None
        yield SpecProblem.wrong(key, value, "a mapping of names to text", hint)
        return
    for name, content in value.items():
        if isinstance(name, str) and name and "=" not in name and _is_plain(name):
            one = "a variable is one text: write it as the program wants to read it"
            yield from _text(
                (*key, name), content, one if isinstance(content, list | tuple | Mapping) else None
            )
        else:
            hint = None if isinstance(name, str) else _as_yaml_reads(name)
            message = f"{name!r:.80} is not a name of an environment variable"
            yield SpecProblem((*key, str(name)), message, hint, at_key=True)


def _mapping(key: Key, value: Any) -> Problems:
    """A mapping of names to anything that JSON could hold."""
    if not isinstance(value, Mapping):
        hint = "write NAME: value in lines below it" if isinstance(value, str | list | tuple) else None
        yield SpecProblem.wrong(key, value, "a mapping", hint)
        return
    yield from _anything(key, value)


def _anything(key: Key, value: Any) -> Problems:
    if isinstance(value, Mapping):
        for name, part in value.items():
            if isinstance(name, str):
                yield from _anything((*key, name), part)
            else:
                message = f"{name!r:.80} is not a name; put it in quotes"
                yield SpecProblem((*key, str(name)), message, at_key=True)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _anything((*key, index), part)
    elif value is not None and not isinstance(value, str | bool | int | float):
        wanted = "text, a number, true, false, a list or a mapping"
        yield SpecProblem.wrong(key, value, wanted, _as_yaml_reads(value))


def _pairs(key: Key, value: Any) -> Problems:
    wanted = "[file, mount path]"
    if not isinstance(value, list | tuple):
        yield SpecProblem.wrong(key, value, f"a list of {wanted}")
        return
    for index, pair in enumerate(value):
        sound = isinstance(pair, list | tuple) and len(pair) == 2
        if not sound or not all(isinstance(part, str) for part in pair):
            hint = f"write - {wanted} for each" if isinstance(pair, str) else None
            yield SpecProblem.wrong((*key, index), pair, wanted, hint)


def _truth(key: Key, value: Any) -> Problems:
    if not isinstance(value, bool):
        hint = "take away the quotes" if value in ("true", "false", "yes", "no", "on", "off") else None
        yield SpecProblem.wrong(key, value, "true or false", hint)


TEXT = text()
TRUTH = Rule(_truth, {"type": "boolean"})
ANYTHING = Rule(_mapping, {"type": "object"})
ENVIRONMENT = Rule(
    _environment,
    {
        "type": "object",
        "propertyNames": {"pattern": "^[^=]+$"},
        # The reader writes numbers and truth values as text.
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
)
PAIRS = Rule(
    _pairs, {"type": "array", "items": {"type": "array", "items": TEXT.schema, "minItems": 2, "maxItems": 2}}
)


# -- rules made of others -----------------------------------------------------------------------------------


def both(first: Rule, second: Rule) -> Rule:
    """What ``first`` says, and of a value with which that finds nothing wrong what ``second`` says."""

    def problems(key: Key, value: Any) -> Problems:
        found = list(first.problems(key, value))
        yield from found or second.problems(key, value)

    return Rule(problems, {**first.schema, **second.schema})


def matching(pattern: str, wanted: str, *, hints: Mapping[str, str] | None = None, of: Rule = TEXT) -> Rule:
    """Text that ``pattern`` matches as a whole, in what Python's and ECMAScript's expressions have in common.

    ``hints`` has what to do about mistakes that people make, by patterns that match those.
    """

    def problems(key: Key, value: str) -> Problems:
        if not re.fullmatch(pattern, value):
            mistakes = (hints or {}).items()
            hint = next((hint for mistake, hint in mistakes if re.fullmatch(mistake, value)), None)
            yield SpecProblem.wrong(key, value, wanted, hint)

    # The second is what VS Code's language servers show instead of the first.
    schema = {"pattern": f"^(?:{pattern})$", "patternErrorMessage": f"wanted {wanted}"}
    return both(of, Rule(problems, schema))


def one_of(*choices: str) -> Rule:
    """One of the texts ``choices``."""

    def problems(key: Key, value: Any) -> Problems:
        if value not in choices:
            yield SpecProblem.wrong(key, value, " or ".join(choices))

    return Rule(problems, {"enum": list(choices)})


def each(rule: Rule) -> Rule:
    """A list of texts, for each of which ``rule`` holds."""

    def problems(key: Key, value: Any) -> Problems:
        if not isinstance(value, list | tuple):
            stuck = isinstance(value, str) and value.startswith("-")
            hint = "a space stands behind each dash" if stuck else _INSTEAD_OF_LIST.get(type(value))
            yield SpecProblem.wrong(key, value, "a list of text", hint)
            return
        for index, part in enumerate(value):
            if hint := _INSTEAD_OF_ENTRY.get(type(part)):
                yield SpecProblem.wrong((*key, index), part, "text", hint)
            else:
                yield from rule.problems((*key, index), part)

    return Rule(problems, {"type": "array", "items": rule.schema})


_INSTEAD_OF_LIST: Mapping[type, str] = {
    str: "write it in brackets, or as lines that start with a dash",
    dict: "write each in a line that starts with a dash, with no colon",
}
_INSTEAD_OF_ENTRY: Mapping[type, str] = {
    type(None): "nothing stands behind the dash: take it away",
    dict: "a colon and a space make it a mapping: put it in quotes, or take them away",
    list: "it is one list: take away a dash, or brackets",
}

TEXTS = each(TEXT)
