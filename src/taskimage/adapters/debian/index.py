"""The packages of one suite and architecture, kept as a file that opens in an instant.

bookworm's list is 50 MB of text with 63,440 packages, of which an image asks for a hundred. So the file is that text
as it came, and a paragraph of it is read when somebody asks for it. What says where follows the text: two tables of
lines in the order of their bytes, so that one is found by halving, and the places where the tables begin.

    python3.11 0038291604           a package, and where in the text one of its paragraphs begins
    awk mawk                        a virtual package, and one that provides it
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from taskimage.adapters.debian.deb822 import paragraph
from taskimage.adapters.debian.relations import NAME
from taskimage.adapters.debian.release import AUTOMATIC
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError
from taskimage.model.lock import DebPin
from taskimage.model.value import dataclass

__all__ = ["FORMAT", "Index", "Package", "write_index"]

FORMAT = 4
"""Part of an index's name in the store: another number, another layout of the file."""

_FIELDS = (
    "package", "version", "architecture", "multi-arch", "priority", "pre-depends", "depends", "conflicts",
    "breaks", "provides", "source", "filename", "size", "sha256",
)  # fmt: skip
_PRIORITIES = ("required", "important", "standard", "optional", "extra")

# Each field up to the next line that does not continue it. The names are in any case (policy 5.1); spelt out like this
# they are found several times as fast as with a flag, since each match has to begin with a line's end.
_NAMED = re.compile(rb"\n[Pp][Aa][Cc][Kk][Aa][Gg][Ee]:[ \t]*(\S+)[ \t\r]*(?:\n|\Z)")
_PROVIDES = re.compile(rb"\n[Pp][Rr][Oo][Vv][Ii][Dd][Ee][Ss]:((?:.*\n[ \t])*.*)")
_PROVIDED = re.compile(rf"(?:^|,)\s*({NAME})".encode())

_END = b"\n\n"
_TABLES = struct.Struct(">QQ")


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


def write_index(chunks: Iterable[bytes], path: Path, *, where: str) -> None:
    """Write the index of a Packages file, which comes in pieces, to ``path``. Raises IntegrityError, OSError."""
    packages: list[bytes] = []
    provided: set[bytes] = set()
    with path.open("wb") as file:
        for start, text in _paragraphs(_written(chunks, file)):
            name = _name(text, where)
            packages.append(b"%b %010d" % (name, start))
            if found := _PROVIDES.search(text):
                provided.update(b"%b %b" % (virtual, name) for virtual in _PROVIDED.findall(found[1]))
        tables = []
        for table in (packages, provided):
            tables.append(file.tell())
            file.writelines(b"%b\n" % line for line in sorted(table))
        file.write(_TABLES.pack(*tables))


def _written(chunks: Iterable[bytes], file: BinaryIO) -> Iterator[bytes]:
    """``chunks``, each once it is in ``file``."""
    for chunk in chunks:
        file.write(chunk)
        yield chunk


def _paragraphs(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The paragraphs of a text that comes in pieces, each after a line's end; and where each begins."""
    start, rest = 0, b""
    for chunk in chain(chunks, (_END,)):
        *whole, rest = (rest + chunk).split(_END)
        for text in whole:
            if text.strip():
                yield start, b"\n" + text
            start += len(text) + len(_END)


def _source(fields: Mapping[str, str]) -> str:
    """Name and version; what the field leaves out is the package's own (policy 5.6.1)."""
    name, _, version = fields.get("source", "").replace("(", " ").rstrip(")").partition(" ")
    return f"{name or fields['package']} {version.strip() or fields['version']}"


def _name(text: bytes, where: str) -> bytes:
    found = _NAMED.search(text)
    if found is None:
        raise _unreadable(f"no package in {text[1:61]!r}", where)
    return found[1]


def _unreadable(reason: object, where: str) -> IntegrityError:
    return IntegrityError(f"cannot be read as a list of packages: {reason}", where=where)


class Index:
    """The packages of ``suite`` in the file that `write_index` wrote; close it. ``priority`` is its release's."""

    def __init__(self, path: Path, *, archive: str, suite: str, priority: int = AUTOMATIC) -> None:
        with path.open("rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        end = len(self._file) - _TABLES.size
        packages, providers = _TABLES.unpack_from(self._file, end)
        self._text = range(packages)
        self._packages = range(packages, providers)
        self._providers = range(providers, end)
        self.archive = archive
        self.suite = suite
        self.priority = priority

    def close(self) -> None:
        """No more questions."""
        self._file.close()

    def find(self, name: str) -> tuple[Package, ...]:
        """Every version of the package ``name``. Raises IntegrityError."""
        texts = [self._paragraph(int(start)) for start in self._found(name, self._packages)]
        try:
            return tuple(self._package(paragraph(text.decode(), _FIELDS)) for text in texts)
        except (KeyError, ValueError, BadInput) as error:
            raise _unreadable(error, f"{self.suite}, package {name}") from error

    def providers(self, virtual: str) -> tuple[str, ...]:
        """The names of the packages that provide ``virtual``."""
        return tuple(name.decode(errors="replace") for name in self._found(virtual, self._providers))

    def names(self) -> list[str]:
        """The names of all packages."""
        lines = self._file[self._packages.start : self._packages.stop].splitlines()
        return [name.decode(errors="replace") for name in dict.fromkeys(line.split()[0] for line in lines)]

    def _paragraph(self, start: int) -> bytes:
        end = self._file.find(_END, start, self._text.stop)
        return self._file[start : self._text.stop if end < 0 else end]

    def _found(self, name: str, table: range) -> Iterator[bytes]:
        """What the lines of ``table`` that begin with ``name`` say."""
        beginning = name.encode() + b" "
        low, high = table.start, table.stop
        while low < high:
            line = max(low, self._file.rfind(b"\n", low, (low + high) // 2) + 1)
            after = self._file.find(b"\n", line, high) + 1
            if self._file[line:after] < beginning:
                low = after
            else:
                high = line
        while low < table.stop and self._file[low : low + len(beginning)] == beginning:
            end = self._file.find(b"\n", low)
            yield self._file[low + len(beginning) : end]
            low = end + 1

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
