"""YAML text -> `ImageSpec`, with every problem at its line and column.

The values are those of PyYAML's SafeLoader (YAML 1.1), because flytekit's tag is computed from them; what
they mean may differ: ``python_version: 3.10`` is read as the number 3.1 and means "3.10".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from taskimage.model.errors import InvalidSpec, Problem
from taskimage.model.events import Warned
from taskimage.model.shown import shown
from taskimage.model.spec import FIELDS, ImageSpec, Origin
from taskimage.model.spec.fieldrules import VERSIONS, field_problems, unknown_key
from taskimage.model.spec.frozen import freeze
from taskimage.model.spec.misyaml import explained
from taskimage.model.spec.problem import Key, SpecProblem, dotted
from taskimage.model.spec.yamltext import Loader, compose, parts, place

__all__ = ["read_spec"]

_MAX_PROBLEMS = 50
_TEXT = "tag:yaml.org,2002:str"
# What PyYAML's constructors raise for a value that is not what its tag says.
_READ_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError)

Place = tuple[int, int]


def read_spec(data: bytes, *, path: str) -> tuple[ImageSpec, tuple[Warned, ...]]:
    """The spec that the YAML text ``data`` holds, and what a person should know about how it was read.

    Args:
        data: The whole file, in UTF-8.
        path: What messages call the file.

    Raises:
        InvalidSpec: With every problem that ``data`` has.
    """
    loader, root = compose(data, path=path)
    document = _Document(loader)
    document.check_duplicates(root)
    document.read(root)
    spec, problems = document.spec(path)
    if spec is None:
        raise InvalidSpec(path, _first(problems))
    return spec, tuple(document.warnings(path))


def _first(problems: list[Problem]) -> tuple[Problem, ...]:
    """The problems in the order of the file, as many as a person reads."""
    shown = sorted(problems)[:_MAX_PROBLEMS]
    if (more := len(problems) - len(shown)) > 0:
        shown.append(Problem(shown[-1].line + 1, 1, f"and {more} more problems from here on"))
    return tuple(shown)


class _Document:
    """What a mapping holds that is a spec: values as read, their texts and places, and what is wrong.

    ``within`` is the key at which it stands; ``base`` is the same of a ``base_image`` that is a mapping.
    """

    def __init__(self, loader: Loader, *, within: Key = ()) -> None:
        self._loader = loader
        self._within = within
        self.values: dict[str, Any] = {}
        self.places: dict[Key, Place] = {}
        self._keys: dict[Key, Place] = {}
        self.problems: list[Problem] = []
        self.base: _Document | None = None
        self._texts: dict[Key, str] = {}

    def read(self, root: yaml.MappingNode) -> None:
        try:
            self._loader.flatten_mapping(root)
        except yaml.MarkedYAMLError as error:
            message, hint = explained(error)
            self._problem(root, f"cannot be merged: {message}", hint)
            return
        for key, node in root.value:
            name = key.value if key.tag == _TEXT else None
            if name not in FIELDS:
                unknown = unknown_key((_text_of(key),))
                self._problem(key, unknown.message, unknown.hint)
                continue
            try:
                self.values[name] = self._loader.construct_object(node, deep=True)
            except _READ_ERRORS as error:
                reason, hint = explained(error) if isinstance(error, yaml.MarkedYAMLError) else (error, None)
                self._problem(node, f"{name} cannot be read: {reason}", hint)
            else:
                self._note((name,), node)
                if name == "base_image" and isinstance(node, yaml.MappingNode):
                    self.base = _Document(self._loader, within=(*self._within, "base_image"))
                    self.base.read(node)

    def spec(self, path: str) -> tuple[ImageSpec | None, list[Problem]]:
        """What was read, as a spec; None when there are problems."""
        values = self.meanings()
        problems = self.problems.copy()
        if self.base is not None:
            values["base_image"], below = self.base.spec(path)
            problems += below
        for problem in field_problems(values, within=self._within):
            problems.append(self.located(replace(problem, key=problem.key[len(self._within) :])))
        if problems:
            return None, problems
        read = {
            name: (freeze(values[name]), freeze(self.values[name]))
            for name in values
            if repr(values[name]) != repr(self.values[name])
        }
        return ImageSpec(**values, origin=Origin(path, self.places, read)), []

    def check_duplicates(self, root: yaml.Node) -> None:
        seen: set[int] = set()
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            waiting.extend(parts(node))
            if isinstance(node, yaml.MappingNode):
                first: dict[tuple[str, str], yaml.Node] = {}
                for key, _ in node.value:
                    before = first.setdefault((key.tag, str(key.value)), key)
                    if before is not key:
                        line, _ = place(before)
                        name = shown(_text_of(key), longest=80)
                        hint = "take one of them away"
                        self._problem(key, f"key {name} comes twice; it is first in line {line}", hint)

    def _note(self, key: Key, node: yaml.Node) -> None:
        self.places[key] = place(node)
        if isinstance(node, yaml.ScalarNode):
            self._texts[key] = node.value
        elif isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                inner = (*key, str(self._loader.construct_object(name)))
                self._keys[inner] = place(name)
                self._note(inner, value)
        else:
            for index, value in enumerate(node.value):
                self._note((*key, index), value)

    def _problem(self, node: yaml.Node, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(*place(node), message, hint))

    def located(self, problem: SpecProblem) -> Problem:
        key = problem.key
        if problem.at_key and key in self._keys:
            return Problem(*self._keys[key], problem.message, problem.hint)
        while key and key not in self.places:
            key = key[:-1]
        return Problem(*self.places.get(key, (1, 1)), problem.message, problem.hint)

    def meanings(self) -> dict[str, Any]:
        """The values, with a version's text for its number and text for every value of ``env``."""
        return self._meanings(self.values, ())

    def _meanings(self, read: Mapping[str, Any], within: Key) -> dict[str, Any]:
        values = dict(read)
        for name in VERSIONS & values.keys():
            if _is_number(values[name]):
                key: Key = (*within, name)
                values[name] = self._texts[key]
        if isinstance(base := values.get("base_image"), dict):
            values["base_image"] = self._meanings(base, (*within, "base_image"))
        if isinstance(values.get("env"), dict):
            values["env"] = {
                name: str(value) if _is_number(value) or isinstance(value, bool) else value
                for name, value in values["env"].items()
            }
        return values

    def warnings(self, path: str) -> Iterator[Warned]:
        for name, value in (self.values.get("env") or {}).items():
            key: Key = ("env", name)
            text = self._texts[key]
            if not isinstance(value, str) and str(value) != text:
                line, column = self.places[key]
                yield Warned(
                    f"{path}:{line}:{column}: {dotted(key)} is {str(value)!r} in the image: so YAML reads {text}",
                    hint="put it in quotes to keep it as it is written",
                )
        if self.base is not None:
            yield from self.base.warnings(path)


def _text_of(key: yaml.Node) -> str:
    return key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
