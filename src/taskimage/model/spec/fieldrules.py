"""What each field of an `ImageSpec` may hold: one table of shapes, and the grammar of those that have one."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from taskimage.model.errors import BadInput
from taskimage.model.oci import Platform
from taskimage.model.spec.builderoptions import option_problems
from taskimage.model.spec.copymode import COPY_MODES, CopyFileDetection, copy_mode
from taskimage.model.spec.problem import Key, SpecProblem

__all__ = ["VERSIONS", "field_problems"]

# Versions that people write without quotes, so that YAML reads them as numbers.
VERSIONS = frozenset({"python_version", "cuda", "cudnn"})

Problems = Iterator[SpecProblem]


def field_problems(values: Mapping[str, Any]) -> Problems:
    """Everything that is wrong with the fields in ``values``; None stands for a field that is not set."""
    sound: dict[str, Any] = {}
    for name, value in values.items():
        if value is None and name != "name":
            continue
        problems = list(_SHAPES.get(name, _text)((name,), value))
        yield from problems
        if not problems:
            sound[name] = value
    for name, value in sound.items():
        if name in _GRAMMARS:
            yield from _GRAMMARS[name]((name,), value)
    mode = copy_mode(sound.get("source_copy_mode"))
    if mode not in (None, CopyFileDetection.NO_COPY) and not values.get("source_root"):
        yield SpecProblem(
            ("source_copy_mode",), "source_copy_mode is set and source_root is not", "set source_root as well"
        )


# -- shapes ------------------------------------------------------------------------------------------------


def _text(key: Key, value: Any) -> Problems:
    if not isinstance(value, str):
        hint = None
        if value is None:
            hint = 'nothing stands there: write "" for text that is empty'
        elif isinstance(value, bool | int | float):
            hint = "YAML reads it as a number or a truth value: put it in quotes"
        yield SpecProblem.wrong(key, value, "text", hint)
    elif not _is_plain_text(value):
        yield SpecProblem.wrong(key, value, "text without NUL and without halves of surrogate pairs")


def _is_plain_text(value: str) -> bool:
    """Whether a file name, a command line and JSON can hold ``value``."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _texts(key: Key, value: Any) -> Problems:
    if not isinstance(value, list | tuple):
        hint = "write it in brackets, or as lines that start with a dash" if isinstance(value, str) else None
        yield SpecProblem.wrong(key, value, "a list of text", hint)
        return
    for index, part in enumerate(value):
        yield from _text((*key, index), part)


def _environment(key: Key, value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield SpecProblem.wrong(key, value, "a mapping of names to text")
        return
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name or not _is_plain_text(name):
            hint = "YAML reads on, off, yes and no as truth values: put it in quotes"
            yield SpecProblem(
                (*key, str(name)),
                f"{name!r:.80} is not a name of an environment variable",
                None if isinstance(name, str) else hint,
            )
        else:
            yield from _text((*key, name), text)


def _options(key: Key, value: Any) -> Problems:
    """A mapping of names to anything that JSON could hold."""
    if not isinstance(value, Mapping):
        yield SpecProblem.wrong(key, value, "a mapping")
        return
    yield from _plain(key, value)


def _plain(key: Key, value: Any) -> Problems:
    if isinstance(value, Mapping):
        for name, part in value.items():
            if isinstance(name, str):
                yield from _plain((*key, name), part)
            else:
                yield SpecProblem((*key, str(name)), f"{name!r:.80} is not a name; put it in quotes")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _plain((*key, index), part)
    elif value is not None and not isinstance(value, str | bool | int | float):
        yield SpecProblem.wrong(key, value, "text, a number, true, false, a list or a mapping")


def _pairs(key: Key, value: Any) -> Problems:
    if not isinstance(value, list | tuple):
        yield SpecProblem.wrong(key, value, "a list of [file, mount path]")
        return
    for index, pair in enumerate(value):
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or not all(isinstance(part, str) for part in pair)
        ):
            yield SpecProblem.wrong((*key, index), pair, "[file, mount path]")


def _copy_mode(key: Key, value: Any) -> Problems:
    if copy_mode(value) is None:
        yield SpecProblem.wrong(key, value, f"one of {', '.join(COPY_MODES)}")


