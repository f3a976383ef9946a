"""A spec on this disk: its YAML file, and the files that it names."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, TypeVar

from taskimage.adapters.specfiles.checkedfile import Hasher, read_regular
from taskimage.adapters.specfiles.filetree import TreeReader
from taskimage.adapters.specfiles.loadedspec import LoadedSpec, lock_path, same
from taskimage.adapters.thispython import loaded_files
from taskimage.adapters.witness import is_there
from taskimage.model.errors import BadInput, NotFound, TaskImageError, WrongType
from taskimage.model.events import Warned
from taskimage.model.oci import Platform
from taskimage.model.shown import shown
from taskimage.model.spec import MAX_BYTES, ImageSpec
from taskimage.model.spec.builderoptions import NAMESPACE
from taskimage.model.spec.copymode import CopyFileDetection
from taskimage.model.spec.problem import Key, dotted
from taskimage.model.spec.tag import FileDigests, image_name, spec_tag
from taskimage.model.value import dataclass
from taskimage.transform.source import SourceTree, merge

if TYPE_CHECKING:
    from taskimage.adapters.specfiles.requirementsfile import RequirementsFile

__all__ = [
    "LoadedSpec",
    "Reader",
    "SpecFiles",
    "collect",
    "host_linux",
    "host_machine",
    "host_python",
    "load",
    "lock_path",
    "requirements_of",
]

Found = TypeVar("Found")


class Reader(Protocol):
    """What makes a spec of the bytes of the file ``path``, and warns of how they were read."""

    def __call__(self, data: bytes, *, path: str) -> tuple[ImageSpec, tuple[Warned, ...]]:
        """The spec and the warnings. Raises InvalidSpec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFiles:
    """What a spec's files held when they were read.

    ``requirements`` has the file that the spec names first, then those it includes; ``source`` is what
    goes below ``/root``; ``certificates`` are PEM files, by path; ``digests`` stand for the files in flytekit's tag.
    """

    requirements: tuple[RequirementsFile, ...] = ()
    source: SourceTree = field(default_factory=SourceTree)
    certificates: tuple[tuple[str, bytes], ...] = ()
    digests: FileDigests = field(default_factory=FileDigests)
    warnings: tuple[Warned, ...] = ()


def host_python() -> str:
    """The feature version of the Python that runs: what a spec without ``python_version`` gets."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def host_machine() -> str:
    """The kernel's name of this host's architecture."""
    return os.uname().machine


def host_linux() -> Platform:
    """The platform of images whose programs this host's processor runs. Raises BadInput where there are none."""
    return Platform.parse(f"linux/{host_machine()}")


def load(path: str | os.PathLike[str], *, root: Path | None = None, read: Reader | None = None) -> LoadedSpec:
    """The spec in the YAML file ``path``, of which ``read`` makes a spec, or else `read_spec`.

    Raises:
        NotFound: There is no such file.
        NotAllowed: It cannot be read.
        InvalidSpec: It has problems; all of them are listed.
        WrongType: It is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise WrongType(f"cannot read a spec from {shown(path)}; wanted the path of a YAML file")
    file = Path(path)
    if file.suffix == ".py" or os.path.isdir(file):  # noqa: PTH112 -- a name may be too long to ask about
        raise BadInput(
            f"{str(file)!r} is not the YAML file of a spec",
            hint="specs in Python are built by flytekit (`pyflyte build`, `register` …), and locked by `taskimage lock`",
        )
    try:
        data = read_regular(file, MAX_BYTES + 1)
    except NotFound as error:
        error.hint = _nearest(file)
        raise
    if root is not None and not root.is_dir():
        raise NotFound("no such folder to take relative paths from", where=str(root))
    spec, warnings = (read or _read_spec)(data, path=str(file))
    return LoadedSpec(spec=spec, path=file, root=root, warnings=warnings)


def _read_spec(data: bytes, *, path: str) -> tuple[ImageSpec, tuple[Warned, ...]]:
    from taskimage.model.spec.reading import read_spec

    return read_spec(data, path=path)


def _nearest(file: Path) -> str:
    """What to do about a spec that is not there."""
    from difflib import get_close_matches

    beside = [path.name for path in file.parent.glob("*.y*ml")]
    near = get_close_matches(file.name, beside, n=1)
    if near or len(beside) == 1:
        return f"did you mean {str(file.with_name((near or beside)[0]))!r}?"
    return "name the YAML file that describes the image"


def requirements_of(source: LoadedSpec | ImageSpec) -> tuple[RequirementsFile, ...]:
    """The requirements file that a spec names, then every file it includes; empty when it names none."""
    return _Reading(source).requirements()


def collect(source: LoadedSpec | ImageSpec) -> SpecFiles:
    """Everything that a spec names on this disk: read once, digested, and looked for where it belongs.

    Raises:
        NotFound: A file is nowhere that it is looked for.
        NotAllowed: A file cannot be read.
        BadInput: Two different files could be meant, or one is of a kind that cannot be copied.
    """
    return _Reading(source).all()


@dataclass(frozen=True, slots=True)
class _Digested:
    """A tree, and the state of flytekit's digest after it."""

    tree: SourceTree
    md5: Hasher = field(compare=False)


