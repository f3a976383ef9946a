"""`dataclass` of `model.value` gives what the standard library's does."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from taskimage.model import value

ROOT = Path(__file__).parents[2]
DECORATORS = {"ours": value.dataclass, "standard": dataclasses.dataclass}
SHAPES = [
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "slots": True, "order": True},
    {"frozen": True},
    {"slots": True},
]


def pair(decorator: Callable[..., Any], **shape: bool) -> Any:
    """A class of two fields, as ``decorator`` makes it in this ``shape``."""

    class Pair:
        """Two fields, and what else a class may have."""

        number: int
        words: tuple[str, ...] = ()
        notes: dict[str, str] = field(default_factory=dict, compare=False)
        hidden: str = field(default="", repr=False)
        kind: ClassVar[str] = "pair"

    Pair.__qualname__ = "Pair"
    return decorator(**shape)(Pair)


def outcome(act: Callable[[], object]) -> object:
    """What ``act`` gives, or the error that it ends with."""
    try:
        return act()
    except (TypeError, FrozenInstanceError) as error:
        return type(error).__name__, str(error)


ACTS: list[Callable[[Any], object]] = [
    lambda cls: repr(cls(number=1, words=("a",), hidden="secret")),
    lambda cls: outcome(lambda: repr(cls(1, ("a",)))),
    lambda cls: outcome(lambda: repr(cls())),
    lambda cls: outcome(lambda: repr(cls(number=1, other=2))),
    lambda cls: cls(number=1) == cls(number=1, notes={"not": "compared"}),
    lambda cls: cls(number=1) == cls(number=2),
    lambda cls: cls(number=1) == 1,
    lambda cls: outcome(lambda: hash(cls(number=1)) == hash(cls(number=1, notes={"not": "compared"}))),
    lambda cls: outcome(lambda: len({cls(number=1), cls(number=1, hidden="x"), cls(number=1)})),
    lambda cls: outcome(lambda: cls(number=1) < cls(number=2)),
    lambda cls: outcome(lambda: cls(number=1) >= cls(number=1)),
    lambda cls: outcome(lambda: cls(number=1) > 1),
    lambda cls: outcome(lambda: setattr(cls(number=1), "number", 2)),
    lambda cls: outcome(lambda: delattr(cls(number=1), "number")),
    lambda cls: cls(number=1).notes is not cls(number=1).notes,
    lambda cls: [(one.name, one.type, one.kw_only) for one in dataclasses.fields(cls)],
    lambda cls: repr(dataclasses.replace(cls(number=1), words=("b",))),
    lambda cls: dataclasses.asdict(cls(number=1, words=("b",))),
    lambda cls: cls.__match_args__,
    lambda cls: repr(cls.__dataclass_params__),
    lambda cls: [one.default for one in inspect.signature(cls).parameters.values()][:2],
    lambda cls: [one.kind for one in inspect.signature(cls).parameters.values()],
    lambda cls: cls.__init__.__annotations__,
    lambda cls: hasattr(cls(number=1), "__dict__"),
    lambda cls: repr(copy.copy(cls(number=1, words=("b",)))),
    lambda cls: repr(copy.deepcopy(cls(number=1, words=("b",)))),
    lambda cls: (cls.__name__, cls.__qualname__, cls.__module__, cls.__doc__),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids="-".join)
@pytest.mark.parametrize("act", ACTS, ids=range(len(ACTS)))
def test_a_class_does_what_the_standard_library_makes_it_do(
    act: Callable[[Any], object], shape: dict[str, bool]
) -> None:
    ours, standard = (act(pair(decorator, **shape)) for decorator in DECORATORS.values())
    assert ours == standard


@value.dataclass(frozen=True, slots=True)
class Kept:
    """What can be found by its name, as pickles do."""

    name: str
    size: int = 0


def test_a_frozen_value_with_slots_is_pickled() -> None:
    again = pickle.loads(pickle.dumps(Kept("a", 1)))  # noqa: S301 - our own bytes
    assert again == Kept("a", 1)
    assert again is not Kept("a", 1)


def test_what_a_class_defines_itself_stays() -> None:
    @value.dataclass(frozen=True, slots=True)
    class Own:
        name: str

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 7

    assert (repr(Own("a")), Own("a") == Own("b"), hash(Own("a"))) == ("mine", True, 7)


def test_equality_alone_still_leaves_a_hash_by_the_fields() -> None:
    @value.dataclass(frozen=True)
    class Own:  # noqa: PLW1641 - the decorator makes it
        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

    assert hash(Own("a")) == hash(Own("a"))
    assert hash(Own("a")) != hash(Own("b"))


def test_what_is_done_after_init_is_done() -> None:
    @value.dataclass(frozen=True, slots=True)
    class Checked:
        size: int
        seen: list[int] = field(default_factory=list, init=False)
        unit: str = field(default="B", init=False)

        def __post_init__(self) -> None:
            self.seen.append(self.size)

    assert (Checked(3).seen, Checked(3).unit) == ([3], "B")


def test_a_class_without_fields_is_a_value() -> None:
    @value.dataclass(frozen=True, slots=True, order=True)
    class Nothing:
        pass

    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1
    assert not Nothing() < Nothing()


def test_a_value_is_inherited_from_with_the_standard_librarys_decorator() -> None:
    @dataclasses.dataclass(frozen=True)
    class More(Kept):
        unit: str = "B"

    assert repr(More("a", 1)) == f"{More.__qualname__}(name='a', size=1, unit='B')"
    assert More("a", 1) != Kept("a", 1)


def test_a_plain_class_that_inherits_from_a_value_may_have_more() -> None:
    class More(Kept):
        pass

    more = More("a")
    more.unit = "B"  # type: ignore[attr-defined] # no field
    assert more.unit == "B"  # type: ignore[attr-defined] # as above
    with pytest.raises(FrozenInstanceError):
        more.name = "b"  # type: ignore[misc] # that is the point


def test_making_a_class_compiles_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling is what the standard library's takes its time for."""
    compiled: list[str] = []
    real = exec

    def noted(text: str, *scopes: dict[str, object]) -> None:
        compiled.append(text)
        real(text, *scopes)

    for module in (value, dataclasses):
        monkeypatch.setattr(module, "exec", noted, raising=False)
    pair(value.dataclass, frozen=True, slots=True, order=True)
    # From 3.13 on the standard library writes one function around all that it makes, even if that is nothing.
    assert set(re.findall(r"def (\w+)", "\n".join(compiled))) - {"__create_fn__"} == {"__init__"}


def test_every_class_is_made_so() -> None:
    """The standard library's decorator is used nowhere else in the package."""
    found = [
        str(path)
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "dataclasses"
        and "dataclass" in {alias.name for alias in node.names}
    ]
    assert [Path(one).name for one in found] == ["value.py"]
