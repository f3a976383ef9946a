"""Whether a document is valid by a JSON Schema, for the keywords that `taskimage schema` uses (2020-12, draft 7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "null": type(None), "boolean": bool, "number": (int, float), "string": str, "array": list, "object": dict,
}  # fmt: skip
_SAY_NOTHING = {"$schema", "title", "description", "default", "examples", "patternErrorMessage", "then"}


def is_valid(value: Any, schema: Any, root: Any) -> bool:
    """Whether ``schema``, a part of ``root``, allows ``value``. A keyword that is not known here is an error."""
    if isinstance(schema, bool):
        return schema
    return all(_allows(keyword, value, schema, root) for keyword in schema.keys() - _SAY_NOTHING)


def _allows(keyword: str, value: Any, schema: Any, root: Any) -> bool:
    says = schema[keyword]
    if keyword == "type":
        return any(_is(value, name) for name in ([says] if isinstance(says, str) else says))
    if keyword == "enum":
        return any(value == choice and type(value) is type(choice) for choice in says)
    if keyword == "anyOf":
        return any(is_valid(value, one, root) for one in says)
    if keyword == "if":
        return not is_valid(value, says, root) or is_valid(value, schema["then"], root)
    if keyword == "$ref":
        assert says == "#"
        return is_valid(value, root, root)
    kind, holds = _OF_ONE_KIND[keyword]
    return not _is(value, kind) or holds(value, schema, root)


# Keywords that say nothing of values of another kind.
_OF_ONE_KIND: Mapping[str, tuple[str, Callable[[Any, Any, Any], bool]]] = {
    # In ECMAScript $ is the very end.
    "pattern": ("string", lambda value, schema, _: bool(re.search(schema["pattern"].replace("$", r"\Z"), value))),
    "minimum": ("number", lambda value, schema, _: value >= schema["minimum"]),
    "exclusiveMaximum": ("number", lambda value, schema, _: value < schema["exclusiveMaximum"]),
    "minItems": ("array", lambda value, schema, _: len(value) >= schema["minItems"]),
    "maxItems": ("array", lambda value, schema, _: len(value) <= schema["maxItems"]),
    "items": ("array", lambda value, schema, root: all(is_valid(part, schema["items"], root) for part in value)),
    "required": ("object", lambda value, schema, _: set(schema["required"]) <= value.keys()),
    "propertyNames": (
        "object", lambda value, schema, root: all(is_valid(name, schema["propertyNames"], root) for name in value)
    ),
    "properties": (
        "object",
        lambda value, schema, root: all(
            is_valid(value[name], says, root) for name, says in schema["properties"].items() if name in value
        ),
    ),
    "additionalProperties": (
        "object",
        lambda value, schema, root: all(
            is_valid(value[name], schema["additionalProperties"], root)
            for name in value.keys() - schema.get("properties", {}).keys()
        ),
    ),
}  # fmt: skip


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
