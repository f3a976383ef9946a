"""JSON documents: written in one way only, read with the type of every field checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput

__all__ = ["Fields", "canonical_json", "parse_json"]

_T = TypeVar("_T")


def canonical_json(document: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """The one way in which a document is written: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_json(data: bytes, *, where: str) -> Any:
    """What the JSON text ``data`` says; BadInput, naming ``where`` it came from, when it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {data[:60]!r}", where=where) from error


class Fields:
    """A JSON object that is read field by field; each error is a BadInput that names the path of the field.

    An optional field that is null is the same as one that is absent (config.md, "Properties"), and fields
    that nobody asks for are left alone, as every document of the image-spec demands of its readers.
    """

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, Mapping):
            raise BadInput(f"{path} is {document!r:.60}; wanted an object")
        self._document = document
        self._path = path

    def text(self, key: str) -> str:
        """The string at ``key``, which must be there."""
        return self._read(key, None, _text, "a string")

    def optional_text(self, key: str) -> str | None:
        """The string at ``key``, when there is one."""
        return None if self._document.get(key) is None else self.text(key)

    def whole(self, key: str) -> int:
        """The whole number at ``key``, zero or more."""
        return self._read(key, None, _whole, "a whole number")

    def flag(self, key: str) -> bool:
        """The boolean at ``key``, false by default."""
        return self._read(key, False, _flag, "true or false")

    def digest(self, key: str) -> Digest:
        """The digest at ``key``, which must be there."""
        return self._read(key, None, _digest, "a digest")

    def digests(self, key: str) -> tuple[Digest, ...]:
        """The digests in the list at ``key``, which must be there."""
        return self._read(key, None, lambda value: tuple(map(_digest, _list(value))), "a list of digests")

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings in the list at ``key``, none by default."""
        return self._read(key, (), lambda value: tuple(map(_text, _list(value))), "a list of strings")

    def text_map(self, key: str) -> dict[str, str]:
        """The strings by name at ``key``, none by default."""
        return self._read(key, {}, _text_map, "an object of strings")

    def section(self, key: str) -> Fields:
        """The object at ``key``, which must be there."""
        return Fields(self._document.get(key), f"{self._path}.{key}")

    def optional_section(self, key: str) -> Fields | None:
        """The object at ``key``, when there is one."""
        return None if self._document.get(key) is None else self.section(key)

    def sections(self, key: str) -> tuple[Fields, ...]:
        """The objects in the list at ``key``, none by default."""
        items: list[object] = self._read(key, [], _list, "a list of objects")
        return tuple(Fields(item, f"{self._path}.{key}[{number}]") for number, item in enumerate(items))

    def rest(self, *keys: str) -> dict[str, Any]:
        """All that is not at one of ``keys`` and not null, as it is."""
        return {k: value for k, value in self._document.items() if k not in keys and value is not None}

    def expect(self, key: str, *accepted: object) -> None:
        """Raise BadInput when ``key`` holds none of ``accepted``."""
        value = self._document.get(key)
        if not any(value == one and type(value) is type(one) for one in accepted):
            raise BadInput(f"{self._path}.{key} is {value!r:.60}; wanted {accepted[0]!r}")

    def _read(self, key: str, default: _T | None, read: Callable[[object], _T], wanted: str) -> _T:
        value = self._document.get(key)
        if value is None and default is not None:
            return default
        try:
            return read(value)
        except (BadInput, TypeError) as error:
            raise BadInput(f"{self._path}.{key} is {value!r:.60}; wanted {wanted}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _digest(value: object) -> Digest:
    return Digest.parse(_text(value))


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _text_map(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {_text(name): _text(text) for name, text in value.items()}
