"""The packages of one suite and architecture, kept as an SQLite file that opens in a millisecond.

bookworm's list is 50 MB of text with 63,440 packages, of which an image asks for a hundred. So the file has each
paragraph as it came, by the name of its package, and a paragraph is read when somebody asks for it.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskimage.adapters.debian.deb822 import paragraph
from taskimage.adapters.debian.relations import NAME
from taskimage.adapters.debian.release import AUTOMATIC
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError
from taskimage.model.lock import DebPin

__all__ = ["FORMAT", "Index", "Package", "unpack", "write_index"]

FORMAT = 3
"""Part of an index's name in the store: another number, another layout of its tables."""

_FIELDS = (
    "package", "version", "architecture", "multi-arch", "priority", "pre-depends", "depends", "conflicts",
    "breaks", "provides", "source", "filename", "size", "sha256",
)  # fmt: skip
_PRIORITIES = ("required", "important", "standard", "optional", "extra")
_CHUNK = 1 << 20

# The field, up to the next line that does not continue it.
_NAMED = re.compile(rb"^Package:[ \t]*(\S+)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_PROVIDES = re.compile(rb"^Provides:((?:.*\n[ \t])*.*)", re.MULTILINE | re.IGNORECASE)
_PROVIDED = re.compile(rf"(?:^|,)\s*({NAME})")

_SCHEMA = """
    CREATE TABLE package (name TEXT, paragraph BLOB);
    CREATE TABLE provider (virtual TEXT, name TEXT);
"""
_ACCESS = "CREATE INDEX by_name ON package (name); CREATE INDEX by_virtual ON provider (virtual);"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One binary package: what it says of others, as text, and where it is.

    ``depends`` has Pre-Depends and Depends; a lower ``priority`` is a more important package; ``source`` is
    the name and version of what it was built from. There is no ``pin`` of one that is installed already.
    """

    name: str
    version: str
    pin: DebPin | None
    multi_arch: str
    priority: int
    depends: str
    conflicts: str
    breaks: str
    provides: str
    source: str

    @classmethod
    def read(cls, fields: Mapping[str, str], pin: DebPin | None = None) -> Package:
        """The package of a paragraph; it has its fields by their names in lower case. Raises KeyError."""
        priority = fields.get("priority", "")
        return cls(
            name=fields["package"],
            version=fields["version"],
            pin=pin,
            multi_arch=fields.get("multi-arch", ""),
            priority=_PRIORITIES.index(priority) if priority in _PRIORITIES else len(_PRIORITIES),
            depends=", ".join(filter(None, (fields.get("pre-depends"), fields.get("depends")))),
            conflicts=fields.get("conflicts", ""),
            breaks=fields.get("breaks", ""),
            provides=fields.get("provides", ""),
            source=_source(fields),
        )

    @property
    def suite(self) -> str:
        """Where this version is from; ``now``, as apt has it, when it is installed."""
        return self.pin.suite if self.pin else "now"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def unpack(data: bytes, size: int, *, where: str) -> Iterator[bytes]:
    """The text in ``data`` in pieces; ``where`` ends as the file's name does, which says how it is compressed.

    Raises IntegrityError when it has not exactly ``size`` bytes.
    """
    if where.endswith(".xz"):
        return _ahead(_unpacked_xz(data, size, where))
    if where.endswith(".gz"):
        return _ahead(_unpacked_gzip(data, size, where))
    return iter((data,))


def _unpacked_xz(data: bytes, size: int, where: str) -> Iterator[bytes]:
    import lzma

    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 28)
    left = size
    try:
        while not decompressor.eof:
            chunk = decompressor.decompress(data, _CHUNK)
            data = b""
            left -= len(chunk)
            if left < 0 or (not chunk and decompressor.needs_input):
                break
            yield chunk
    except lzma.LZMAError as error:
        raise IntegrityError("not an xz file", where=where) from error
    if left or not decompressor.eof or decompressor.unused_data:
        raise _wrong_size(size, where)


def _unpacked_gzip(data: bytes, size: int, where: str) -> Iterator[bytes]:
    import gzip
    import io
    import zlib

    left = size
    try:
        with gzip.open(io.BytesIO(data)) as file:
            while left >= 0 and (chunk := file.read(_CHUNK)):
                left -= len(chunk)
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IntegrityError("not a gzip file", where=where) from error
    if left:
        raise _wrong_size(size, where)


def _wrong_size(size: int, where: str) -> IntegrityError:
    return IntegrityError(f"does not unpack to the {size} bytes that are signed for", where=where)


def _ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks``, each made while the one before it is used: decompressing leaves Python free."""
    from concurrent.futures import ThreadPoolExecutor

    source = iter(chunks)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, source, None)
        while (chunk := future.result()) is not None:
            future = pool.submit(next, source, None)
            yield chunk


