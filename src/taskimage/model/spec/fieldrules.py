"""What each field of an `ImageSpec` may hold: one table of rules, which the reader and the JSON Schema share."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

from taskimage.model.errors import BadInput
from taskimage.model.oci import Platform
from taskimage.model.oci.platform import ARCHITECTURES
from taskimage.model.shown import shown
from taskimage.model.spec.builderoptions import BUILDER_OPTIONS, misplaced
from taskimage.model.spec.copymode import COPY_MODES, CopyFileDetection, copy_mode
from taskimage.model.spec.problem import Key, SpecProblem, dotted, suggestion
from taskimage.model.spec.rules import (
    ANYTHING,
    ENVIRONMENT,
    PAIRS,
    TEXT,
    TEXTS,
    Problems,
    Rule,
    both,
    each,
    matching,
    text,
)

__all__ = ["COPYING", "RULES", "VERSIONS", "field_problems", "unknown_key"]

# Versions that people write without quotes, so that YAML reads them as numbers.
VERSIONS = frozenset({"python_version", "cuda", "cudnn"})


def field_problems(values: Mapping[Any, Any], *, within: Key = ()) -> Problems:
    """Everything that is wrong with the fields in ``values``; None stands for a field that is not set.

    ``within`` is the key of the spec that ``values`` are, where it stands in another one.
    """
    sound = set()
    for name, value in values.items():
        key = (*within, str(name))
        if name not in RULES:
            yield unknown_key(key)
        elif value is not None or name == "name":
            problems = list(RULES[name].problems(key, value))
            yield from problems
            if not problems:
                sound.add(name)
    mode = copy_mode(values.get("source_copy_mode"))
    if mode not in (None, CopyFileDetection.NO_COPY) and not values.get("source_root"):
        message = "source_copy_mode is set and source_root is not"
        yield SpecProblem((*within, "source_copy_mode"), message, "set source_root as well")


def unknown_key(key: Key) -> SpecProblem:
    """The problem of a ``key`` whose end is no field's name."""
    name = key[-1]
    meant = _ELSEWHERE.get(str(name).lower().replace("-", "_"))
    hint = f"did you mean {meant}?" if meant else misplaced(name) or suggestion(name, RULES)
    hint = hint or "known are the fields of flytekit 1.16's ImageSpec; `taskimage schema` lists them"
    return SpecProblem(key, f"unknown key {shown(str(name), longest=80)}", hint, at_key=True)


# What other tools call it.
_ELSEWHERE = {
    "apt": "apt_packages", "base": "base_image", "conda": "conda_packages", "dependencies": "packages",
    "environment": "env", "extra_index_url": "pip_extra_index_url", "files": "copy", "from": "base_image",
    "image": "base_image", "index_url": "pip_index", "pip": "packages", "pip_packages": "packages",
    "python_packages": "packages", "run": "commands",
}  # fmt: skip


# -- rules of single fields --------------------------------------------------------------------------------


def _copy_mode(key: Key, value: Any) -> Problems:
    if copy_mode(value) is None:
        yield SpecProblem.wrong(key, value, f"one of {', '.join(COPY_MODES)}")


def _base_image(key: Key, value: Any) -> Problems:
    from taskimage.model.reference import Reference

    if isinstance(value, Mapping):
        yield SpecProblem.wrong(key, value, "an image's identifier, or an ImageSpec")
    elif not hasattr(value, "image_name"):
        yield from (problems := list(_IDENTIFIER.problems(key, value)))
        if value and not problems:
            try:
                Reference.parse(value)
            except BadInput as error:
                yield SpecProblem(key, f"{dotted(key)} is {error.message}", error.hint)


def _platforms(key: Key, value: str) -> Problems:
    for part in value.split(","):
        try:
            Platform.parse(part)
        except BadInput as error:
            bare = part.strip().lower() in ARCHITECTURES
            hint = f"did you mean linux/{part.strip().lower()}?" if bare else _ON_LINUX
            yield SpecProblem(key, f"{dotted(key)} is {error.message}", hint)


# Of a platform that is not Linux.
_ON_LINUX = (
    "images run on Linux, on machines of every kind: linux/amd64 is the usual one, linux/arm64 a Mac's"
)


def _any_case(words: Iterable[str]) -> str:
    """A pattern for one of ``words``, in capitals or not."""
    return "|".join(re.sub("[a-z]", lambda found: f"[{found[0].upper()}{found[0]}]", word) for word in words)


def _tag_format(key: Key, value: str) -> Problems:
    if not value:
        return
    try:
        parts = [part for part in string.Formatter().parse(value) if part[1] is not None]
        fits = all(
            name == "spec_hash" and conversion is None and re.fullmatch(_FORMAT, form or "")
            for _, name, form, conversion in parts
        )
        fits = fits and bool(re.fullmatch(_TAG, value.format(spec_hash="0" * 22)))
    except ValueError:
        fits = False
    if not fits:
        yield SpecProblem.wrong(key, value, 'a tag in which {spec_hash} stands, such as "{spec_hash}-dev"')


def _words(key: Key, value: str) -> Problems:
    import shlex

    try:
        shlex.split(value)
    except ValueError:
        # Not shown: it may hold the password of an index.
        yield SpecProblem(key, f"{dotted(key)} has a quote that is not closed")


