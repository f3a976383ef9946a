"""Runs the `uv` program, which resolves: found beside its Python package, never on PATH, and told everything.

uv reads no configuration file, and of its variables only those in `HONOURED`: a lock must not depend on what
a machine happens to have set. Credentials go through the environment, never through arguments.
"""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters.crew import Crew
from taskimage.adapters.http.trust import ca_file
from taskimage.adapters.pypi.chosen import make_ready, read_pylock
from taskimage.adapters.pypi.indexes import Index, scrubbed
from taskimage.adapters.pypi.installed import Installed
from taskimage.adapters.pypi.requirements import Requirements
from taskimage.adapters.pypi.sdists import Sdists
from taskimage.adapters.pypi.target import Target
from taskimage.adapters.uvprogram import uv_program
from taskimage.model.errors import CannotBuild
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = ["HONOURED", "Resolved", "Uv", "UvFailed"]

# Apart from these, the index variables (see `indexes`) and all that is not uv's own.
HONOURED = (
    "UV_CACHE_DIR", "UV_NO_CACHE", "UV_CONCURRENT_DOWNLOADS", "UV_EXCLUDE_NEWER", "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES", "UV_HTTP_TIMEOUT", "UV_INDEX_STRATEGY", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS",
)  # fmt: skip

_MINUTE = "max-age=60"
_FULL = re.compile(rf"\(os error ({errno.ENOSPC}|{errno.EDQUOT})\)")


class UvFailed(Exception):
    """uv ended with an error: ``text`` is what it said, without secrets."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Conflict(UvFailed):
    """What is wanted does not fit together."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was ``found``, and what it would be if everything were the ``newest`` whatever a base has."""

    found: Sequence[Package]
    newest: Sequence[Package]


