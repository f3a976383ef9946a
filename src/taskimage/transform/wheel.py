"""Wheels: the files of one as they are installed into the image's venv (PyPA, binary distribution format).

The meaning is that of the `installer` project, and its pieces do the parsing and writing; its
``WheelDestination`` does not fit, because it takes streams of uncompressed bytes. Here a file that is installed
as it is stays deflated, and is not even read: its line of RECORD comes from the wheel's own RECORD.
"""

from __future__ import annotations

import hashlib
import posixpath
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.entry import Body, BytesBody, Deflated, Entry
from taskimage.transform.tree import checked_tree
from taskimage.transform.wheelcontents import WheelContents, WheelName
from taskimage.transform.zipmembers import read_members

if TYPE_CHECKING:
    from installer.records import Hash
    from installer.utils import Scheme

__all__ = ["Wheel", "read_wheel"]

# What whoever installs writes, whatever the wheel brings (recording installed projects; PEP 376, 610).
_INSTALLED = ("INSTALLER", "REQUESTED", "direct_url.json")
_STRONG = ("sha256", "sha384", "sha512")
_SHEBANG = b"#!python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """An installed wheel: ``name`` is normalised, ``tags`` are those of its file name, ``entries`` are sorted."""

    name: str
    version: str
    tags: frozenset[str]
    requires_python: str
    entries: tuple[Entry, ...]


def read_wheel(
    opener: Callable[[], BinaryIO], *, prefix: str = "opt/venv", python: str = "3.11", where: str
) -> Wheel:
    """The wheel that ``opener`` opens, as installed into the venv at ``prefix`` of an image.

    The wheel's own digest is the lock's affair and checked before. RECORD must name every file, and only files
    that are there; its digests are not compared once more, as that would cost as much as all the rest.

    Args:
        opener: Gives a new stream of the whole wheel file each time, for as long as the entries are used.
        prefix: The venv, relative to the root of the image.
        python: The feature version of its interpreter, such as ``3.11``.
        where: The wheel's file name, which its metadata must agree with; errors are about it.

    Raises:
        IntegrityError: The wheel is damaged, contradicts itself, or reaches out of the venv; names the member.
        CannotBuild: It needs a newer installer (Wheel-Version 2), or is encrypted.
    """
    # Before any of its modules: it imports them all, and threads that meet halfway get half of one.
    import installer  # noqa: F401

    name = WheelName.parse(where)
    contents = WheelContents(where, name, read_members(opener, where=where))
    layout = _Layout(prefix, python, name.distribution)
    files = [*_entry_points(contents, layout), *_members(contents, layout), _installer(contents)]
    files.append(_new_record(contents, layout, files))
    return Wheel(
        name=name.name,
        version=str(name.version),
        tags=name.tags,
        requires_python=contents.metadata.get("Requires-Python", ""),
        entries=checked_tree((layout.entry(file) for file in files), where=where),
    )


# -- where its files go --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the schemes of a wheel are in a venv (sysconfig's ``venv`` scheme; headers as pip puts them)."""

    prefix: str
    python: str
    distribution: str

    @property
    def interpreter(self) -> str:
        return f"/{self.prefix}/bin/python"

    def folder(self, scheme: str) -> str:
        """Relative to the prefix, ``""`` for the prefix itself."""
        match scheme:
            case "purelib" | "platlib":
                return f"lib/python{self.python}/site-packages"
            case "scripts":
                return "bin"
            case "headers":
                return f"include/site/python{self.python}/{self.distribution}"
            case _:
                return ""

    def entry(self, file: _File) -> Entry:
        return Entry.file(
            posixpath.join(self.prefix, self.folder(file.scheme), file.path), file.body, file.mode
        )


@dataclass(frozen=True, slots=True)
class _File:
    """A file to install: below which scheme, its bytes, and their digest if RECORD is to have one."""

    scheme: Scheme
    path: str
    body: Body
    mode: int = 0o644
    hash: Hash | None = None


