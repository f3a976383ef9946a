"""Answers questions about images, with flytekit's classes or with ours: the same code asks both.

``python flytekit_image_oracle.py LIBRARY`` reads a list of questions from standard input, as JSON, and writes the
list of answers. A question is the name of a function below and its arguments; an answer is the value, or the
kinds of the error, with the RuntimeWarnings on the way.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle
import sys
import warnings
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

if sys.argv[1:] == ["flytekit"]:
    from flytekit.configuration import Image, ImageConfig
    from flytekit.core.python_auto_container import get_registerable_container_image as fill_in
else:
    from taskimage import Image, ImageConfig
    from taskimage.model.template import fill_in


class Colour(Enum):
    RED = "red"


# What JSON has not, by name.
ODD: dict[str, Any] = {
    "uuid": UUID(int=1),
    "time": datetime(2026, 1, 2, 12, tzinfo=timezone.utc),
    "decimal": Decimal("1.50"),
    "enum": Colour.RED,
    "tuple": (1, "x", None),
    "set": {1},
    "mapping": {1: (2,), "x": UUID(int=2)},
    "bytes": b"x",
    "number": 1,
    "bool": True,
    "nan": float("nan"),
}
CLASSES: dict[str, Any] = {"Image": Image, "ImageConfig": ImageConfig}


def look_up(*arguments: Any) -> Any:
    return Image.look_up_image_info("n", *arguments)


def members(fields: dict[str, Any]) -> Any:
    image = Image(**fields)
    same = image == Image(**fields) and hash(image) == hash(Image(**fields)) and image != 1
    return [image.full, image.version, repr(image), same, [field.name for field in dataclasses.fields(image)]]


def signature(kind: str, method: str) -> Any:
    parameters = inspect.signature(getattr(CLASSES[kind], method)).parameters.values()
    return [[each.name, each.kind.name, repr(each.default)] for each in parameters]


def copies(kvs: Any) -> Any:
    image = Image.from_dict(kvs)
    same = copy.copy(image) == copy.deepcopy(image) == pickle.loads(pickle.dumps(image)) == image  # noqa: S301
    changed = dataclasses.replace(image, name="other")
    return [
        same,
        changed,
        dataclasses.asdict(image),
        list(Image.__match_args__),
        Image.from_dict(image) is image,
    ]


def hooks(text: str, *names: str) -> Any:
    return Image.from_json(text, **{name: lambda value, name=name: f"{name}({value})" for name in names})


def odd(name: str, options: dict[str, Any], seen: bool) -> Any:  # noqa: FBT001
    image = Image("a", "b", tag=ODD[name])
    options = {**options, "default": lambda value: f"seen {value}"} if seen else options
    return [image.to_json(**options), image.to_dict(encode_json=True), repr(image.to_dict())]


def from_dict(kind: str, kvs: Any, options: dict[str, Any]) -> Any:
    return CLASSES[kind].from_dict(kvs, **options)


def from_json(kind: str, text: str, options: dict[str, Any]) -> Any:
    return CLASSES[kind].from_json(text, **options)


def to_dict(kind: str, kvs: Any, arguments: list[Any]) -> Any:
    return CLASSES[kind].from_dict(kvs).to_dict(*arguments)


def to_json(kind: str, kvs: Any, options: dict[str, Any]) -> Any:
    return CLASSES[kind].from_dict(kvs).to_json(**options)


def load(kind: str, options: dict[str, Any], document: Any, how: dict[str, Any]) -> Any:
    return CLASSES[kind].schema(**options).load(document, **how)


def dump(kind: str, options: dict[str, Any], kvs: Any) -> Any:
    schema = CLASSES[kind].schema(**options)
    value = CLASSES[kind].from_dict(kvs)
    value = [value, value] if options.get("many") else value
    return [
        schema.dump(value),
        schema.dumps(value) if kind == "Image" else None,
        type(schema).__name__,
        schema.context,
    ]


def validate_image(values: list[str]) -> Any:
    return ImageConfig.validate_image(None, "image", tuple(values))


def from_images(default: str, images: dict[str, str] | None) -> Any:
    return ImageConfig.from_images(default, images)


def auto(file: str | None, name: str | None) -> Any:
    return ImageConfig.auto(file, name)


def template(text: str | None, default: str | None, images: dict[str, str]) -> Any:
    return fill_in(text, ImageConfig.from_images(default, images))


def plain(value: Any) -> Any:
    """``value`` for JSON, with the class of everything that is a value."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def answer(question: list[Any]) -> dict[str, Any]:
    name, *arguments = question
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = {"value": plain(globals()[name](*arguments))}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            result = {"error": [kind.__name__ for kind in type(error).__mro__], "says": str(error)}
    result["warned"] = [str(each.message) for each in caught if each.category is RuntimeWarning]
    result["others"] = sorted({each.category.__name__ for each in caught} - {"RuntimeWarning"})
    return result


if __name__ == "__main__":
    json.dump([answer(question) for question in json.load(sys.stdin)], sys.stdout)
