"""The specs in modules of Python, which are imported as ``pyflyte`` imports them, in a process of its own."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from taskimage.adapters.specfiles.projectlocks import is_project, project_of
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.value import dataclass
from taskimage.verbs.pythonlocks import LabelledSpec

__all__ = ["Found", "Modules", "find", "is_python", "modules_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """Modules of one project, by their names, which are imported from the folder ``origin``."""

    project: Path
    origin: Path
    names: tuple[str, ...]

    def labelled(self, label: str) -> str:
        """``label`` as it is unique in the project: with the folder before it that it is imported from, if that is another."""
        folder = self.origin.relative_to(self.project)
        return (folder / label).as_posix()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What modules have. ``others`` are labels of specs for other builders; ``problems`` are told one by one."""

    specs: tuple[LabelledSpec, ...]
    others: tuple[str, ...]
    problems: tuple[BadInput, ...]


def is_python(path: Path) -> bool:
    """Whether ``path`` is where modules of Python are: a file of them, or a folder."""
    return path.suffix == ".py" or path.is_dir()


def modules_in(paths: Iterable[Path]) -> tuple[Modules, ...]:
    """The modules at ``paths``, one entry for each folder that some are imported from.

    As for ``pyflyte register``, that is the nearest folder above without ``__init__.py``. Raises NotFound, BadInput.
    """
    names: dict[Path, list[str]] = {}
    for path in paths:
        real = path.resolve()
        if not real.exists():
            raise NotFound(f"there is no {str(path)!r}")
        if real.name == "__init__.py":
            real = real.parent
        origin = real.parent
        while (origin / "__init__.py").exists():
            origin = origin.parent
        parts = real.relative_to(origin).with_suffix("").parts
        if is_project(real) or not all(map(str.isidentifier, parts)):
            raise BadInput(
                f"{str(path)!r} is not a module or package that Python imports by its name",
                hint="name the folder or the files that have the workflows, such as workflows/",
            )
        names.setdefault(origin, []).append(".".join(parts))
    return tuple(
        Modules(project=project_of(origin), origin=origin, names=tuple(dict.fromkeys(found)))
        for origin, found in names.items()
    )


def find(modules: Modules, *, root: Path) -> Found:
    """The specs that ``modules`` have: in variables, in tasks, and below other specs.

    They are imported with ``root`` as the working directory, and nothing is built meanwhile. What they print goes to
    standard error. Raises NotFound for a ``root`` that is no folder, and BadInput when the process ends.
    """
    if not root.is_dir():
        raise NotFound("no such folder to take relative paths from", where=str(root))
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    # What modules do to a process that imports them is not to happen to this one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            found = process.submit(_find, str(modules.origin), str(root), modules.names).result()
        except BrokenProcessPool as error:
            raise BadInput(f"the process ended that imported {', '.join(modules.names)}") from error
    specs = (LabelledSpec(modules.labelled(one.label), one.spec) for one in found.specs)
    return replace(found, specs=tuple(specs), others=tuple(map(modules.labelled, found.others)))


def _find(origin: str, root: str, names: Sequence[str]) -> Found:
    """What `find` gives; in the other process."""
    import sys

    from taskimage.flyte.importing import load, nothing_is_built
    from taskimage.flyte.variables import specs_of

    os.dup2(2, 1)  # standard output has results alone
    os.chdir(root)
    sys.path.insert(0, origin)
    nothing_is_built()
    importlib.invalidate_caches()
    loaded, problems = load(names)
    specs, others, unread = specs_of(loaded, origin)
    return Found(specs=specs, others=others, problems=(*problems, *unread))
