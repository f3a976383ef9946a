"""`dataclass` for everything here: what the standard library's gives, made in a quarter of its time.

The standard library writes each method of a class as source and compiles it, six for a frozen class, which was a third
of what it takes to import us. Here `__init__` alone is compiled; the other methods are the same functions for every class,
over the names of its fields. Fields, slots and `__match_args__` are the standard library's own, so that `fields`,
`replace` and `asdict` work as on any dataclass.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter, ge, gt, le, lt

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from dataclasses import Field
    from typing import Any, Final, TypeAlias, TypeVar

    _T = TypeVar("_T")
    _Key: TypeAlias = Callable[[object], Any]

__all__ = ["dataclass"]

_ORDER: Final = {"__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge}


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, order: bool = False
) -> Callable[[type[_T]], type[_T]]:
    """A decorator, as `dataclasses.dataclass` with the same arguments, for classes that inherit from no dataclass."""

    def decorate(cls: type[_T]) -> type[_T]:
        own = {name for name, value in vars(cls).items() if value is not None}
        bare = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
        cls = bare(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type] # it is one by now
        methods = {
            "__init__": _init(cls, fields, frozen=frozen),
            **_compared(fields, frozen=frozen, order=order),
        }
        methods["__repr__"] = _repr([one.name for one in fields if one.repr])
        if frozen:
            methods |= _frozen(cls, [one.name for one in fields], slots=slots)
        for name, method in methods.items():
            if name not in own:
                if method is not None:
                    method.__qualname__ = f"{cls.__qualname__}.{name}"
                setattr(cls, name, method)
        # Whoever inherits from it with the standard library's decorator is told what it is.
        told = cls.__dataclass_params__  # type: ignore[attr-defined]
        told.init, told.repr, told.eq, told.order, told.frozen = True, True, True, order, frozen
        return cls

    return decorate


# Type checkers know what the standard library's does.
if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass


def _init(cls: type, fields: Iterable[Field[Any]], *, frozen: bool) -> Callable[..., None]:
    """`__init__`, compiled, since nothing else is as fast when it is called."""
    positional: list[str] = ["self"]
    named: list[str] = []
    body: list[str] = []
    scope: dict[str, Any] = {"__name__": cls.__module__, "_set": object.__setattr__, "_missing": MISSING}
    slots = frozen and "__slots__" in vars(cls)
    for one in fields:
        name = parameter = value = one.name
        default = f"_default_{name}"
        if one.default is not MISSING:
            scope[default] = one.default
            parameter = f"{name}={default}"
            value = name if one.init else default
        elif one.default_factory is not MISSING:
            scope[default] = one.default_factory
            parameter = f"{name}=_missing"
            value = f"{default}() if {name} is _missing else {name}" if one.init else f"{default}()"
        if one.init:
            (named if one.kw_only else positional).append(parameter)
        if slots:  # a slot's own setter need not look for the slot
            scope[f"_set_{name}"] = vars(cls)[name].__set__
            body.append(f"_set_{name}(self, {value})")
        else:
            body.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join((*positional, *(["*", *named] if named else [])))
    exec(f"def __init__({parameters}):\n {'; '.join(body) or 'pass'}", scope)  # noqa: S102 - of names of fields
    made: Callable[..., None] = scope["__init__"]
    made.__annotations__ = {**{one.name: one.type for one in fields if one.init}, "return": None}
    return made


def _compared(fields: Iterable[Field[Any]], *, frozen: bool, order: bool) -> dict[str, Any]:
    """What compares two values, by all that they are compared by, and what hashes one."""
    key = _key([one.name for one in fields if one.compare])
    hashed = _key([one.name for one in fields if (one.compare if one.hash is None else one.hash)])

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 - it becomes a method
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(key(self) == key(other))

    def __hash__(self: object) -> int:  # noqa: N807 - as above
        return hash(hashed(self))

    methods: dict[str, Any] = {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}
    if order:
        methods |= {name: _ordered(key, compare) for name, compare in _ORDER.items()}
    return methods


def _ordered(key: _Key, compare: Callable[[Any, Any], Any]) -> Callable[[object, object], Any]:
    def ordered(self: object, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compare(key(self), key(other))

    return ordered


def _key(names: Sequence[str]) -> _Key:
    """What a value is compared by: of one field its value, else a tuple."""
    return attrgetter(*names) if names else lambda _: ()


def _repr(names: Sequence[str]) -> Callable[[object], str]:
    def __repr__(self: object) -> str:  # noqa: N807 - it becomes a method
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _frozen(cls: type, names: Sequence[str], *, slots: bool) -> dict[str, Any]:
    """What keeps a value as it is, and lets it be pickled and copied all the same."""

    def __setattr__(self: object, name: str, value: object) -> None:  # noqa: N807 - it becomes a method
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self: object, name: str) -> None:  # noqa: N807 - as above
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    def __getstate__(self: object) -> list[object]:  # noqa: N807 - as above
        return [getattr(self, name) for name in names]

    def __setstate__(self: object, state: Iterable[object]) -> None:  # noqa: N807 - as above
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    methods = {"__setattr__": __setattr__, "__delattr__": __delattr__}
    return {**methods, "__getstate__": __getstate__, "__setstate__": __setstate__} if slots else methods
