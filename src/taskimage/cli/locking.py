"""What ``taskimage lock`` does: each lock that is asked for, made or checked, and what is said of it."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import LoadedSpec, load
from taskimage.cli.errors import fail, say
from taskimage.cli.results import each, show
from taskimage.flyte.finding import Modules, find, is_python, modules_in
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.events import Listener, Notice, Warned
from taskimage.model.lock import Lock
from taskimage.model.lockchanges import diff
from taskimage.model.lockfile import dumps
from taskimage.model.value import dataclass
from taskimage.verbs.changes import changes
from taskimage.verbs.lock import lock, lock_path, outdated, read_lock, write_lock
from taskimage.verbs.pythonlocks import ProjectLocks, WantedLock
from taskimage.verbs.tools import Tools

__all__ = ["Locking"]


class _Subject(Protocol):
    """A lock that is asked for."""

    @property
    def path(self) -> Path:
        """The file of the lock."""

    @property
    def again(self) -> str:
        """What ``taskimage lock`` is given to make it."""

    def loaded(self) -> LoadedSpec:
        """The spec."""

    def before(self) -> tuple[Path, Lock] | None:
        """The lock that is there, and where; None for none."""

    def made(self, tools: Tools, values: Namespace) -> Lock:
        """The lock."""

    def outdated(self) -> Sequence[str]:
        """What the spec wants and its lock does not say, a line each."""


class Locking:
    """The locks that one command line asks for."""

    def __init__(self, values: Namespace, *, settings: Settings, listener: Listener) -> None:
        self._values = values
        self._tools = Tools(settings=settings, listener=listener, together=len(values.specs) > 1)

    def all(self) -> int:
        """Make, or check, each lock; the exit code."""
        specs, root = self._values.specs, self._values.root
        files = each([_OfFile(spec, root) for spec in specs if not is_python(spec)], self._one)
        # What several files and folders have is found together.
        python = [spec for spec in specs if is_python(spec)]
        modules = each([python] if python else [], self._of_python)
        return files or modules

    def _of_python(self, paths: Sequence[Path]) -> int:
        return each(modules_in(paths), self._of_modules)

    def _of_modules(self, modules: Modules) -> int:
        values, tell = self._values, self._tools.listener
        root = (values.root or modules.project).absolute()
        found = find(modules, root=root)
        for problem in found.problems:
            fail(problem)
        for label in found.others:
            tell(Notice(f"{label} is for another builder, and gets no lock"))
        locks = ProjectLocks(
            modules.project, found.specs, root=root, covered=map(modules.labelled, modules.names)
        )
        paths = " ".join(str(path) for path in values.specs if is_python(path))
        if len(locks.wanted) > 1:
            if values.diff:
                raise BadInput(f"--diff compares one lock, and {len(locks.wanted)} are asked for")
            self._tools = replace(self._tools, together=True)
        code = each([_OfModules(locks, one, paths) for one in locks.wanted], self._one)
        if found.problems:
            return found.problems[0].exit_code
        for path in locks.gone:
            if values.prune:
                path.unlink(missing_ok=True)
                tell(Notice(f"removed {_shown(path)}: its spec is gone"))
            else:
                tell(Warned(f"{_shown(path)} is of a spec that is gone", hint="remove it, or use --prune"))
        if not locks.wanted:
            raise NotFound(f"there is no ImageSpec in {', '.join(modules.names)}")
        return code

    def _one(self, subject: _Subject) -> int:
        return self._check(subject) if self._values.check else self._lock(subject)

    def _check(self, subject: _Subject) -> int:
        lines = subject.outdated()
        for line in lines:
            say("error", f"{_shown(subject.path)}: {line}")
        if lines:
            say("hint", f"run `taskimage lock {subject.again}`, and commit what it writes")
            return 1
        show(_shown(subject.path))
        return 0

    def _lock(self, subject: _Subject) -> int:
        before = subject.before()
        old = _read(self._values.diff) if self._values.diff else before[1] if before else None
        made = subject.made(self._tools, self._values)
        if before is None or before[0] != subject.path or dumps(before[1]) != dumps(made):
            subject.path.parent.mkdir(exist_ok=True)
            write_lock(made, subject.path)
        if before is not None and before[0] != subject.path:
            before[0].unlink(missing_ok=True)
        if self._values.diff and old:
            lines = changes(self._tools, subject.loaded(), old, made)
        else:
            lines = diff(old, made) if old else ()
        for line in lines:
            self._tools.listener(Notice(line))
        show(_shown(subject.path))
        return 0


class _OfFile:
    """The lock of a YAML file."""

    def __init__(self, spec: Path, root: Path | None) -> None:
        self.path = lock_path(spec)
        self.again = str(spec)
        self._spec = spec
        self._root = root

    def loaded(self) -> LoadedSpec:
        return load(self._spec, root=self._root)

    def before(self) -> tuple[Path, Lock] | None:
        there = read_lock(self.path)
        return (self.path, there) if there else None

    def made(self, tools: Tools, values: Namespace) -> Lock:
        return lock(
            self._spec,
            root=self._root,
            upgrade=values.upgrade,
            upgrade_packages=values.upgrade_packages,
            tools=tools,
        )

    def outdated(self) -> Sequence[str]:
        there = self.before()
        loaded = self.loaded()
        return ("there is no lock",) if there is None else outdated(loaded, there[1])


@dataclass(frozen=True)
class _OfModules:
    """The lock of a spec in Python."""

    locks: ProjectLocks
    wanted: WantedLock
    again: str

    @property
    def path(self) -> Path:
        return self.wanted.path

    def loaded(self) -> LoadedSpec:
        return self.wanted.loaded

    def before(self) -> tuple[Path, Lock] | None:
        return self.locks.before(self.wanted)

    def made(self, tools: Tools, values: Namespace) -> Lock:
        return self.locks.lock(
            tools, self.wanted, upgrade=values.upgrade, upgrade_packages=values.upgrade_packages
        )

    def outdated(self) -> Sequence[str]:
        return self.locks.outdated(self.wanted)


def _shown(path: Path) -> str:
    """``path``, from the working directory where it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _read(path: Path) -> Lock:
    found = read_lock(path)
    if found is None:
        raise NotFound(f"there is no lock at {os.fspath(path)!r}")
    return found