class Uv:
    """The program, with its environment, its cache, and an empty ``folder`` to work in.

    A disk that is full, where its cache is, is an OSError as with any other file.
    With ``hold``, what an index says is not asked for again within a minute, by this or another run. uv takes that
    for each answer when it comes, and from a configuration file alone. ``meanwhile`` is called while it resolves.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        cache: Path,
        folder: Path,
        *,
        offline: bool = False,
        hold: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        self._environ = environ
        self._cache = cache
        self._folder = folder
        self._offline = offline
        self._hold = hold
        self._meanwhile = meanwhile
        self._stubs = folder

    def compile(  # noqa: PLR0917 - all that is known of what is wanted
        self,
        target: Target,
        wanted: Requirements,
        indexes: Sequence[Index],
        preferred: Mapping[str, str],
        base: Installed,
        sdists: Sdists,
    ) -> Resolved:
        """What ``wanted`` resolves to, in versions of ``preferred`` and of ``base`` as far as they fit.

        Where the newest of all overrides something of the base, that holds as long as other versions of the rest
        go with it. What of ``sdists`` it takes is built. Raises UvFailed, CannotBuild.
        """
        sdists.offer(indexes, preferred)
        while True:
            # A folder of its own each time: uv remembers what it has read.
            self._stubs = Path(tempfile.mkdtemp(dir=self._folder))
            for name, stub in (*sdists.stubs(), *base.stubs(target)):
                (self._stubs / name).write_bytes(stub)
            resolved = self._resolved(target, wanted, indexes, preferred, base)
            absent = [one for one in resolved.found if not base.find(one.name, one.version)]
            if not sdists.take(absent, (*wanted.lines, *wanted.constraints)):
                return resolved

    def _resolved(
        self,
        target: Target,
        wanted: Requirements,
        indexes: Sequence[Index],
        preferred: Mapping[str, str],
        base: Installed,
    ) -> Resolved:
        versions = {**base.preferred, **preferred}
        newest = self._compile(target, wanted, indexes, versions, ())
        held = base.held if any(base.differs(package.name, package.version) for package in newest) else []
        while held:
            try:
                return Resolved(self._compile(target, wanted, indexes, versions, held), newest)
            except _Conflict as conflict:
                held = base.yielding(held, conflict.text)
        return Resolved(newest, newest)

    def _compile(
        self,
        target: Target,
        wanted: Requirements,
        indexes: Sequence[Index],
        preferred: Mapping[str, str],
        held: Iterable[str],
    ) -> Sequence[Package]:
        self._write("requirements.in", (str(line.requirement) for line in wanted.lines))
        self._write("constraints.txt", (*(str(line.requirement) for line in wanted.constraints), *held))
        if preferred:
            self._write("pylock.toml", _preferences(preferred))
        self._run(
            "--format", "pylock.toml", "--output-file", "pylock.toml", "--constraints", "constraints.txt",
            "--prerelease", "allow" if wanted.prereleases else "if-necessary-or-explicit",
            *(["--no-deps"] if wanted.no_deps else []),
            *(["--resolution", wanted.resolution] if wanted.resolution else []),
            *(["--find-links", str(self._stubs)] if any(self._stubs.iterdir()) else []),
            *_only_wheels(target), "requirements.in", indexes=indexes, meanwhile=self._while_resolving,
        )  # fmt: skip
        return read_pylock((self._folder / "pylock.toml").read_text(encoding="utf-8"))

    def _while_resolving(self) -> None:
        if self._meanwhile is not None:
            self._meanwhile()
        make_ready()

    def index_of(
        self, target: Target, versions: Mapping[str, str], indexes: Sequence[Index]
    ) -> Mapping[str, Index]:
        """Which index each package comes from, which ``pylock.toml`` does not tell. Raises UvFailed."""
        if len(indexes) == 1:
            return dict.fromkeys(versions, indexes[0])
        self._write("resolved.in", (f"{name}=={version}" for name, version in versions.items()))
        said = self._run(
            "--no-deps", "--emit-index-annotation", "--prerelease", "allow", *_only_wheels(target), "resolved.in",
            indexes=indexes,
        )  # fmt: skip
        by_url = {(index.url or "").rstrip("/"): index for index in indexes}
        found: dict[str, Index] = {}
        name = ""
        for line in said.splitlines():
            if pinned := re.match(r"([A-Za-z0-9._-]+)==", line):
                name = pinned[1]
            elif (source := re.match(r"\s+# from (\S+)", line)) and (at := by_url.get(source[1].rstrip("/"))):
                found[name] = at
        return {name: found.get(name, indexes[-1]) for name in versions}

    def default_index(self) -> str:
        """The address of uv's own default index, as it writes it into its output. Raises CannotBuild."""
        hint = "set UV_DEFAULT_INDEX to the address of your package index"
        self._write("empty.in", ())
        try:
            said = self._run("--emit-index-url", "empty.in")
        except UvFailed as error:
            raise CannotBuild(f"uv does not run: {error.text.strip()}", hint=hint) from error
        if match := re.search(r"^--(?:default-index|index-url)[ =](\S+)", said, re.MULTILINE):
            return match[1]
        raise CannotBuild("uv does not tell its default index", hint=hint)

    def _write(self, name: str, lines: Iterable[str]) -> None:
        (self._folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _run(
        self, *arguments: str, indexes: Sequence[Index] = (), meanwhile: Callable[[], object] | None = None
    ) -> str:
        command = [
            uv_program(), "pip", "compile", "--quiet", *self._configuration(indexes), "--no-progress",
            "--no-header", "--color", "never", "--python", sys.executable, "--no-python-downloads",
            *(["--offline"] if self._offline else []), *arguments,
        ]  # fmt: skip
        code, output, complaint = _done(command, self._folder, self._variables(indexes), meanwhile)
        if code:
            said = scrubbed(complaint.decode(errors="replace"), indexes)
            if (full := _FULL.search(said)) and "UV_CACHE_DIR" not in self._environ:
                raise OSError(int(full[1]), said, str(self._cache))
            raise _Conflict(said) if "No solution found" in said else UvFailed(said)
        return output.decode()

    def _configuration(self, indexes: Sequence[Index]) -> tuple[str, ...]:
        if not (self._hold and indexes):
            return ("--no-config",)
        self._write("uv.toml", _held(indexes))
        return ("--config-file", "uv.toml")

    def _variables(self, indexes: Sequence[Index]) -> dict[str, str]:
        env = {
            name: value
            for name, value in self._environ.items()
            if name in HONOURED or not name.startswith(("UV_", "PIP_"))
        }
        env.setdefault("UV_CACHE_DIR", str(self._cache))
        if not {"UV_NATIVE_TLS", "UV_SYSTEM_CERTS"} & env.keys() and (authorities := ca_file(env)):
            # uv brings authorities of its own; it is to trust the ones that our own requests trust.
            env["SSL_CERT_DIR" if Path(authorities).is_dir() else "SSL_CERT_FILE"] = authorities
        names = [] if self._hold else [f"i{number}={index.url}" for number, index in enumerate(indexes)]
        for number, index in enumerate(indexes):
            if index.user or index.password:
                env[f"UV_INDEX_I{number}_USERNAME"] = index.user
                env[f"UV_INDEX_I{number}_PASSWORD"] = index.password
        if names:
            env["UV_DEFAULT_INDEX"] = names.pop()
        if names:
            env["UV_INDEX"] = " ".join(names)
        return env


def _done(
    command: Sequence[str], folder: Path, env: Mapping[str, str], meanwhile: Callable[[], object] | None
) -> tuple[int, bytes, bytes]:
    """The exit code of a program, and what it wrote to its two outputs; it ends with the crew, and on Ctrl-C."""
    crew, pipe = Crew.current(), subprocess.PIPE
    with (
        subprocess.Popen(command, cwd=folder, env=env, stdout=pipe, stderr=pipe) as process,
        crew.watching(process.kill),
    ):
        try:
            if meanwhile is not None:
                meanwhile()
            output, complaint = process.communicate()
        except BaseException:
            process.kill()
            raise
    crew.check()
    return process.returncode, output, complaint


def _only_wheels(target: Target) -> tuple[str, ...]:
    return (
        "--only-binary", ":all:", "--python-version", target.python, "--python-platform", target.uv_platform,
    )  # fmt: skip


def _held(indexes: Sequence[Index]) -> Iterator[str]:
    """The ``indexes``, of which the last is the default, as uv's configuration has them."""
    for number, index in enumerate(indexes):
        yield f'[[index]]\nname = "i{number}"\nurl = {json.dumps(index.url)}'
        yield f'cache-control = {{ api = "{_MINUTE}", files = "{_MINUTE}" }}'
    yield "default = true"


def _preferences(versions: Mapping[str, str]) -> Iterator[str]:
    yield 'lock-version = "1.0"\ncreated-by = "taskimage"'
    for name, version in versions.items():
        yield f'[[packages]]\nname = "{name}"\nversion = "{version}"'
