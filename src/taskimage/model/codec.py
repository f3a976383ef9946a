"""Values as dicts, JSON and marshmallow schemas: the five methods of flytekit's values, with its results.

There they come from dataclasses-json, which works out the types at every call; here each class is looked at once.
A field without a default is one that a document must have; every other one is None when it is left out.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields

from taskimage.model.errors import BadInput, InvalidValue, MissingKey, WrongType
from taskimage.model.shown import shown

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    from typing import Any

    from marshmallow import Schema
    from typing_extensions import Self

    # Reads one value that is not None; the flag is `infer_missing`.
    Reader = Callable[[Any, bool], Any]
    # The name of each field, what reads it, and whether it must be there.
    Plan = tuple[tuple[str, Reader, bool], ...]

__all__ = ["JsonValue", "foreign", "plan"]


class JsonValue:
    """What every value of flytekit's configuration can do; for frozen dataclasses of text and of each other."""

    @classmethod
    def from_dict(cls, kvs: Any, *, infer_missing: bool = False) -> Self:
        """The value that the mapping ``kvs`` holds. Unknown keys are ignored, and a scalar is read as its text.

        A value that is one already comes back as it is. With ``infer_missing`` a key that must be there is None,
        with a RuntimeWarning, when it is not.

        Raises:
            MissingKey: (a KeyError) when a key is not there.
            WrongType: (a TypeError) for a list, mapping or bool where text belongs; ``where`` is the path to it.
            InvalidValue: (a ValueError) for a tag together with a digest, and for a number that is too long for text.
        """
        if isinstance(kvs, cls):
            return kvs
        document = _mapping(cls, kvs, infer_missing=infer_missing)
        arguments = {}
        for name, read, required in plan(cls):
            value = document.get(name)
            if value is not None:
                try:
                    value = read(value, infer_missing)
                except (MissingKey, WrongType) as error:
                    error.where = _path(name, error.where)
                    raise
            elif required:
                _lacks(cls, name, present=name in document, infer_missing=infer_missing)
            arguments[name] = value
        return cls(**arguments)

    @classmethod
    def from_json(
        cls,
        s: str | bytes | bytearray,
        *,
        parse_float: Callable[[str], Any] | None = None,
        parse_int: Callable[[str], Any] | None = None,
        parse_constant: Callable[[str], Any] | None = None,
        infer_missing: bool = False,
        **kw: Any,
    ) -> Self:
        """The value that a JSON text holds; the other arguments are those of ``json.loads``.

        Raises:
            ValueError: The json module's own, when it is no JSON (a JSONDecodeError), no UTF-8, or has a number of
                more digits than Python reads.
            TaskImageError: As `from_dict` does; BadInput for JSON that is nested too deeply.
        """
        import json

        if not isinstance(s, (str, bytes, bytearray)):
            raise WrongType(f"cannot read {cls.__name__} from {shown(s)}; wanted JSON text")
        try:
            kvs = json.loads(
                s, parse_float=parse_float, parse_int=parse_int, parse_constant=parse_constant, **kw
            )
        except RecursionError as error:
            raise BadInput(f"cannot read {cls.__name__}: the JSON is nested too deeply") from error
        return cls.from_dict(kvs, infer_missing=infer_missing)

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - flytekit's signature
        """The fields by name, in their order; with ``encode_json`` nothing in it but what JSON knows."""
        document: dict[str, Any] = _plain(self)
        return {name: _jsonable(value) for name, value in document.items()} if encode_json else document

    def to_json(
        self,
        *,
        skipkeys: bool = False,
        ensure_ascii: bool = True,
        check_circular: bool = True,
        allow_nan: bool = True,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        default: Callable[[Any], Any] | None = None,
        sort_keys: bool = False,
        **kw: Any,
    ) -> str:
        """The value as JSON; the arguments are those of ``json.dumps``, without its ``cls`` (TypeError).

        UUIDs, decimals, enums, times (seconds since 1970) and collections are written as flytekit writes them.

        Raises:
            WrongType: (a TypeError) for what has no JSON, unless ``default`` knows what to do.
            ValueError: The json module's own: NaN without ``allow_nan``, and what holds itself.
        """
        if ensure_ascii and indent is None and separators is None and not sort_keys and not kw:
            text = _flat_json(self)
            if text is not None:
                return text
        import json

        return json.dumps(
            self.to_dict(),
            cls=json.JSONEncoder,
            skipkeys=skipkeys,
            ensure_ascii=ensure_ascii,
            check_circular=check_circular,
            allow_nan=allow_nan,
            indent=indent,
            separators=separators,
            default=default or foreign,
            sort_keys=sort_keys,
            **kw,
        )

    @classmethod
    def schema(
        cls,
        *,
        infer_missing: bool = False,
        only: Collection[str] | None = None,
        exclude: Collection[str] = (),
        many: bool = False,
        context: dict[str, Any] | None = None,
        load_only: Collection[str] = (),
        dump_only: Collection[str] = (),
        partial: bool | Collection[str] = False,
        unknown: str | None = None,
    ) -> Schema:
        """A marshmallow Schema whose ``load`` gives values of this class, on marshmallow 3 and 4.

        ``infer_missing`` fills in None for fields left out; with ``partial`` that goes for the ones that must be
        there too, with a RuntimeWarning. Unknown keys are a ValidationError unless ``unknown`` says otherwise.
        The other arguments are marshmallow's. A ``load`` raises marshmallow's ValidationError for what is no
        mapping of known fields, and for the rest what `from_dict` raises.
        """
        from taskimage.model.schema import schema_class

        return schema_class(cls, infer_missing=bool(infer_missing), lenient=bool(partial))(
            only=only,
            exclude=exclude,
            many=many,
            context=context,
            load_only=load_only,
            dump_only=dump_only,
            partial=partial,
            unknown=unknown,
        )


