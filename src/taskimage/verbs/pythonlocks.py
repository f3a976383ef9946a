"""The locks of a project's specs in Python: one for each fingerprint, labelled with the places of its specs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from taskimage.adapters.specfiles import LoadedSpec
from taskimage.adapters.specfiles.projectlocks import lock_files
from taskimage.model.lock import Lock
from taskimage.model.spec import ImageSpec
from taskimage.model.value import dataclass
from taskimage.verbs.fingerprint import lock_file
from taskimage.verbs.lock import lock_loaded, outdated, read_lock
from taskimage.verbs.tools import Tools

__all__ = ["LabelledSpec", "ProjectLocks", "WantedLock"]

_BELOW = ".base_image"


@dataclass(frozen=True, slots=True)
class LabelledSpec:
    """A spec, and what it is in Python: ``MODULE:VARIABLE``, with attributes behind it where no variable has it.

    Before it is the folder that the module is imported from, where that is another one than the project.
    """

    label: str
    spec: ImageSpec

    @property
    def lowest_first(self) -> Iterator[LabelledSpec]:
        """The spec, and before it those that it stands on."""
        if self.spec.base is not None:
            yield from LabelledSpec(self.label + _BELOW, self.spec.base).lowest_first
        yield self


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLock:
    """The file of a lock that is wanted, the spec that it is for, and the labels of all such specs."""

    path: Path
    loaded: LoadedSpec
    labels: tuple[str, ...]


class ProjectLocks:
    """The locks of ``specs``, which the modules ``covered`` and those below them have in ``project``.

    Relative paths start at ``root``. Each lock is wanted once, and before those of specs that stand on its own.
    """

    def __init__(
        self, project: Path, specs: Sequence[LabelledSpec], *, root: Path, covered: Iterable[str]
    ) -> None:
        self._covered = frozenset(covered)
        loaded: dict[Path, LoadedSpec] = {}
        labels: dict[Path, set[str]] = {}
        for spec in (each for one in sorted(specs, key=_label) for each in one.lowest_first):
            one = LoadedSpec(spec=spec.spec, root=root, project=project)
            path = lock_file(one)
            loaded.setdefault(path, one)
            labels.setdefault(path, set()).add(spec.label)
        self.wanted = tuple(
            WantedLock(path=path, loaded=one, labels=_plainest(labels[path])) for path, one in loaded.items()
        )
        self._there = {path: lock for path in lock_files(project) if (lock := read_lock(path))}
        self._made: dict[Path, Lock] = {}

    def before(self, wanted: WantedLock) -> tuple[Path, Lock] | None:
        """The lock that is there: its own, or else the one that its spec had before it asked for something else."""
        if (lock := self._there.get(wanted.path)) is not None:
            return wanted.path, lock
        for path in self._left:
            if set(wanted.labels) & set(self._there[path].labels):
                return path, self._there[path]
        return None

    def lock(
        self, tools: Tools, wanted: WantedLock, *, upgrade: bool = False, upgrade_packages: Sequence[str] = ()
    ) -> Lock:
        """The lock, as `taskimage.verbs.lock.lock` makes it; on the base's own where the base is a spec."""
        before = self.before(wanted)
        below = wanted.loaded.base
        made = lock_loaded(
            tools,
            wanted.loaded,
            before[1] if before else None,
            base=self._made.get(lock_file(below)) if below else None,
            upgrade=upgrade,
            upgrade_packages=upgrade_packages,
        )
        self._made[wanted.path] = made = replace(made, labels=wanted.labels)
        return made

    def outdated(self, wanted: WantedLock) -> tuple[str, ...]:
        """What the spec wants and its lock does not say, a line each; everything where there is none."""
        before = self.before(wanted)
        if before is None:
            return ("there is no lock",)
        path, lock = before
        lines = outdated(wanted.loaded, lock)
        if path != wanted.path:
            return (f"there is no lock, and {path.name} is of what the spec was before", *lines)
        below = wanted.loaded.base
        if below and lock.base != self._there.get(lock_file(below)):
            return (*lines, f"base_image: its own lock, {lock_file(below).name}, says something else")
        return lines

    @property
    def gone(self) -> tuple[Path, ...]:
        """The locks of specs that were in the modules covered, and are not any more."""
        replaced = {before[0] for one in self.wanted if (before := self.before(one))}
        return tuple(path for path in self._left if path not in replaced)

    @cached_property
    def _left(self) -> tuple[Path, ...]:
        """The locks that none of the specs wants, and no module has a spec for that is not covered."""
        wanted = {one.path for one in self.wanted}
        return tuple(
            path
            for path, lock in self._there.items()
            if path not in wanted and lock.labels and all(map(self._covers, lock.labels))
        )

    def _covers(self, label: str) -> bool:
        module = label.partition(":")[0]
        return any(module == name or module.startswith(f"{name}.") for name in self._covered)


def _label(spec: LabelledSpec) -> str:
    return spec.label


def _plainest(labels: set[str]) -> tuple[str, ...]:
    """The labels that are variables; where none is, all of them."""
    variables = {label for label in labels if "." not in label.partition(":")[2]}
    return tuple(sorted(variables or labels))
