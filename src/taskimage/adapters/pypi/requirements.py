"""Requirements as people write them: a spec's ``packages`` and pip's requirements files, read strictly.

What is read is one flat list: includes are followed, index options are taken out (their credentials must
not travel on), and what would need a build or an unpinned source is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from taskimage.adapters.http import redacted
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.errors import BadInput, CannotBuild, InvalidSpec, NotFound, Problem
from taskimage.model.shown import shown
from taskimage.model.spec.installoptions import DEFAULTS, InstallOptions
from taskimage.model.spec.requirementskind import RequirementsKind
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from taskimage.adapters.pypi.target import Target

__all__ = ["Line", "Requirements"]

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTION = re.compile(r"(--[a-z0-9-]+|-[a-zA-Z])(?:\s*=\s*|\s*)(.*)")
_NOT_A_NAME = re.compile(r"[./~]|[a-z0-9+]+:|[^\s\[@;]+\.(?:whl|zip|tar\.gz)$", re.IGNORECASE)

# They choose among files, or ask for checks that are always made: nothing to do.
_NOTHING_TO_DO = {"--only-binary", "--prefer-binary", "--require-hashes", "--trusted-host", "--use-feature"}
_NOT_SERVED = {
    "-e": "an editable project", "--editable": "an editable project", "--no-binary": "a source distribution",
    "-f": "a folder of links", "--find-links": "a folder of links", "--no-index": "packages without an index",
}  # fmt: skip
_WEB = ("https://", "http://")
_HINT_NOT_SERVED = "publish it as a wheel on an index, and name that with pip_extra_index_url"


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement, where it was written, and the sha256 hashes of the files that it allows."""

    where: str
    requirement: Requirement
    hashes: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The normalised name of the package."""
        from packaging.utils import canonicalize_name

        return canonicalize_name(self.requirement.name)

    def applies_to(self, target: Target) -> bool:
        """Whether its marker, if it has one, is true for ``target``."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(target.environment)

    def excludes(self, name: str, sha256: str, target: Target) -> bool:
        """Whether it wants other files of ``name`` for ``target``."""
        return (
            bool(self.hashes) and self.name == name and sha256 not in self.hashes and self.applies_to(target)
        )


@dataclass(slots=True)
class Requirements:
    """All that is wanted, and under which constraints; and the indexes that requirements files name."""

    lines: list[Line] = field(default_factory=list)
    constraints: list[Line] = field(default_factory=list)
    index: str | None = None
    extra_indexes: list[str] = field(default_factory=list)
    prereleases: bool = False
    no_deps: bool = False
    resolution: str | None = None

    @classmethod
    def read(
        cls,
        packages: Sequence[str],
        files: Sequence[RequirementsFile],
        environ: Mapping[str, str],
        options: InstallOptions = DEFAULTS,
    ) -> Requirements:
        """What ``packages`` and the first of ``files`` ask for; the other files are what that one includes.

        Raises InvalidSpec with every line of a file that cannot be read, NotFound for an include that is not
        among ``files``, BadInput for a ``${VARIABLE}`` that is not set, CannotBuild for what is not a name
        on an index.
        """
        reader = _Reader(files, environ, options)
        reader.read("packages", Path(), "\n".join(packages), reader.found.lines)
        if files:
            reader.include(files[0].path, reader.found.lines, where="requirements")
        return reader.found

    @classmethod
    def of_stranger(cls, texts: Iterable[str]) -> Requirements:
        """What code that nobody here wrote asks for: each of ``texts`` a name and versions, from the indexes that are known.

        An option or an address would lead elsewhere, and uv would put variables of this machine into it.
        Raises CannotBuild.
        """
        found = cls()
        for text in texts:
            try:
                requirement = _requirement(text.strip()) if text.strip().isprintable() else None
            except ValueError:
                requirement = None
            if requirement is None or requirement.url is not None:
                raise CannotBuild(
                    f"{shown(text)} is wanted, and only packages of an index are given", hint=_HINT_NOT_SERVED
                )
            found.lines.append(Line("build-system.requires", requirement))
        return found

    @property
    def addresses(self) -> dict[str, str]:
        """Where the wheels are that are wanted by their addresses, by file name."""
        urls = [line.requirement.url for line in (*self.lines, *self.constraints) if line.requirement.url]
        return {unquote(urlsplit(url).path.rpartition("/")[2]): url for url in urls}

    def hashed(self, target: Target) -> frozenset[str]:
        """The normalised names of packages of which only files with certain hashes are wanted for ``target``."""
        return frozenset(
            line.name for line in (*self.lines, *self.constraints) if line.hashes and line.applies_to(target)
        )