def _base_image(key: Key, value: Any) -> Problems:
    if isinstance(value, Mapping):
        yield SpecProblem.wrong(key, value, "an image's identifier, or an ImageSpec")
    elif not hasattr(value, "image_name"):
        yield from _text(key, value)


_SHAPES: Mapping[str, Callable[[Key, Any], Problems]] = {
    "env": _environment,
    "packages": _texts,
    "conda_packages": _texts,
    "conda_channels": _texts,
    "apt_packages": _texts,
    "base_image": _base_image,
    "pip_extra_index_url": _texts,
    "pip_secret_mounts": _pairs,
    "entrypoint": _texts,
    "commands": _texts,
    "source_copy_mode": _copy_mode,
    "copy": _texts,
    "runtime_packages": _texts,
    "builder_options": _options,
    "builder_config": _options,
}

# -- grammars ----------------------------------------------------------------------------------------------

# distribution, reference.regexp: path components joined by slashes.
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
# flytekit, validate_container_registry_name.
_REGISTRY = re.compile(r"(?:localhost:\d{1,5}|[a-z\d._-]+(?::\d{1,5})?)(?:/[\w.-]+)*", re.ASCII)
_PYTHON = re.compile(r"3\.\d{1,3}(?:\.\d{1,3})?", re.ASCII)
# distribution-spec, "Pulling manifests".
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Alignment, width and precision of a format specification; small, so that no tag can fill the memory.
_FORMAT = re.compile(r"[<>^]?\d{0,3}(?:\.\d{1,3})?s?", re.ASCII)


def _name(key: Key, value: str) -> Problems:
    if not _NAME.fullmatch(value.lower()):
        wanted = "letters and digits, joined by single . _ - or / signs"
        yield SpecProblem.wrong(key, value, wanted)


def _registry(key: Key, value: str) -> Problems:
    if value and not _REGISTRY.fullmatch(value.lower()):
        wanted = "host, host:port or host/path, such as localhost:30000 or ghcr.io/username"
        yield SpecProblem.wrong(key, value, wanted)


def _python_version(key: Key, value: str) -> Problems:
    if not _PYTHON.fullmatch(value):
        yield SpecProblem.wrong(key, value, 'a version of Python 3, such as "3.11"')


def _platform(key: Key, value: str) -> Problems:
    for part in value.split(","):
        try:
            Platform.parse(part)
        except BadInput as error:
            yield SpecProblem(key, f"platform is {error.message}")


def _tag_format(key: Key, value: str) -> Problems:
    if not value:
        return
    try:
        parts = [part for part in string.Formatter().parse(value) if part[1] is not None]
        fits = all(
            name == "spec_hash" and conversion is None and _FORMAT.fullmatch(form or "")
            for _, name, form, conversion in parts
        )
        fits = fits and bool(_TAG.fullmatch(value.format(spec_hash="0" * 22)))
    except ValueError:
        fits = False
    if not fits:
        yield SpecProblem.wrong(key, value, 'a tag in which {spec_hash} stands, such as "{spec_hash}-dev"')


def _one_line_each(key: Key, value: Any) -> Problems:
    for index, part in enumerate(value):
        if not part.strip() or "\n" in part or "\r" in part:
            yield SpecProblem.wrong((*key, index), part, "one line of text")


def _one_line(key: Key, value: str) -> Problems:
    if "\n" in value or "\r" in value:
        yield SpecProblem.wrong(key, value, "one line of text")


def _copy(key: Key, value: Any) -> Problems:
    for index, part in enumerate(value):
        path = PurePosixPath(part)
        if not part or path.is_absolute() or ".." in path.parts:
            yield SpecProblem.wrong((*key, index), part, "a relative path with no .. in it")


def _not_empty(key: Key, value: str) -> Problems:
    if not value.strip():
        yield SpecProblem.wrong(key, value, "a path")


def _builder_options(key: Key, value: Mapping[str, Any]) -> Problems:
    del key
    yield from option_problems(value)


_GRAMMARS: Mapping[str, Callable[[Key, Any], Problems]] = {
    "name": _name,
    "python_version": _python_version,
    "source_root": _not_empty,
    "registry": _registry,
    "packages": _one_line_each,
    "requirements": _not_empty,
    "apt_packages": _one_line_each,
    "platform": _platform,
    "pip_index": _one_line,
    "pip_extra_index_url": _one_line_each,
    "tag_format": _tag_format,
    "copy": _copy,
    "builder_options": _builder_options,
}
