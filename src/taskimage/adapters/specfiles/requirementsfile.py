"""The files that say which Python packages are wanted, as bytes: one, and what it includes or stands beside."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any

from taskimage.adapters.specfiles.checkedfile import read_regular
from taskimage.adapters.witness import saw
from taskimage.model.errors import BadInput, CannotBuild, NotFound
from taskimage.model.spec.requirementskind import RequirementsKind
from taskimage.model.value import dataclass

__all__ = ["RequirementsFile", "read_requirements", "read_toml"]

_MAX_BYTES = 16 * 1024 * 1024
# pip, requirements file format: an option, and its value after a space, an equals sign, or nothing.
_INCLUDE = re.compile(r"\s*(?:(?:-r|-c)\s*=?|(?:--requirement|--constraint)(?:\s*=\s*|\s+))\s*(?P<name>\S.*)")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_QUOTES = "'\""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsFile:
    """One file of requirements or constraints, a lock or a project: its name as written, where it is, what is in it."""

    name: str
    path: Path = field(compare=False)
    data: bytes = field(repr=False)

    @property
    def kind(self) -> RequirementsKind:
        """What it is, by its name."""
        return RequirementsKind.of(self.name) or RequirementsKind.REQUIREMENTS

    @property
    def lines(self) -> list[str]:
        """Its requirements as text, a line each: those of a project are in its table. Raises BadInput."""
        if self.kind is RequirementsKind.PYPROJECT:
            return [str(line) for line in read_toml(self).get("project", {}).get("dependencies", ())]
        return self.data.decode(errors="replace").splitlines()


def read_requirements(path: Path, *, name: str) -> tuple[RequirementsFile, ...]:
    """The file ``path``, which the spec calls ``name``, then every file that it includes, each once.

    With ``uv.lock`` or ``poetry.lock`` it is the ``pyproject.toml`` beside it, if it is there, that comes second.

    Raises NotFound and NotAllowed, with the line that includes the file; BadInput for what is not text;
    CannotBuild for an include from a URL.
    """
    kind = RequirementsKind.of(name)
    if kind in {RequirementsKind.UV, RequirementsKind.POETRY}:
        beside = PurePosixPath(name).with_name(RequirementsKind.PYPROJECT.value)
        project = path.with_name(beside.name)
        saw(project)
        return (_file(path, name), *([_file(project, str(beside))] if project.exists() else []))
    if kind is not RequirementsKind.REQUIREMENTS:
        return (_file(path, name),)
    found: dict[Path, RequirementsFile] = {}
    waiting = [(name, path, "")]
    while waiting:
        as_written, current, where = waiting.pop(0)
        key = current.resolve()
        if key in found:
            continue
        text, data = _read(current, where)
        found[key] = RequirementsFile(name=as_written, path=current, data=data)
        for line, included in _includes(text):
            place = f"{current}:{line}"
            if "://" in included:
                raise CannotBuild(
                    "requirements are included from a URL, which is not served",
                    where=place,
                    hint="keep the file beside this one",
                )
            waiting.append((included, current.parent / included, place))
    return tuple(found.values())


def read_toml(file: RequirementsFile) -> dict[str, Any]:
    """The document in ``file``. Raises BadInput."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(file.data.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"not TOML: {error}", where=file.name) from error
    return document


def _file(path: Path, name: str) -> RequirementsFile:
    return RequirementsFile(name=name, path=path, data=_read(path, "")[1])


def _read(path: Path, included_at: str) -> tuple[str, bytes]:
    try:
        data = read_regular(path, _MAX_BYTES + 1)
    except NotFound as error:
        raise NotFound(f"no such file: {str(path)!r}", where=included_at or None) from error
    if len(data) > _MAX_BYTES:
        raise BadInput(f"requirements are larger than {_MAX_BYTES} bytes", where=str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"requirements are not UTF-8 at byte {error.start}", where=str(path)) from error
    if "\0" in text:
        raise BadInput("requirements hold a NUL character", where=str(path))
    return text, data


def _includes(text: str) -> Iterator[tuple[int, str]]:
    """The line number and name of each include; a backslash joins a line to the next."""
    start, joined = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start or number
        joined += line
        if line.endswith("\\"):
            joined = joined[:-1]
            continue
        if match := _INCLUDE.fullmatch(_COMMENT.sub("", joined)):
            yield start, match["name"].strip().strip(_QUOTES)
        start, joined = 0, ""