class _Reader:
    def __init__(
        self, files: Sequence[RequirementsFile], environ: Mapping[str, str], options: InstallOptions
    ) -> None:
        self.found = Requirements(
            prereleases=options.prereleases,
            no_deps=options.no_deps,
            resolution=options.resolution,
        )
        self._options = options
        self._files = {file.path.resolve(): file for file in files}
        self._environ = environ
        self._open: list[Path] = []

    def include(self, path: Path, into: list[Line], *, where: str) -> None:
        file = self._files.get(path.resolve())
        if file is None:
            raise NotFound(f"{str(path)!r} is included, and was not read", where=where)
        if file.path in self._open:
            return
        if file.kind is RequirementsKind.PYPROJECT:
            self._project(file, into)
            return
        self._open.append(file.path)
        self.read(file.name, file.path.parent, file.data.decode("utf-8-sig"), into)
        self._open.pop()

    def _project(self, file: RequirementsFile, into: list[Line]) -> None:
        from taskimage.adapters.pypi.project import project_requirements

        for where, text in project_requirements(file, self._options):
            try:
                into.append(_wanted(text, frozenset(), where))
            except ValueError as error:
                raise BadInput(str(error), where=where) from error

    def read(self, name: str, folder: Path, text: str, into: list[Line]) -> None:
        problems = []
        for number, line in _logical_lines(text):
            try:
                self._line(folder, f"{name}:{number}", line, into)
            except ValueError as error:
                problems.append(Problem(number, 1, str(error)))
        if problems:
            raise InvalidSpec(name, tuple(problems))

    def _line(self, folder: Path, where: str, line: str, into: list[Line]) -> None:
        if option := _OPTION.fullmatch(line):
            self._option(folder, where, option[1], option[2].strip(), into)
            return
        text = _HASH.sub("", line).strip()
        if _NOT_A_NAME.match(text):
            if not text.startswith(_WEB):
                raise CannotBuild(
                    f"{text!r} is a file or a folder; packages of an index and wheels at an address are served",
                    where=where, hint=_HINT_NOT_SERVED,
                )  # fmt: skip
            text = f"{_name_in(text, where)} @ {text}"
        into.append(_wanted(text, _sha256(_HASH.findall(line), where), where))

    def _option(self, folder: Path, where: str, option: str, value: str, into: list[Line]) -> None:
        if option in {"-r", "--requirement", "-c", "--constraint"}:
            target = self.found.constraints if option in {"-c", "--constraint"} else into
            self.include(folder / value.strip("'\""), target, where=where)
        elif option in {"-i", "--index-url"}:
            self.found.index = expand(value, self._environ, where=where)
        elif option == "--extra-index-url":
            self.found.extra_indexes.append(expand(value, self._environ, where=where))
        elif option == "--pre":
            self.found.prereleases = True
        elif option in _NOT_SERVED:
            raise CannotBuild(
                f"{option} asks for {_NOT_SERVED[option]}, which is not served yet",
                where=where, hint=_HINT_NOT_SERVED,
            )  # fmt: skip
        elif option not in _NOTHING_TO_DO:
            raise ValueError(f"not an option of requirements files: {option!r}")


def expand(text: str, environ: Mapping[str, str], *, where: str) -> str:
    """``text`` with each ``${VARIABLE}`` replaced, as pip does. Raises BadInput for one that is not set."""
    for name in _VARIABLE.findall(text):
        if name not in environ:
            raise BadInput(f"${{{name}}} is not set", where=where, hint=f"set {name} in the environment")
    return _VARIABLE.sub(lambda match: environ[match[1]], text)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number; a backslash at the end joins the next, comments and blanks are gone."""
    start, parts = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start if parts else number
        if line.endswith("\\"):
            parts += line[:-1] + " "
            continue
        whole = _COMMENT.sub("", parts + line).strip()
        parts = ""
        if whole:
            yield start, whole
    if whole := _COMMENT.sub("", parts).strip():
        yield start, whole


def _requirement(text: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(
            f"not a requirement: {text!r}; wanted a name and perhaps versions, such as 'pandas>=2.2,<3'"
        ) from error
    return requirement


def _wanted(text: str, hashes: frozenset[str], where: str) -> Line:
    """The line for one requirement; of an address, the hash that it ends in counts as well."""
    requirement = _requirement(text)
    if requirement.url is None:
        return Line(where, requirement, hashes)
    _name_in(requirement.url, where)
    algorithm, _, digest = urlsplit(requirement.url).fragment.partition("=")
    return Line(where, requirement, hashes | ({digest.lower()} if algorithm == "sha256" else set()))


def _name_in(url: str, where: str) -> str:
    """The name of the wheel at ``url``. Raises CannotBuild for what is no wheel, BadInput for an address with a secret."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    parts = urlsplit(url)
    file = unquote(parts.path.rpartition("/")[2])
    if not url.startswith(_WEB) or not file.endswith(".whl"):
        raise CannotBuild(
            f"{redacted(url)!r} is no address of a wheel; packages of an index and wheels at an address are served",
            where=where, hint=_HINT_NOT_SERVED,
        )  # fmt: skip
    if parts.username or parts.password or _VARIABLE.search(url):
        what = "a variable" if _VARIABLE.search(url) else "a user"
        raise BadInput(
            f"{redacted(url)!r} is written with {what}, which a lock must not have", where=where,
            hint=f"put the user and password for {parts.hostname} into ~/.netrc, or use pip_secret_mounts",
        )  # fmt: skip
    try:
        return parse_wheel_filename(file)[0]
    except InvalidWheelFilename as error:
        raise BadInput(f"{redacted(url)!r} has no name of a wheel: {error}", where=where) from error


def _sha256(hashes: list[str], where: str) -> frozenset[str]:
    allowed = frozenset(
        text.partition(":")[2].lower() for text in hashes if text.lower().startswith("sha256:")
    )
    if hashes and not allowed:
        raise CannotBuild("only sha256 hashes can be compared before anything is fetched", where=where)
    return allowed
