"""`BuilderOptions`: this builder's own switches, ``builder_options: {taskimage: {…}}`` of a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from taskimage.model.shown import shown
from taskimage.model.spec.problem import Key, SpecProblem, suggestion
from taskimage.model.spec.rules import TEXTS, TRUTH, Problems, Rule, both, each, matching, one_of
from taskimage.model.value import dataclass

__all__ = ["BUILDER_OPTIONS", "NAMESPACE", "SWITCHES", "BuilderOptions", "misplaced", "waiving"]

NAMESPACE = "taskimage"
# Names that a misspelt suite is compared with; any other name may be a release to come.
_SUITES = ("bullseye", "bookworm", "trixie", "forky", "duke", "sid")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderOptions:
    """What a spec decides beyond flytekit's fields.

    ``runtime`` is what starts tasks: flytekit is added to the packages when none names it, or nothing is.
    ``bytecode`` compiles packages; ``suite`` is the Debian release below them; ``waive_scripts`` names
    Debian and conda packages whose scripts do not matter and are not run; ``expired_indexes`` accepts package
    indexes that are past their Valid-Until; ``network`` lets ``commands`` reach it; ``ca_certificates`` names PEM
    files with authorities that the image trusts as well; ``build_sdists`` names Python packages that are built where
    they have no wheel.
    """

    runtime: Literal["flytekit", "none"] = "flytekit"
    bytecode: bool = True
    suite: str = "bookworm"
    waive_scripts: tuple[str, ...] = ()
    expired_indexes: bool = False
    network: bool = False
    ca_certificates: tuple[str, ...] = ()
    build_sdists: tuple[str, ...] = ()

    @classmethod
    def of(cls, builder_options: Mapping[str, Any] | None) -> BuilderOptions:
        """The options that a checked spec's ``builder_options`` hold; defaults for what it leaves out."""
        given = (builder_options or {}).get(NAMESPACE) or {}
        return cls(**{name: value for name, value in given.items() if value is not None})


def waiving(names: Iterable[str]) -> str:
    """What to do about scripts of the packages ``names`` that are not wanted."""
    switch = f"{{{NAMESPACE}: {{waive_scripts: [{', '.join(names)}]}}}}"
    return f"if the image works without, say so: builder_options: {switch}"


def misplaced(name: object) -> str | None:
    """A hint for one of this builder's names where it does not belong; None for any other ``name``."""
    if name == NAMESPACE:
        return "write it below builder_options"
    return f"write it below builder_options: {NAMESPACE}:" if name in SWITCHES else None


def _suite(key: Key, value: Any) -> Problems:
    name = value.lower()
    hint = None if name in _SUITES else suggestion(name, _SUITES)
    if hint or name != value:
        wanted = "the name of a Debian release, such as bookworm"
        yield SpecProblem.wrong(key, value, wanted, hint or f"did you mean {name}?")


SWITCHES: Mapping[str, Rule] = {
    "runtime": one_of("flytekit", "none"),
    "bytecode": TRUTH,
    "suite": both(
        # It becomes part of a path on a mirror.
        matching(
            "[A-Za-z0-9][A-Za-z0-9-]*",
            "the name of a Debian release, such as bookworm",
            hints={".*:.*": "the release alone: an image goes into base_image"},
        ),
        Rule(_suite, {}),
    ),
    "waive_scripts": TEXTS,
    "expired_indexes": TRUTH,
    "network": TRUTH,
    "ca_certificates": each(matching(r"[\s\S]*\S[\s\S]*", "the path of a PEM file")),
    "build_sdists": each(
        matching(
            r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?",
            "the name of a Python package",
            hints={r"[A-Za-z0-9._-]+\s*[\[=<>!~;@].*": "the name alone: versions go into packages"},
        )
    ),
}


def _builder_options(key: Key, value: Mapping[Any, Any]) -> Problems:
    for name, given in value.items():
        at = (*key, str(name))
        if name == NAMESPACE:
            yield from _switches(at, given)
        elif hint := misplaced(name) or (suggestion(name, (NAMESPACE,)) if NAMESPACE not in value else None):
            yield SpecProblem(at, f"unknown builder {shown(name, longest=80)}", hint, at_key=True)


def _switches(key: Key, given: Any) -> Problems:
    if given is None:
        return
    if not isinstance(given, Mapping):
        hint = "write NAME: value, with no dash" if isinstance(given, list | tuple) else None
        yield SpecProblem.wrong(key, given, "a mapping of switches", hint)
        return
    for name, value in given.items():
        at = (*key, str(name))
        if name not in SWITCHES:
            hint = suggestion(name, SWITCHES) or f"the switches are {', '.join(SWITCHES)}"
            yield SpecProblem(at, f"unknown switch {shown(name, longest=80)}", hint, at_key=True)
        elif value is not None:
            yield from SWITCHES[name].problems(at, value)


# A switch one level too high is nobody's.
BUILDER_OPTIONS = Rule(_builder_options, {"properties": dict.fromkeys(SWITCHES, False)})