def write_index(chunks: Iterable[bytes], path: Path, *, where: str) -> None:
    """Write the index of a Packages file, which comes in pieces, to ``path``. Raises IntegrityError, OSError."""
    database = sqlite3.connect(path)
    try:
        # The file is made aside and kept whole or not at all: a journal would guard nothing.
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        for block in _blocks(chunks):
            named = [(_name(text, where), text) for text in block.split(b"\n\n") if text.strip()]
            database.executemany("INSERT INTO package VALUES (?, ?)", named)
            database.executemany("INSERT INTO provider VALUES (?, ?)", _providers(named))
        database.executescript(_ACCESS)
        database.commit()
    except sqlite3.OperationalError as error:
        # What the system said to SQLite comes out in words alone before Python 3.11.
        number = errno.ENOSPC if "is full" in str(error) else errno.EIO
        raise OSError(number, str(error), str(path)) from error
    finally:
        database.close()


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks`` in pieces that end where a paragraph does."""
    rest = b""
    for chunk in chunks:
        whole, gap, rest = (rest + chunk).rpartition(b"\n\n")
        if gap:
            yield whole
    yield rest


def _source(fields: Mapping[str, str]) -> str:
    """Name and version; what the field leaves out is the package's own (policy 5.6.1)."""
    name, _, version = fields.get("source", "").replace("(", " ").rstrip(")").partition(" ")
    return f"{name or fields['package']} {version.strip() or fields['version']}"


def _name(text: bytes, where: str) -> str:
    found = _NAMED.search(text)
    if found is None:
        raise _unreadable(f"no package in {text[:60]!r}", where)
    return found[1].decode("utf-8", "replace")


def _providers(named: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """What a package provides by another name, and its own."""
    for name, text in named:
        if found := _PROVIDES.search(text):
            for virtual in _PROVIDED.findall(found[1].decode("utf-8", "replace")):
                yield virtual, name


def _unreadable(reason: object, where: str) -> IntegrityError:
    return IntegrityError(f"cannot be read as a list of packages: {reason}", where=where)


class Index:
    """The packages of ``suite`` in the file that `write_index` wrote; close it. ``priority`` is its release's."""

    def __init__(self, path: Path, *, archive: str, suite: str, priority: int = AUTOMATIC) -> None:
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        self.archive = archive
        self.suite = suite
        self.priority = priority

    def close(self) -> None:
        """No more questions."""
        self._database.close()

    def find(self, name: str) -> tuple[Package, ...]:
        """Every version of the package ``name``. Raises IntegrityError."""
        rows = self._database.execute("SELECT paragraph FROM package WHERE name = ?", (name,))
        try:
            return tuple(self._package(paragraph(text.decode(), _FIELDS)) for (text,) in rows)
        except (KeyError, ValueError, BadInput) as error:
            raise _unreadable(error, f"{self.suite}, package {name}") from error

    def providers(self, virtual: str) -> tuple[str, ...]:
        """The names of the packages that provide ``virtual``."""
        rows = self._database.execute("SELECT DISTINCT name FROM provider WHERE virtual = ?", (virtual,))
        return tuple(name for (name,) in rows)

    def names(self) -> list[str]:
        """The names of all packages."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT name FROM package")]

    def _package(self, fields: Mapping[str, str]) -> Package:
        pin = DebPin(
            package=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            archive=self.archive,
            suite=self.suite,
            path=fields["filename"].removeprefix("./"),
            size=int(fields["size"]),
            digest=Digest.parse(f"sha256:{fields['sha256']}"),
        )
        return Package.read(fields, pin)
