"""The packages of one suite and architecture, kept as a small SQLite file that opens in a millisecond.

bookworm's list is 50 MB of text with 63,440 packages: it is read once, and asked by name ever after.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskimage.adapters.debian.deb822 import paragraph
from taskimage.adapters.debian.relations import parse_relations
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.lock import DebPin

__all__ = ["FORMAT", "Index", "Package", "unpack", "write_index"]

FORMAT = 1
"""Part of an index's name in the store: another number, another layout of its tables."""

_FIELDS = (
    "package", "version", "architecture", "multi-arch", "priority", "pre-depends", "depends", "conflicts",
    "breaks", "provides", "filename", "size", "sha256",
)  # fmt: skip
_PRIORITIES = ("required", "important", "standard", "optional", "extra")
_CHUNK = 1 << 20

_SCHEMA = """
    CREATE TABLE package (
        name TEXT, version TEXT, architecture TEXT, multi_arch TEXT, priority INTEGER,
        depends TEXT, conflicts TEXT, breaks TEXT, provides TEXT, path TEXT, size INTEGER, sha256 TEXT
    );
    CREATE TABLE provider (virtual TEXT, name TEXT);
"""
_ACCESS = "CREATE INDEX by_name ON package (name); CREATE INDEX by_virtual ON provider (virtual);"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One binary package: what is pinned of it, and what it says of others, as text.

    ``depends`` has Pre-Depends and Depends; a lower ``priority`` is a more important package.
    """

    pin: DebPin
    multi_arch: str
    priority: int
    depends: str
    conflicts: str
    breaks: str
    provides: str

    @property
    def name(self) -> str:
        return self.pin.package

    @property
    def version(self) -> str:
        return self.pin.version

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def unpack(data: bytes, size: int, *, where: str) -> Iterator[bytes]:
    """The text in the xz file ``data`` in pieces; IntegrityError when it has not exactly ``size`` bytes."""
    return _ahead(_unpacked(data, size, where))


def _unpacked(data: bytes, size: int, where: str) -> Iterator[bytes]:
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
        raise IntegrityError(f"does not unpack to the {size} bytes that are signed for", where=where)


def _ahead(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks``, each made while the one before it is used: decompressing leaves Python free."""
    from concurrent.futures import ThreadPoolExecutor

    source = iter(chunks)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, source, None)
        while (chunk := future.result()) is not None:
            future = pool.submit(next, source, None)
            yield chunk


def write_index(chunks: Iterable[bytes], architecture: str, path: Path, *, where: str) -> None:
    """Write the index of a Packages file, which comes in pieces, to ``path``. Raises IntegrityError, OSError."""
    database = sqlite3.connect(path)
    try:
        # The file is made aside and kept whole or not at all: a journal would guard nothing.
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        for block in _blocks(chunks):
            rows = [paragraph(text, _FIELDS) for text in block.split("\n\n") if text.strip()]
            database.executemany(
                "INSERT INTO package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, rows)
            )
            database.executemany("INSERT INTO provider VALUES (?, ?)", _providers(rows, architecture))
        database.executescript(_ACCESS)
        database.commit()
    except (KeyError, ValueError) as error:
        raise IntegrityError(f"cannot be read as a list of packages: {error}", where=where) from error
    except sqlite3.OperationalError as error:
        # What the system said to SQLite comes out in words alone before Python 3.11.
        number = errno.ENOSPC if "is full" in str(error) else errno.EIO
        raise OSError(number, str(error), str(path)) from error
    finally:
        database.close()


def _blocks(chunks: Iterable[bytes]) -> Iterator[str]:
    """The text of ``chunks`` in pieces that end where a paragraph does."""
    rest = b""
    for chunk in chunks:
        whole, gap, rest = (rest + chunk).rpartition(b"\n\n")
        if gap:
            yield whole.decode()
    yield rest.decode()


def _row(fields: Mapping[str, str]) -> tuple[str | int, ...]:
    priority = fields.get("priority", "")
    return (
        fields["package"],
        fields["version"],
        fields["architecture"],
        fields.get("multi-arch", ""),
        _PRIORITIES.index(priority) if priority in _PRIORITIES else len(_PRIORITIES),
        ", ".join(filter(None, (fields.get("pre-depends"), fields.get("depends")))),
        fields.get("conflicts", ""),
        fields.get("breaks", ""),
        fields.get("provides", ""),
        fields["filename"],
        int(fields["size"]),
        fields["sha256"],
    )


def _providers(rows: Iterable[Mapping[str, str]], architecture: str) -> Iterator[tuple[str, str]]:
    for fields in rows:
        if "provides" not in fields:
            continue
        for clause in parse_relations(fields["provides"], architecture):
            for relation in clause:
                yield relation.name, fields["package"]


class Index:
    """The packages of ``suite`` in the file that `write_index` wrote; close it, or use it in a ``with``."""

    def __init__(self, path: Path, *, archive: str, suite: str) -> None:
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        self._database.row_factory = sqlite3.Row
        self.archive = archive
        self.suite = suite

    def close(self) -> None:
        """No more questions."""
        self._database.close()

    def find(self, name: str) -> tuple[Package, ...]:
        """Every version of the package ``name``."""
        rows = self._database.execute("SELECT * FROM package WHERE name = ?", (name,))
        return tuple(self._package(row) for row in rows)

    def providers(self, virtual: str) -> tuple[str, ...]:
        """The names of the packages that provide ``virtual``."""
        rows = self._database.execute("SELECT DISTINCT name FROM provider WHERE virtual = ?", (virtual,))
        return tuple(name for (name,) in rows)

    def names(self) -> list[str]:
        """The names of all packages."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT name FROM package")]

    def _package(self, row: sqlite3.Row) -> Package:
        pin = DebPin(
            package=row["name"],
            version=row["version"],
            architecture=row["architecture"],
            archive=self.archive,
            suite=self.suite,
            path=row["path"],
            size=row["size"],
            digest=Digest.parse(f"sha256:{row['sha256']}"),
        )
        relations = {name: row[name] for name in ("depends", "conflicts", "breaks", "provides")}
        return Package(pin=pin, multi_arch=row["multi_arch"], priority=row["priority"], **relations)
