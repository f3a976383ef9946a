"""Lock files of other tools, read as they are: what they would install for a target, in the words of PEP 751."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from taskimage.adapters.specfiles.requirementsfile import RequirementsFile, read_toml
from taskimage.model.errors import BadInput, NotFound, TaskImageError
from taskimage.model.spec.installoptions import InstallOptions
from taskimage.model.spec.requirementskind import RequirementsKind

if TYPE_CHECKING:
    from packaging.pylock import Package

    from taskimage.adapters.pypi.target import Target

__all__ = ["LockFile", "index_names", "locked_in", "read_lock", "select"]


class LockFile(Protocol):
    """One kind of lock file."""

    def packages(self) -> Iterator[Package]:
        """Every package that has files on an index or at an address."""

    def select(self, target: Target, options: InstallOptions) -> Iterator[Package]:
        """What is installed for ``target``."""


def locked_in(files: Sequence[RequirementsFile]) -> RequirementsFile | None:
    """The first of ``files``, when it is a lock file: then it alone says what is wanted."""
    return files[0] if files and files[0].kind.is_lock else None


def read_lock(files: Sequence[RequirementsFile]) -> LockFile:
    """The lock file that is the first of ``files``, with the project that is the second.

    Raises BadInput for a file that cannot be read, NotFound where there is no project.
    """
    file, *others = files
    if file.kind is not RequirementsKind.PYLOCK and not others:
        raise NotFound(
            f"there is no pyproject.toml beside {file.path.name}, which says what is wanted of it",
            where=file.name, hint="put both files into one folder",
        )  # fmt: skip
    document = read_toml(file)
    project = read_toml(others[0]) if others else {}
    with _reading(file):
        return _read(file, document, project)


def select(files: Sequence[RequirementsFile], target: Target, options: InstallOptions) -> tuple[Package, ...]:
    """What the lock file that is the first of ``files`` installs for ``target``.

    Raises BadInput for one that cannot be read, StaleLock for one that no longer is what its project wants,
    CannotBuild for what has no wheel to be found by, and where it is not locked for ``target``.
    """
    lock = read_lock(files)
    with _reading(files[0]):
        found = tuple(lock.select(target, options))
    names = [package.name for package in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(
            f"{twice[0]!r} is locked in two versions for {target}", where=files[0].name,
            hint="choose one of the extras or groups that contradict each other",
        )  # fmt: skip
    return found


def index_names(files: Sequence[RequirementsFile]) -> Mapping[str, str]:
    """The names that the project beside a lock file gives to addresses of indexes."""
    project = read_toml(files[1]) if len(files) > 1 else {}
    tool = project.get("tool", {})
    tables = (*tool.get("uv", {}).get("index", ()), *tool.get("poetry", {}).get("source", ()))
    return {table["url"].rstrip("/"): table["name"] for table in tables if "url" in table and "name" in table}


def _read(file: RequirementsFile, document: Mapping[str, Any], project: Mapping[str, Any]) -> LockFile:
    if file.kind is RequirementsKind.PYLOCK:
        from taskimage.adapters.pypi.locks.pylockfile import PylockFile

        return PylockFile(document, where=file.name)
    if file.kind is RequirementsKind.UV:
        from taskimage.adapters.pypi.locks.uvlock import UvLock

        return UvLock(document, project, where=file.name)
    from taskimage.adapters.pypi.locks.poetrylock import PoetryLock

    return PoetryLock(document, project, where=file.name)


@contextlib.contextmanager
def _reading(file: RequirementsFile) -> Iterator[None]:
    """In the block, a table that is not as its tool writes it is an error of ``file``."""
    try:
        yield
    except KeyError as error:
        raise BadInput(f"not a {file.kind.value}: {error} is missing", where=file.name) from error
    except (TypeError, ValueError, AttributeError, StopIteration) as error:
        if isinstance(error, TaskImageError):
            raise
        raise BadInput(f"not a {file.kind.value}: {error}", where=file.name) from error
