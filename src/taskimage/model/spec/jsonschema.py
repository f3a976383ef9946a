"""`schema`: the JSON Schema of a spec's YAML, for editors, from the rules that the reader follows.

It is never stricter than the reader. What JSON Schema cannot say, the reader alone says: a key that comes twice, how a
number was written (3.10 is 3.1 to JSON), what YAML 1.1 makes of yes or of a date, how long a tag becomes, whether an
identifier is one, the release or the builder that a misspelt name means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from taskimage.model.spec import ImageSpec
from taskimage.model.spec.builderoptions import NAMESPACE, SWITCHES, BuilderOptions
from taskimage.model.spec.fieldrules import COPYING, RULES, VERSIONS
from taskimage.model.spec.frozen import thaw
from taskimage.model.spec.rules import Rule
from taskimage.model.spec.sentences import FIELDS_SAID, SWITCHES_SAID, Said

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """The document: JSON Schema 2020-12 with nothing that draft 7, which editors read too, has not."""
    properties = _properties(RULES, FIELDS_SAID, ImageSpec)
    properties["name"] = properties["name"] | {"type": "string"}
    for name in VERSIONS:
        properties[name] |= {"type": ["string", "number", "null"]}
    properties["python_version"] |= {"minimum": 3, "exclusiveMaximum": 4}
    properties["builder_options"]["properties"][NAMESPACE] = {
        "description": "What is decided beyond flytekit's fields.",
        "type": ["object", "null"],
        "properties": _properties(SWITCHES, SWITCHES_SAID, BuilderOptions),
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "taskimage",
        "description": "What is wanted of an image: flytekit's ImageSpec.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "if": _has("source_copy_mode", {"type": "string", "pattern": COPYING}),
        "then": _has("source_root", {"type": "string"}),
    }


def _properties(
    rules: Mapping[str, Rule], said: Mapping[str, Said], values: type
) -> dict[str, dict[str, Any]]:
    """What each of ``rules`` allows, explained, with its default in ``values``; nothing may stand for the default."""
    defaults = {one.name: one.default for one in fields(values)}
    return {name: _property(rule, said[name], thaw(defaults[name])) for name, rule in rules.items()}


def _property(rule: Rule, said: Said, default: Any) -> dict[str, Any]:
    examples = {"examples": list(said.examples)} if said.examples else {}
    usual = {} if default is None else {"default": default}
    return {"description": said.sentence, **_or_nothing(rule.schema), **usual, **examples}


def _or_nothing(allowed: Mapping[str, Any]) -> dict[str, Any]:
    for keyword, nothing in (("type", "null"), ("enum", None), ("anyOf", {"type": "null"})):
        if given := allowed.get(keyword):
            return {**allowed, keyword: [*([given] if isinstance(given, str) else given), nothing]}
    raise ValueError(f"no rule says what it is about: {allowed!r}")


def _has(name: str, allowed: Mapping[str, Any]) -> dict[str, Any]:
    return {"properties": {name: allowed}, "required": [name]}