# distribution, reference.regexp: path components joined by slashes. flytekit makes capitals small.
_COMPONENT = r"[A-Za-z0-9]+(?:(?:\.|_|__|-+)[A-Za-z0-9]+)*"
# distribution-spec, "Pulling manifests".
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
# Alignment, width and precision of a format specification; small, so that no tag can fill the memory.
_FORMAT = r"[<>^]?[0-9]{0,3}(?:\.[0-9]{1,3})?s?"
_SPEC_HASH = r"\{spec_hash(?::" + _FORMAT + r")?\}"
# PEP 508 has == and a sign before every version.
_NO_REQUIREMENT = r"\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?:=[^=]|\s[0-9])[^\r\n]*"

_PLATFORM = rf"(?:{_any_case(['linux'])})/(?:{_any_case(ARCHITECTURES)})(?:/[Vv]?[0-9]*)?"  # as `Platform.parse` reads
_PLATFORMS = {
    "pattern": rf"^\s*{_PLATFORM}\s*(?:,\s*{_PLATFORM}\s*)*$",
    "patternErrorMessage": "wanted linux/amd64, linux/arm64, or both with a comma between",
}
# Ways of copying files, which have to be named.
COPYING = (
    f"^(?:{_any_case(word for word, mode in COPY_MODES.items() if mode is not CopyFileDetection.NO_COPY)})$"
)
_TAG_FORMAT = {
    "pattern": f"^(?:(?:[A-Za-z0-9_]|{_SPEC_HASH})(?:[A-Za-z0-9._-]|{_SPEC_HASH})*)?$",
    "patternErrorMessage": "wanted a tag in which {spec_hash} stands",
}

_IDENTIFIER = text(instead_of_list="name one image, or write the fields of its spec below, without a dash")
_LINE = matching(r"[^\r\n]*", "one line of text")
_PATH = matching(r"[\s\S]*\S[\s\S]*", "a path")

# Of each field, in flytekit's order.
RULES: Mapping[str, Rule] = {
    "name": matching(
        f"{_COMPONENT}(?:/{_COMPONENT})*",
        "letters and digits, joined by single . _ - or / signs",
        hints={
            r".*\s.*": "join the words with a dash",
            ".*[:@].*": "the tag comes from what is in the image, and a registry's host goes into registry",
        },
    ),
    "python_version": matching(
        # A tool that reads 3.10 as a number writes 3.1; no Python of that age is meant.
        r"3\.(?:[3-9]|[1-9][0-9]{1,2})(?:\.[0-9]{1,3})?",
        'a version of Python 3, such as "3.11"',
        hints={
            r"3\.1": 'did you mean "3.10"?',
            r"3\.2": 'did you mean "3.12"?',
            "3": "say its second number too",
            "[Pp]ython.*": "its number alone",
            ".*[<>=~!^*,].*": "it is one version, with no signs",
        },
    ),
    "builder": TEXT,
    "source_root": _PATH,
    "env": ENVIRONMENT,
    "registry": matching(
        "(?:[A-Za-z0-9._-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9_.-]+)*)?",
        "host, host:port or host/path, such as localhost:30000 or ghcr.io/username",
        hints={"[a-zA-Z]+://.*": "take away what stands before the host", ".*/": "take away the last slash"},
    ),
    "packages": each(
        matching(
            rf"(?!{_NO_REQUIREMENT}$)[^\r\n]*\S[^\r\n]*",
            "a package and perhaps its versions, such as 'pandas>=2.2,<3'",
            hints={_NO_REQUIREMENT: "one version is written name==version"},
        )
    ),
    "conda_packages": TEXTS,
    "conda_channels": TEXTS,
    "requirements": both(text(instead_of_list="it is one file, which can include others with -r"), _PATH),
    "apt_packages": each(
        matching(
            r"\s*[^\s,]+\s*",
            "one Debian package: name, name=version or name/suite",
            hints={r".*[\s,].*": "write each package in a line of its own"},
        )
    ),
    "cuda": TEXT,
    "cudnn": TEXT,
    "base_image": Rule(_base_image, {"anyOf": [TEXT.schema, {"$ref": "#"}]}),
    "platform": both(
        text(instead_of_list='write them with a comma between: "linux/amd64,linux/arm64"'),
        Rule(_platforms, _PLATFORMS),
    ),
    "pip_index": both(text(instead_of_list="it is one; further ones go into pip_extra_index_url"), _LINE),
    "pip_extra_index_url": each(matching(r"[^\r\n]*\S[^\r\n]*", "one line of text")),
    "pip_secret_mounts": PAIRS,
    "pip_extra_args": both(
        text(instead_of_list="write them in one line, with spaces between"), Rule(_words, {})
    ),
    "registry_config": TEXT,
    "entrypoint": TEXTS,
    "commands": each(matching(r"[\s\S]*\S[\s\S]*", "a command")),
    "tag_format": both(TEXT, Rule(_tag_format, _TAG_FORMAT)),
    "source_copy_mode": Rule(_copy_mode, {"type": "string", "pattern": f"^(?:{_any_case(COPY_MODES)})$"}),
    "copy": each(
        matching(
            r"(?!/)(?!(?:[\s\S]*/)?\.\.(?:/|$))[\s\S]+",
            "a relative path with no .. in it",
            hints={r"/.*|(?:.*/)?\.\.(?:/.*)?": "it starts beside the YAML file; -C names another folder"},
        )
    ),
    "python_exec": TEXT,
    "runtime_packages": TEXTS,
    "builder_options": both(ANYTHING, BUILDER_OPTIONS),
    "builder_config": ANYTHING,
}
