"""marshmallow Schemas for the values of `codec`, alike on marshmallow 3 and 4."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from marshmallow import Schema, post_load
from marshmallow.fields import Raw

from taskimage.model.codec import JsonValue, foreign, plan

__all__ = ["schema_class"]


class _ValueSchema(Schema):
    """Loads into ``value_class``; ``lenient`` has what must be there filled in with None."""

    value_class: type[JsonValue]
    lenient: bool

    def __init__(self, *, context: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        # Set here, because marshmallow 4 has no such argument and 3 warns that it goes.
        self.context = context or {}

    @post_load
    def make_value(self, data: dict[str, Any], **_: Any) -> JsonValue:
        return self.value_class.from_dict(data, infer_missing=self.lenient)

    def dumps(self, obj: Any, *args: Any, many: bool | None = None, **options: Any) -> str:
        if "cls" not in options:
            options.setdefault("default", foreign)
        text: str = super().dumps(obj, *args, many=many, **options)
        return text


def _schema_class_of(cls: type[JsonValue], *, infer_missing: bool, lenient: bool) -> type[_ValueSchema]:
    names = [name for name, _, _ in plan(cls)]
    # `register = False`: the user's own schemas are found by name, and may have this one.
    meta = type("Meta", (), {"fields": tuple(names), "register": False})
    members = {name: _field(required=required, filled=infer_missing) for name, _, required in plan(cls)}
    return type(
        f"{cls.__name__.capitalize()}Schema",
        (_ValueSchema,),
        {"Meta": meta, "value_class": cls, "lenient": lenient, "__module__": __name__, **members},
    )


# Making a class takes far longer than making a schema of it.
schema_class: Callable[..., type[_ValueSchema]] = functools.cache(_schema_class_of)


def _field(*, required: bool, filled: bool) -> Raw:
    if required:  # by the value itself, whose error is a KeyError as well
        return Raw()
    return Raw(allow_none=True, load_default=None) if filled else Raw(allow_none=True, dump_default=None)