class _Reading:
    """One pass over the files of one spec; ``warnings`` grow while it goes."""

    def __init__(self, source: LoadedSpec | ImageSpec) -> None:
        loaded = source if isinstance(source, LoadedSpec) else _from_origin(source)
        self._loaded = loaded
        self.spec = loaded.spec
        self.warnings: list[Warned] = []
        self._folders = loaded.folders
        self._leave_out = frozenset(map(os.path.realpath, loaded.locks))

    def all(self) -> SpecFiles:
        requirements = self.requirements()
        source, source_digest = self._source_root()
        copied, copy_digest = self._copy()
        digests = FileDigests(
            requirements=_sha1(requirements[0].data) if requirements else None,
            copy=copy_digest,
            source_root=source_digest,
            base_image=_name(self._loaded.base) if self._loaded.base else None,
        )
        return SpecFiles(
            requirements=requirements,
            source=merge((source, *copied)),
            certificates=tuple(self._certificates()),
            digests=digests,
            warnings=tuple(self.warnings),
        )

    def requirements(self) -> tuple[RequirementsFile, ...]:
        name = self.spec.requirements
        if not name:
            return ()
        from taskimage.adapters.specfiles.requirementsfile import read_requirements

        def read(folder: Path) -> tuple[RequirementsFile, ...]:
            path = folder / name
            return read_requirements(path, name=self._loaded.called(path, name))

        return self._found(("requirements",), name, read)

    def _certificates(self) -> Iterator[tuple[str, bytes]]:
        for index, name in enumerate(self.spec.options.ca_certificates):
            key = ("builder_options", NAMESPACE, "ca_certificates", index)
            yield name, self._found(key, name, partial(_read, name))

    def _source_root(self) -> tuple[SourceTree, str | None]:
        name, mode, copies = self.spec.source_root, self.spec.source_copy_mode, self.spec.copies
        if name is None or mode is CopyFileDetection.NO_COPY:
            return SourceTree(), None
        # Reading YAML loads no module: every file is copied then.
        modules = copies is CopyFileDetection.LOADED_MODULES and self.spec.origin is None
        found = self._loaded_modules(name) if modules else self._every_file(name)
        tree = found.tree if copies is not CopyFileDetection.NO_COPY else SourceTree()
        if isinstance(mode, str):
            # Text, whatever it says, is every file for flytekit's tag.
            return tree, (self._every_file(name) if modules else found).md5.hexdigest()
        if mode is None and not modules:
            self._warn(
                ("source_root",),
                "every file of source_root is copied, and flytekit's tag does not follow them",
                hint="set source_copy_mode: all, so that the tag changes when a file does",
            )
            return tree, _md5().hexdigest()
        return tree, found.md5.hexdigest()

    def _every_file(self, name: str) -> _Digested:
        return self._tree(("source_root",), name, _md5(), TreeReader.source_root)

    def _loaded_modules(self, name: str) -> _Digested:
        files = list(loaded_files())
        if not Path(name).is_absolute():
            self._warn(
                ("source_root",),
                "flytekit's tag does not follow the loaded modules of a source_root that is relative",
                hint="make it absolute: str(Path(__file__).parent)",
            )
        return self._tree(("source_root",), name, _md5(), lambda reader, name: reader.loaded(name, files))

    def _copy(self) -> tuple[list[SourceTree], str | None]:
        if not self.spec.copy:
            return [], None
        trees = []
        md5 = _md5()
        for index, name in enumerate(self.spec.copy):
            found = self._tree(("copy", index), name, md5, TreeReader.copy)
            trees.append(found.tree)
            md5 = found.md5
        return trees, md5.hexdigest()

    def _tree(
        self, key: Key, name: str, md5: Hasher, read: Callable[[TreeReader, str], SourceTree]
    ) -> _Digested:
        def read_below(folder: Path) -> _Digested:
            reader = TreeReader(folder, md5.copy(), self._leave_out)
            return _Digested(read(reader, name), reader.md5)

        return self._found(key, name, read_below)

    def _found(self, key: Key, name: str, read: Callable[[Path], Found]) -> Found:
        """What ``read`` gives for the first folder that has ``name``; every other that has it must agree."""
        having = [folder for folder in self._folders if is_there(folder / name)]
        if set(PurePosixPath(name).parts) <= {".."}:
            having = having[:1]  # the folder itself, or one above it: that is everywhere
        looked_in = " and ".join(repr(str(folder)) for folder in self._folders)
        if not having:
            raise NotFound(
                f"{dotted(key)} names {name!r}, and there is no such file",
                where=self._place(key),
                hint=f"it was looked for in {looked_in}; -C names another folder",
            )
        first = read(having[0])
        for other in having[1:]:
            if not same(other / name, having[0] / name) and _differs(read, other, first):
                raise BadInput(
                    f"{dotted(key)} names {name!r}, which is not the same in {looked_in}",
                    where=self._place(key),
                    hint="choose one of the two folders with -C",
                )
        if having[0] != self._folders[0]:
            self._warn(
                key,
                f"{name!r} is taken from the working directory, since it is not beside the spec",
                hint="move it there, or choose a folder with -C",
            )
        return first

    def _place(self, key: Key) -> str | None:
        return self.spec.origin.place(key) if self.spec.origin else None

    def _warn(self, key: Key, text: str, *, hint: str) -> None:
        place = self._place(key)
        self.warnings.append(Warned(f"{place}: {text}" if place else text, hint))


def _read(name: str, folder: Path) -> bytes:
    return read_regular(folder / name)


def _name(loaded: LoadedSpec) -> str:
    """The name that flytekit gives the image of ``loaded``."""
    return image_name(loaded.spec, spec_tag(loaded.spec, collect(loaded).digests, machine=host_machine()))


def _differs(read: Callable[[Path], Found], folder: Path, found: Found) -> bool:
    try:
        return read(folder) != found
    except TaskImageError:
        return True


def _from_origin(spec: ImageSpec) -> LoadedSpec:
    return LoadedSpec(spec=spec, path=Path(spec.origin.path) if spec.origin else None)


def _md5() -> Hasher:
    return hashlib.md5(usedforsecurity=False)


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data.strip(), usedforsecurity=False).hexdigest()
