"""The text of a `Lock`: TOML, byte-stable, made to be reviewed and merged: sorted, one input a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, TaskImageError, WrongType
from taskimage.model.lock import (
    BasePin,
    CondaPin,
    DebPin,
    Lock,
    PlatformLock,
    PythonPin,
    SdistPin,
    Wants,
    WheelPin,
)
from taskimage.model.oci import Platform
from taskimage.model.reference import Reference
from taskimage.model.shown import shown

__all__ = ["VERSION", "dumps", "loads", "parsed", "read"]

VERSION: Final = 1
"""The lock format that this version writes; an older reader refuses a newer one.

The text of a later format has ``requires``, the oldest taskimage that reads it, for older ones to name.
"""

# What few specs ask for, and stands in a lock only then.
_SELDOM = ("base_image", "python_exec", "installer")
_LISTS = (
    "packages", "requirements", "apt_packages", "conda_packages", "conda_channels", "indexes", "options", "build_sdists",
)  # fmt: skip
_SELDOM_LISTS = frozenset({"conda_packages", "conda_channels", "options", "build_sdists"})
_HEADER = (
    "# Every input of an image, pinned. Written by `taskimage lock`; commit it beside its spec.\n"
    f"lock-version = {VERSION}\n"
)


def dumps(lock: Lock) -> str:
    """The one text of ``lock``: equal locks give equal text, and `loads` gives the lock back."""
    labels = [_list("labels", map(_value, lock.labels))] if lock.labels else []
    return "".join([_HEADER, *labels, *_tables(lock, "")])


def loads(text: str | bytes, *, where: str) -> Lock:
    """The lock that ``text``, in UTF-8, holds. Raises BadInput, naming ``where`` and the part that is wrong."""
    return read(parsed(text, where=where), where=where)


def parsed(text: str | bytes, *, where: str) -> dict[str, Any]:
    """The document that ``text`` is, of values that JSON has too, for `read`. Raises BadInput where it is no TOML."""
    if not isinstance(text, (str, bytes)):
        raise WrongType(f"cannot read a lock from {shown(text)}; wanted its text", where=where)
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(text if isinstance(text, str) else text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"not a lock: {error}", where=where, hint=_hint(text)) from error
    return document


def read(document: Mapping[str, Any], *, where: str) -> Lock:
    """The lock that a parsed document is. Raises BadInput, naming ``where`` and the part that is wrong."""
    _check_version(document, where)
    try:
        return _lock(document)
    except TaskImageError as error:
        raise BadInput(f"not a lock: {error.message}", where=where, hint=_REMAKE) from error
    except KeyError as error:
        raise BadInput(f"not a lock: {error} is missing", where=where, hint=_REMAKE) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"not a lock: {error}", where=where, hint=_REMAKE) from error


def _check_version(document: Mapping[str, Any], where: str) -> None:
    version = document.get("lock-version")
    if version == VERSION:
        return
    if version is None:
        raise BadInput("not a lock: it has no lock-version", where=where, hint=_REMAKE)
    hint = _REMAKE
    if isinstance(version, int) and version > VERSION:
        reader = document.get("requires")
        hint = "use a newer taskimage" if reader is None else f"use taskimage {shown(reader)} or newer"
    raise BadInput(
        f"lock-version is {shown(version)}; this taskimage reads {VERSION}", where=where, hint=hint
    )


def _hint(text: str | bytes) -> str:
    """What to do about ``text``, which is no TOML."""
    if (b"\n<<<<<<< " in text) if isinstance(text, bytes) else ("\n<<<<<<< " in text):
        return "a merge stopped here: take either side's lock whole, and `taskimage lock` adds what the other one wants"
    return _REMAKE


_REMAKE = "restore it, or remove it and make it anew with `taskimage lock`"


# -- writing -------------------------------------------------------------------------------------------


def _tables(lock: Lock, above: str) -> Iterator[str]:
    """The tables of ``lock``, whose names start with ``above``; those of what is below an image come first."""
    if lock.base is not None:
        yield from _tables(lock.base, f"{above}below.")
    wants = lock.wants
    yield f"\n[{above}wants]\n"
    yield _line("python", wants.python)
    yield _line("platforms", wants.platforms)
    yield _line("suite", wants.suite)
    yield _line("runtime", wants.runtime)
    for key in _SELDOM:
        if value := getattr(wants, key):
            yield _line(key.replace("_", "-"), value)
    for key in _LISTS:
        if (values := getattr(wants, key)) or key not in _SELDOM_LISTS:
            yield _list(key.replace("_", "-"), map(_value, values))
    for platform in sorted(lock.platforms, key=lambda item: item.platform):
        yield f"\n[[{above}platforms]]\n"
        yield _line("platform", str(platform.platform))
        yield _line("suite", platform.suite)
        yield f"python = {_row(platform.python)}\n"
        if platform.image:
            yield from _base_image(platform.image)
        yield _list("base", map(_row, sorted(platform.base)))
        yield _list("apt", map(_row, sorted(platform.apt)))
        if platform.conda:
            yield _list("conda", map(_row, sorted(platform.conda)))
        yield _list("wheels", map(_row, sorted(platform.wheels)))


def _row(pin: DebPin | CondaPin | WheelPin | SdistPin | PythonPin) -> str:
    row = {field.name: getattr(pin, field.name) for field in fields(pin)}
    digest = row.pop("digest")
    row["sha256"] = digest.hex if digest else None
    row |= {key: row.pop(key) for key in ("tools", "sdist") if key in row}  # what few have comes last
    return _inline(row)


def _base_image(pin: BasePin) -> Iterator[str]:
    row = {
        "name": pin.name, "digest": str(pin.digest), "manifest": str(pin.manifest), "glibc": pin.glibc,
        "environment-hidden": pin.environment_hidden,
    }  # fmt: skip
    yield f"base-image = {_inline(row)}\n"
    yield _list("base-links", map(_value, sorted(pin.links)))
    yield _list("base-installed", map(_value, sorted(pin.installed)))
    yield _list("base-replaced", map(_value, sorted(pin.replaced)))


def _inline(row: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in row.items() if value) + " }"


def _line(key: str, value: str | Sequence[str]) -> str:
    text = _value(value) if isinstance(value, str) else "[" + ", ".join(map(_value, value)) + "]"
    return f"{key} = {text}\n"


def _list(key: str, items: Iterable[str]) -> str:
    lines = "".join(f"    {item},\n" for item in items)
    return f"{key} = [\n{lines}]\n" if lines else f"{key} = []\n"


def _value(value: str | int | Sequence[str] | SdistPin) -> str:
    if isinstance(value, SdistPin):
        return _row(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# -- reading -------------------------------------------------------------------------------------------


def _lock(document: Mapping[str, Any]) -> Lock:
    wants = document["wants"]
    return Lock(
        wants=Wants(
            python=wants["python"],
            platforms=tuple(wants["platforms"]),
            suite=wants["suite"],
            runtime=wants["runtime"],
            **{key: _given(wants, key) for key in (*_LISTS, *_SELDOM)},
        ),
        platforms=tuple(_platform(item) for item in document["platforms"]),
        base=_lock(document["below"]) if "below" in document else None,
        labels=_texts(document, "labels") if "labels" in document else (),
    )


def _given(wants: Mapping[str, Any], key: str) -> Any:
    name = key.replace("_", "-")
    if key in _LISTS:
        return tuple(wants.get(name, ()) if key in _SELDOM_LISTS else wants[name])
    return wants.get(name, "")


def _platform(item: Mapping[str, Any]) -> PlatformLock:
    return PlatformLock(
        platform=Platform.parse(item["platform"]),
        suite=item["suite"],
        python=_pin(PythonPin, item["python"]),
        base=tuple(_pin(DebPin, row) for row in item["base"]),
        image=_base_pin(item) if "base-image" in item else None,
        apt=tuple(_pin(DebPin, row) for row in item["apt"]),
        conda=tuple(_pin(CondaPin, row) for row in item.get("conda", ())),
        wheels=tuple(_pin(WheelPin, row) for row in item["wheels"]),
    )


def _base_pin(item: Mapping[str, Any]) -> BasePin:
    row = item["base-image"]
    hidden = row.get("environment-hidden", False)
    if not isinstance(hidden, bool):
        raise TypeError(f"environment-hidden = {shown(hidden)} is no bool")
    return BasePin(
        name=str(Reference.parse(row["name"])),
        digest=Digest.parse(row["digest"]),
        manifest=Digest.parse(row["manifest"]),
        glibc=row.get("glibc", ""),
        links=_texts(item, "base-links"),
        installed=_texts(item, "base-installed"),
        replaced=_texts(item, "base-replaced"),
        environment_hidden=hidden,
    )


def _texts(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    for value in item[key]:
        if not isinstance(value, str):
            raise TypeError(f"{key} has {shown(value)}, which is no str")
    return tuple(item[key])


_Pin = TypeVar("_Pin", DebPin, CondaPin, WheelPin, SdistPin, PythonPin)


def _pin(kind: type[_Pin], row: Mapping[str, Any]) -> _Pin:
    values = dict(row)
    if "sha256" in values:
        values["digest"] = Digest.parse(f"sha256:{values.pop('sha256')}")
    if "sdist" in values:
        values["sdist"] = _pin(SdistPin, values["sdist"])
    if "tools" in values:
        values["tools"] = _texts(values, "tools")
    for key, value in values.items():
        if key not in kind.__slots__:
            raise TypeError(f"{shown(key)} is no key of an input")
        wanted = _TYPES.get(key, str)
        if type(value) is not wanted:
            raise TypeError(f"{key} = {shown(value)} is no {wanted.__name__}")
        # What follows a mirror's address must not lead away from it; in a base image an interpreter's is absolute.
        if (
            isinstance(value, str)
            and key in ("path", "file", "subdir")
            and not _is_plain(value, values.get("source"))
        ):
            raise ValueError(f"{key} = {shown(value)} is no plain path")
    return kind(**values)


_TYPES: Final[Mapping[str, type]] = {"digest": Digest, "size": int, "sdist": SdistPin, "tools": tuple}


def _is_plain(path: str, source: object) -> bool:
    return path.startswith("/") == (source == "base") and ".." not in path.split("/")
