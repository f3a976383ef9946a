"""`Recipe`: flyte's layers, in their order, as a chain of images of ours.

flyte runs its layers one after the other; an image of ours has an order of its own: Debian's packages, Python's,
files, and commands at the end. Where another order could be told from the result, the layers that follow
become an image of their own, on the one before them. Where it could not, they share one: packages of both
kinds, and files that lie where no package puts any, may come in any order.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.value import dataclass
from taskimage.transform.source import SourceTree

__all__ = ["HOME", "Installing", "Recipe", "Stage"]

HOME = "/home/flyte"
# Folders whose files belong to users, and to no package.
_OF_USERS = ("app", "data", "home", "mnt", "root", "srv", "work", "workspace")
# Folders that every image has.
_FOLDERS = frozenset({
    "/", "/bin", "/etc", "/home", "/lib", "/mnt", "/opt", "/root", "/sbin", "/srv", "/usr", "/usr/bin", "/usr/lib",
    "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/share", "/var", "/var/lib", HOME,
})  # fmt: skip
_REFERENCE = re.compile(r"(?<!\\)\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installing:
    """Where Python packages come from, and how they are chosen; an address may hold a password."""

    index: str | None = field(default=None, repr=False)
    extra_indexes: tuple[str, ...] = field(default=(), repr=False)
    words: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one image adds to the one below it.

    ``requirements`` are what `read_requirements` gives, one for each layer that names a file; ``env`` is all that
    layers have said until now, and ``command_env`` what they had said before the commands.
    """

    packages: tuple[str, ...] = ()
    requirements: tuple[tuple[RequirementsFile, ...], ...] = ()
    installing: Installing | None = None
    apt: tuple[str, ...] = ()
    files: tuple[SourceTree, ...] = ()
    commands: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    command_env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = HOME

    @property
    def is_whole(self) -> bool:
        """Whether its Python packages are those of a lock, or a project, to which nothing is added."""
        return any(files[0].kind.has_extras for files in self.requirements)

    @property
    def _is_beside_packages(self) -> bool:
        """Whether its files lie where no package puts any."""
        return all(file.path.split("/", 1)[0] in _OF_USERS for tree in self.files for file in tree.files)

    @property
    def takes_packages(self) -> bool:
        """Whether packages may still be added: nothing that is there could tell."""
        return not self.commands and self._is_beside_packages


@dataclass(slots=True)
class Recipe:
    """A chain of images, the lowest first, on the image ``base``, or on a base of ours where there is none."""

    base: str | None
    python: str
    stages: list[Stage]

    @property
    def workdir(self) -> str:
        """Where what comes next stands."""
        return self._top.workdir

    @property
    def env(self) -> Mapping[str, str]:
        """What layers have said of variables until now."""
        return self._top.env

    def inside(self, path: str) -> str:
        """``path`` of the image, without dots, from its root; relative ones start at the working directory."""
        return posixpath.normpath(posixpath.join(self.workdir, path))

    def is_folder(self, path: str) -> bool:
        """Whether ``path`` is a folder of every image, the working directory, or was made by a layer."""
        name = path.strip("/")
        trees = [tree for stage in self.stages for tree in stage.files]
        return path in _FOLDERS or any(
            name in tree.directories or any(file.path.startswith(f"{name}/") for file in tree.files)
            for tree in trees
        )

    # -- what layers add -------------------------------------------------------------------------------

    def install(
        self,
        packages: Sequence[str],
        requirements: tuple[RequirementsFile, ...] = (),
        *,
        installing: Installing,
    ) -> None:
        """Python packages, by name or as a file says."""
        top = self._top
        taken = top.packages or top.requirements
        alone = top.is_whole or (requirements and requirements[0].kind.has_extras)
        apart = alone or top.installing != installing or _replaces(packages, top.packages)
        if not top.takes_packages or (taken and apart):
            self._next()
        self._set(
            packages=(*self._top.packages, *packages),
            requirements=(*self._top.requirements, *([requirements] if requirements else [])),
            installing=installing,
        )

    def install_debian(self, packages: Sequence[str]) -> None:
        """Debian packages."""
        if not self._top.takes_packages:
            self._next()
        self._set(apt=(*self._top.apt, *packages))

    def copy(self, tree: SourceTree) -> None:
        """Files, which take the place of those that are there."""
        if self._top.commands:
            self._next()
        self._set(files=(*self._top.files, tree))

    def run(self, command: str) -> None:
        """A command, by a shell of its own."""
        top = self._top
        if top.commands and top.command_env != top.env:
            self._next()
        # As a RUN of a Dockerfile: where it goes and what it exports is forgotten.
        text = f"(cd {shlex.quote(self.workdir)}\n{command}\n)"
        self._set(commands=(*self._top.commands, text), command_env=self._top.env)

    def set_env(self, variables: Mapping[str, str]) -> None:
        """Variables; one that names another has the value that the other has by now."""
        before = self._top.env
        after = {name: _expanded(value, before) for name, value in variables.items()}
        self._set(env={**before, **after})

    def enter(self, workdir: str) -> None:
        """The folder where tasks start, and relative paths from now on."""
        self._set(workdir=self.inside(workdir))
        folder = self.workdir.strip("/")
        tree = SourceTree.of((), [folder] if folder else [], root="")
        self._set(files=(*self._top.files, tree))

    # -- the chain -------------------------------------------------------------------------------------

    @property
    def _top(self) -> Stage:
        return self.stages[-1]

    def _set(self, **parts: object) -> None:
        self.stages[-1] = replace(self._top, **parts)  # type: ignore[arg-type] # by the callers above

    def _next(self) -> None:
        self.stages.append(Stage(env=self._top.env, workdir=self._top.workdir))


def _replaces(packages: Sequence[str], before: Sequence[str]) -> bool:
    """Whether one of ``packages`` asks for another version of what is there ``before``: the later one is meant."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    def read(texts: Sequence[str]) -> Iterator[tuple[str, Requirement]]:
        for text in texts:
            with contextlib.suppress(InvalidRequirement):  # which whoever resolves it tells
                requirement = Requirement(text)
                yield canonicalize_name(requirement.name), requirement

    there = dict(read(before))
    for name, wanted in read(packages):
        if (known := there.get(name)) is None or known.specifier == wanted.specifier:
            continue
        pins = [one.version for one in known.specifier if one.operator == "=="]
        if not pins or not wanted.specifier.contains(pins[0], prereleases=True):
            return True
    return False


def _expanded(value: str, before: Mapping[str, str]) -> str:
    """``value`` with what ``before`` has in place of its name; other names are left, for the base's values."""

    def value_of(match: re.Match[str]) -> str:
        return before.get(match["name"] or match["braced"], match[0])

    return _REFERENCE.sub(value_of, value)
