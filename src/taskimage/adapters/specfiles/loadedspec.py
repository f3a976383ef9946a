"""`LoadedSpec`: a spec and where it came from, which decides where its files and its lock are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from taskimage.adapters.specfiles.projectlocks import lock_files
from taskimage.adapters.thispython import is_below
from taskimage.adapters.witness import is_there
from taskimage.model.events import Warned
from taskimage.model.spec import ImageSpec
from taskimage.model.value import dataclass

__all__ = ["LoadedSpec", "lock_path", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSpec:
    """A spec and where it came from.

    ``registry`` is where its image goes: the spec's own, unless something else was decided, which leaves the
    spec as flytekit knows it. ``root`` is where relative paths start, when that was decided; otherwise they are looked for beside
    the file, then in the working directory. ``warnings`` tell how the file was read. ``project`` has the lock of
    a spec that no file holds.
    """

    spec: ImageSpec
    path: Path | None = None
    root: Path | None = None
    project: Path | None = None
    registry: str | None = None
    warnings: tuple[Warned, ...] = ()

    @property
    def fqn(self) -> str:
        """The image's name, with its registry when it has one."""
        return f"{self.registry}/{self.spec.name}" if self.registry else self.spec.name

    @property
    def base(self) -> LoadedSpec | None:
        """The spec of the base image, of which files are where this one's are; it goes where this one goes."""
        if (base := self.spec.base) is None:
            return None
        registry = self.registry if base.registry is None else base.registry
        return replace(self, spec=base, registry=registry, warnings=())

    def beside(self, name: str) -> Path:
        """Where the file ``name`` of the spec is: in the first folder that has it, else in the first."""
        having = (folder for folder in self.folders if is_there(folder / name))
        return next(having, self.folders[0]) / Path(name).expanduser()

    def called(self, path: Path, name: str) -> str:
        """What the lock calls the file ``path``, which the spec names as ``name``: the same wherever the project is."""
        if self.project is None:
            return name
        real = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 -- as what it is compared with
        if not is_below(real, str(self.project)):
            return name
        return Path(real).relative_to(self.project).as_posix()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where relative paths are looked for, in order."""
        if self.root is not None:
            return (self.root.absolute(),)
        here = Path.cwd()
        if self.path is None or same(self.path.parent, here):
            return (here,)
        return (self.path.parent.absolute(), here)

    @property
    def locks(self) -> tuple[Path, ...]:
        """The files of locks that are here for it, and are no part of what is copied."""
        if self.path is not None:
            return (lock_path(self.path),)
        return lock_files(self.project) if self.project else ()


def lock_path(path: Path) -> Path:
    """Where the lock of the spec ``path`` is, or would be."""
    return path.with_name(f"{path.stem}.lock.toml")


def same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file."""
    return os.path.realpath(one) == os.path.realpath(other)
