"""`BuilderOptions`: this builder's own switches, ``builder_options: {taskimage: {…}}`` of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from taskimage.model.spec.problem import SpecProblem, suggestion

__all__ = ["NAMESPACE", "BuilderOptions", "option_problems"]

NAMESPACE = "taskimage"
_RUNTIMES = ("flytekit", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderOptions:
    """What a spec decides beyond flytekit's fields.

    ``runtime`` is what starts tasks: flytekit is added to the packages when none names it, or nothing is.
    ``bytecode`` compiles packages; ``suite`` is the Debian release below them; ``waive_scripts`` names
    Debian and conda packages whose scripts, which are not run, do not matter; ``expired_indexes`` accepts
    package indexes that are past their Valid-Until.
    """

    runtime: Literal["flytekit", "none"] = "flytekit"
    bytecode: bool = True
    suite: str = "bookworm"
    waive_scripts: tuple[str, ...] = ()
    expired_indexes: bool = False

    @classmethod
    def of(cls, builder_options: Mapping[str, Any] | None) -> BuilderOptions:
        """The options that a checked spec's ``builder_options`` hold; defaults for what it leaves out."""
        given = (builder_options or {}).get(NAMESPACE) or {}
        return cls(**{name: value for name, value in given.items() if value is not None})


def option_problems(builder_options: Mapping[Any, Any]) -> Iterator[SpecProblem]:
    """Everything that is wrong with this builder's part of ``builder_options``."""
    if NAMESPACE not in builder_options:
        for name in builder_options:
            if hint := suggestion(name, (NAMESPACE,)):
                yield SpecProblem(("builder_options", name), f"unknown builder {name!r:.80}", hint)
        return
    key = ("builder_options", NAMESPACE)
    given = builder_options[NAMESPACE]
    if given is None:
        return
    if not isinstance(given, Mapping):
        yield SpecProblem.wrong(key, given, "a mapping of switches")
        return
    known = tuple(option.name for option in fields(BuilderOptions))
    for name, value in given.items():
        if name not in known:
            hint = suggestion(name, known) or f"the switches are {', '.join(known)}"
            yield SpecProblem((*key, name), f"unknown switch {name!r:.80}", hint)
        elif value is not None:
            yield from _switch_problems((*key, name), value)


def _switch_problems(key: tuple[str | int, ...], value: Any) -> Iterator[SpecProblem]:
    name = key[-1]
    if name == "runtime":
        if value not in _RUNTIMES:
            yield SpecProblem.wrong(key, value, "flytekit or none")
    elif name == "suite":
        # It becomes part of a path on a mirror.
        if not isinstance(value, str) or not value.isascii() or not value.replace("-", "").isalnum():
            yield SpecProblem.wrong(key, value, "the name of a Debian release, such as bookworm")
    elif name == "waive_scripts":
        if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
            yield SpecProblem.wrong(key, value, "a list of names of Debian packages")
    elif not isinstance(value, bool):
        yield SpecProblem.wrong(key, value, "true or false")