def _plan_of(cls: type) -> Plan:
    from typing import get_type_hints

    hints = get_type_hints(cls)
    return tuple((field.name, _reader(hints[field.name]), field.default is MISSING) for field in fields(cls))


plan: Callable[[type], Plan] = functools.cache(_plan_of)


def _reader(hint: Any) -> Reader:
    from typing import get_args, get_origin

    kinds = get_args(hint)
    if type(None) in kinds:  # X | None
        return _reader(kinds[0])
    if get_origin(hint) is list:
        return functools.partial(_read_list, _reader(kinds[0]))
    if hint is str:
        return _read_text
    return lambda value, infer_missing: hint.from_dict(value, infer_missing=infer_missing)


def _read_text(value: Any, _: bool) -> str:  # noqa: FBT001 - a Reader
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list, tuple, set, frozenset, Mapping)):
        raise WrongType(f"found {shown(value)}; wanted text")
    try:
        return str(value)
    except ValueError as error:
        raise InvalidValue(f"found {shown(value)}, a number of more digits than Python writes") from error


def _read_list(read: Reader, values: Any, infer_missing: bool) -> list[Any]:  # noqa: FBT001 - a Reader
    if not isinstance(values, (list, tuple)):
        raise WrongType(f"found {shown(values)}; wanted a list")
    result = []
    for index, value in enumerate(values):
        try:
            result.append(read(value, infer_missing))
        except (MissingKey, WrongType) as error:
            error.where = _path(f"[{index}]", error.where)
            raise
    return result


def _path(name: str, rest: str | None) -> str:
    if not rest:
        return name
    return name + rest if rest.startswith("[") else f"{name}.{rest}"


def _mapping(cls: type, kvs: Any, *, infer_missing: bool) -> Mapping[str, Any]:
    if isinstance(kvs, Mapping):
        return kvs
    if kvs is None and infer_missing:
        return {}
    wanted = ", ".join(name for name, _, _ in plan(cls))
    raise WrongType(f"cannot read {cls.__name__} from {shown(kvs)}; wanted a mapping with {wanted}")


def _lacks(cls: type, name: str, *, present: bool, infer_missing: bool) -> None:
    """Says about a field that must be there what flytekit says: nothing is raised for an explicit None."""
    what = f"value of non-optional type {name} detected when decoding {cls.__name__}"
    if infer_missing:
        message = (
            f"Missing {what} and was defaulted to None by infer_missing=True. "
            "Set infer_missing=False (the default) to prevent this behavior."
        )
    elif present:
        message = f"`NoneType` object {what}."
    else:
        required = ", ".join(repr(key) for key, _, needed in plan(cls) if needed)
        raise MissingKey(f"{cls.__name__} has no {name!r}; wanted at least {required}", key=name)
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _plain(value: Any) -> Any:
    """A copy of ``value`` in dicts and lists, with everything that is neither kept as it is."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, JsonValue):
        return {name: _plain(getattr(value, name)) for name, _, _ in plan(type(value))}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Collection) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    import copy

    return copy.deepcopy(value)


def _flat_json(value: JsonValue) -> str | None:
    """What ``json.dumps`` makes of fields of text and None, without its many steps; None for any others."""
    keys, quote = _json_keys(type(value))
    parts = []
    for name, key in keys:
        item = getattr(value, name)
        if item is None:
            parts.append(key + "null")
        elif type(item) is str:
            parts.append(key + quote(item))
        else:
            return None
    return "{" + ", ".join(parts) + "}"


def _json_keys_of(cls: type) -> tuple[tuple[tuple[str, str], ...], Callable[[str], str]]:
    """The name of each field and what JSON has in front of its value, and what writes text as JSON."""
    from json.encoder import encode_basestring_ascii as quote

    return tuple((name, f"{quote(name)}: ") for name, _, _ in plan(cls)), quote


_json_keys: Callable[[type], tuple[tuple[tuple[str, str], ...], Callable[[str], str]]] = functools.cache(
    _json_keys_of
)


def _jsonable(value: Any) -> Any:
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return foreign(value)


def foreign(value: Any) -> Any:
    """What JSON is given for a value that it does not know; TypeError when there is nothing sensible."""
    from datetime import datetime
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    if isinstance(value, JsonValue):
        return value.to_dict()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Collection):
        return list(value)
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise WrongType(f"cannot write {shown(value)} as JSON; wanted text, numbers, lists or mappings")
