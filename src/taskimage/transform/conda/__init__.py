"""Conda packages: the files of one as they are linked into an environment, without running anything of it.

What the ecosystem's own tools do is followed: files that were built for a placeholder get the real prefix in
its place, packages for any Python get their modules and commands, and ``conda-meta`` gets its record.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import partial
from typing import BinaryIO

from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.model.lock import CondaPin
from taskimage.model.value import dataclass
from taskimage.transform.conda.archive import CondaArchive, read_archive
from taskimage.transform.conda.metadata import PathFacts, about, paths
from taskimage.transform.conda.prefix import relocated
from taskimage.transform.conda.record import record_entry
from taskimage.transform.deb.tar import TarMember
from taskimage.transform.entry import Body, Entry, StreamBody
from taskimage.transform.spool import open_slice, reader
from taskimage.transform.tree import checked_tree

__all__ = ["FORMAT", "CondaPackage", "read_conda", "site_packages"]

FORMAT = "1"
"""Moves whenever the same package and prefix would give other entries: part of the key of every layer."""

# A real file that names its prefix and is read whole: the largest libraries are near 1 GB.
_LARGEST = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """A package as it is linked: ``entries`` are sorted by path, ``depends`` are match specifications.

    ``scripts`` are the paths of what conda would run: after linking, or whenever an environment is activated.
    """

    name: str
    depends: tuple[str, ...]
    scripts: tuple[str, ...]
    entries: tuple[Entry, ...] = field(repr=False)


def site_packages(python: str) -> str:
    """Where the feature version ``python`` has its packages, relative to the prefix."""
    return f"lib/python{python}/site-packages"


def read_conda(
    opener: Callable[[], BinaryIO], spool: BinaryIO, pin: CondaPin, *, prefix: str = "opt/conda", python: str
) -> CondaPackage:
    """The package of ``pin``, which ``opener`` opens, as linked into the environment at ``prefix`` of an image.

    Its own digest is the lock's affair and checked before. Bytecode is left out: it would be compiled anew, as
    it states the times of its sources.

    Args:
        opener: Gives a new stream of the whole archive, a real file, each time.
        spool: A seekable file to whose end the archive is unpacked, and which the caller keeps open while
            entries are used; their bodies can be opened from any thread.
        pin: What the archive is: errors name its file.
        prefix: The environment, relative to the root of the image.
        python: The feature version of the environment's Python, such as ``3.11``.

    Raises:
        IntegrityError: The archive is damaged, contradicts itself, or reaches out of the prefix.
        CannotBuild: It is of a format that is not known, or needs a longer prefix than it was built with.
    """
    where = pin.file
    archive = read_archive(opener, spool, where=where)
    facts = about(archive, where=where)
    if (facts.name, facts.version, facts.build) != (pin.name, pin.version, pin.build):
        raise IntegrityError(
            f"is {facts.name!r} {facts.version} {facts.build}, "
            f"locked as {pin.name!r} {pin.version} {pin.build}",
            where=where,
        )
    linking = _Linking(archive, spool, prefix, python, facts.is_python, where)
    entries = [linking.entry(path) for path in paths(archive, where=where) if not _is_bytecode(path.path)]
    entries += _commands(facts.entry_points, prefix, python, where)
    scripts = tuple(entry.path for entry in entries if _is_script(entry.path[len(prefix) + 1 :], pin.name))
    entries.append(record_entry(facts, pin, entries, prefix=prefix))
    return CondaPackage(
        name=facts.name, depends=facts.depends, scripts=scripts, entries=checked_tree(entries, where=where)
    )


def _is_bytecode(path: str) -> bool:
    return path.endswith(".pyc") and "__pycache__" in path.split("/")


def _is_script(path: str, name: str) -> bool:
    return path == f"bin/.{name}-post-link.sh" or posixpath.dirname(path) == "etc/conda/activate.d"


@dataclass(frozen=True, slots=True)
class _Linking:
    """Where files of one archive go, and what they hold there."""

    archive: CondaArchive
    spool: BinaryIO
    prefix: str
    python: str
    is_python: bool
    where: str

    def entry(self, fact: PathFacts) -> Entry:
        member = self.archive.member(fact.path, where=self.where)
        path = self._place(fact.path)
        if member.kind == "dir":
            return Entry.directory(path)
        if member.kind == "symlink":
            return self._symlink(path, member)
        if member.kind == "hardlink":
            member = self.archive.member(member.target, where=self.where)
        if member.body is None:
            raise IntegrityError(
                f"has a hard link {fact.path!r:.200} to what is no file of it", where=self.where
            )
        body: Body = self._relocated(member.body, fact) if fact.placeholder else member.body
        return Entry.file(path, body, 0o755 if member.mode & 0o111 else 0o644)

    def _place(self, path: str) -> str:
        """Packages for any Python have its folders by names of their own (conda, "Noarch Python packages")."""
        if self.is_python:
            top, slash, inside = path.partition("/")
            folders = {"site-packages": site_packages(self.python), "python-scripts": "bin"}
            path = f"{folders.get(top, top)}{slash}{inside}"
        return f"{self.prefix}/{path}"

    def _symlink(self, path: str, member: TarMember) -> Entry:
        # The link keeps its text; what is checked is where it leads.
        target = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), member.target))
        if not f"{target}/".startswith(f"/{self.prefix}/"):
            raise IntegrityError(
                f"link {member.name!r:.200} leads to {member.target!r:.200}, out of the environment",
                where=self.where,
            )
        return Entry.symlink(path, member.target)

    def _relocated(self, body: StreamBody, fact: PathFacts) -> StreamBody:
        if body.size > _LARGEST:
            raise IntegrityError(
                f"member {fact.path!r:.200} names its prefix and has {body.size} bytes", where=self.where
            )
        with body.open() as stream:
            data = stream.read()
        try:
            data = relocated(data, fact.placeholder, f"/{self.prefix}", binary=fact.is_binary)
        except CannotBuild as error:
            error.where = self.where
            raise
        start = self.spool.seek(0, 2)
        self.spool.write(data)
        self.spool.flush()
        return StreamBody(partial(open_slice, reader(self.spool), start, len(data)), len(data))


def _commands(points: tuple[str, ...], prefix: str, python: str, where: str) -> Iterator[Entry]:
    """The programs of a package for any Python, whose entry points are ``NAME = MODULE:FUNCTION``."""
    # Before any of its modules: it imports them all, and threads that meet halfway get half of one.
    import installer  # noqa: F401
    from installer.scripts import Script

    for point in points:
        name, equals, target = (part.strip() for part in point.partition("="))
        module, colon, function = (part.strip() for part in target.partition(":"))
        dotted = f"{module}.{function}".split(".")
        if not (equals and colon and name) or "/" in name or not all(map(str.isidentifier, dotted)):
            raise IntegrityError(f"entry point {point!r:.200} is none", where=where)
        _, text = Script(name, module, function, "console").generate(f"/{prefix}/bin/python{python}", "posix")
        yield Entry.file(f"{prefix}/bin/{name}", text, 0o755)
