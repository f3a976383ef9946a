"""Source distributions: what their archive says of how they are built (PEP 517, PEP 518), read without running any of it."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.boundedtar import BoundedMember

__all__ = ["BuildSystem", "read_build_system"]

_LIMIT = 1 << 20
_PROJECT = re.compile(r"(?:\./)?[^/]+/pyproject\.toml")


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """What has to be installed to build a project, and the backend that builds it: a module, perhaps in folders of its own.

    Without a word of its own a project is built by setuptools, as PEP 517 has it.
    """

    requires: tuple[str, ...] = ("setuptools>=40.8.0",)
    backend: str = "setuptools.build_meta:__legacy__"
    path: tuple[str, ...] = ()


def read_build_system(stream: BinaryIO, *, where: str) -> BuildSystem:
    """The build system of the sdist in ``stream``, whose file name is ``where``.

    Raises IntegrityError for an archive, or a ``pyproject.toml`` in it, that cannot be read.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data = _from_zip(stream) if where.endswith(".zip") else _from_tar(stream)
        return _build_system(tomllib.loads(data.decode()) if data is not None else {})
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError,
        AttributeError, NotImplementedError, RuntimeError,
    ) as error:  # fmt: skip
        raise IntegrityError(f"not an sdist that can be read: {error}", where=where) from error


def _build_system(document: Mapping[str, Any]) -> BuildSystem:
    table = document.get("build-system")
    if table is None:
        return BuildSystem()
    requires, path = table.get("requires", ()), table.get("backend-path", ())
    backend = table.get("build-backend", BuildSystem().backend)
    if not all(isinstance(text, str) for text in (*requires, *path, backend)):
        raise TypeError("build-system of pyproject.toml is not of strings")
    return BuildSystem(tuple(requires), backend, tuple(path))


def _from_tar(stream: BinaryIO) -> bytes | None:
    with tarfile.open(fileobj=stream, mode="r:gz", tarinfo=BoundedMember) as archive:
        for member in archive:
            if member.isreg() and _PROJECT.fullmatch(member.name) and (file := archive.extractfile(member)):
                return file.read(_LIMIT)
    return None


def _from_zip(stream: BinaryIO) -> bytes | None:
    with zipfile.ZipFile(stream) as archive:
        for name in archive.namelist():
            if _PROJECT.fullmatch(name):
                with archive.open(name) as file:
                    return file.read(_LIMIT)
    return None