def _entry_points(contents: WheelContents, layout: _Layout) -> Iterator[_File]:
    from configparser import Error

    from installer.scripts import Script
    from installer.utils import parse_entrypoints

    if f"{contents.dist_info}/entry_points.txt" not in contents.members:
        return
    try:
        points = list(parse_entrypoints(contents.text("entry_points.txt")))
    except (Error, AssertionError, AttributeError) as error:  # the parser asserts what it expects
        raise IntegrityError(
            f"has entry points that cannot be read: {error}", where=contents.where
        ) from error
    for name, module, attr, section in points:
        if "/" in name or "\0" in name or name in (".", ".."):
            raise IntegrityError(
                f"entry point {name!r:.200} is not the name of a command", where=contents.where
            )
        _, text = Script(name, module, attr, section).generate(layout.interpreter, "posix")
        yield _made("scripts", name, text, 0o755)


def _members(contents: WheelContents, layout: _Layout) -> Iterator[_File]:
    replaced = {f"{contents.dist_info}/{name}" for name in ("RECORD", *_INSTALLED)}
    for path, member in contents.members.items():
        # Bytecode is compiled from the sources: nobody can see what a wheel's own would do.
        if path in replaced or "__pycache__" in path.split("/")[:-1]:
            continue
        scheme, inside = _scheme(contents, path)
        mode = 0o755 if member.executable or scheme == "scripts" else 0o644
        with contents.reading(path):
            if scheme == "scripts" and _head(member.body, len(_SHEBANG)) == _SHEBANG:
                file = _made(scheme, inside, _with_shebang(member.body, layout.interpreter), mode)
            else:
                file = _File(scheme, inside, member.body, mode, _hash(contents, path, member.body))
        yield file


def _scheme(contents: WheelContents, path: str) -> tuple[Scheme, str]:
    from installer.utils import SCHEME_NAMES, Scheme

    folder, _, rest = path.partition("/")
    if not contents.data or folder != contents.data:
        return Scheme("purelib"), path
    scheme, _, inside = rest.partition("/")
    if scheme not in SCHEME_NAMES or not inside:
        raise IntegrityError(f"member {path!r:.200} belongs to no scheme of wheels", where=contents.where)
    return Scheme(scheme), inside


def _installer(contents: WheelContents) -> _File:
    return _made("purelib", f"{contents.dist_info}/INSTALLER", b"taskimage\n")


def _new_record(contents: WheelContents, layout: _Layout, files: Sequence[_File]) -> _File:
    from installer.records import RecordEntry
    from installer.utils import Scheme, construct_record_file

    path = f"{contents.dist_info}/RECORD"
    rows = [(file.scheme, RecordEntry(file.path, file.hash, file.body.size)) for file in files]
    rows.append((Scheme("purelib"), RecordEntry(path, None, None)))
    # RECORD has paths relative to the folder of the .dist-info.
    root = layout.folder("purelib")
    prefixes = {
        scheme: posixpath.relpath("/" + layout.folder(scheme), "/" + root)
        for scheme in {file.scheme for file in files}
    }

    def prefix(scheme: Scheme) -> str | None:
        return None if prefixes[scheme] == "." else prefixes[scheme] + "/"

    with construct_record_file(rows, prefix) as stream:
        return _File(Scheme("purelib"), path, BytesBody(stream.read()))


# -- bytes ---------------------------------------------------------------------------------------------


def _made(scheme: str, path: str, data: bytes, mode: int = 0o644) -> _File:
    from installer.utils import Scheme

    body = BytesBody(data)
    return _File(Scheme(scheme), path, body, mode, _digest(body))


def _hash(contents: WheelContents, path: str, body: Body) -> Hash | None:
    row = contents.record.get(path)
    if row is not None and row.hash_ is not None and row.hash_.name in _STRONG:
        return row.hash_
    return _digest(body)


def _digest(body: Body) -> Hash:
    from installer.records import Hash

    running = hashlib.sha256()
    with body.open() as stream:
        while chunk := stream.read(1 << 20):
            running.update(chunk)
    return Hash("sha256", urlsafe_b64encode(running.digest()).decode().rstrip("="))


def _head(body: Body, size: int) -> bytes:
    """The first bytes, without inflating all of what may be a large program."""
    if isinstance(body, Deflated):
        with body.open_deflated() as stream:
            return zlib.decompressobj(-15).decompress(stream.read(4096), size)
    with body.open() as stream:
        return stream.read(size)


def _with_shebang(body: Body, interpreter: str) -> bytes:
    from installer.utils import fix_shebang

    with body.open() as stream, fix_shebang(stream, interpreter) as fixed:
        return fixed.read()
