"""What a wheel says about itself: its file name, WHEEL, METADATA and RECORD, which must agree with each other."""

from __future__ import annotations

import contextlib
import csv
import io
import posixpath
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.zipmembers import Member

if TYPE_CHECKING:
    from email.message import Message

    from installer.records import RecordEntry
    from packaging.version import Version

__all__ = ["WheelContents", "WheelName"]

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_TEXT_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class WheelName:
    """What a wheel's file name says; ``distribution`` is the name as it stands there."""

    distribution: str
    name: str
    version: Version
    tags: frozenset[str]

    @classmethod
    def parse(cls, file: str) -> WheelName:
        """What the file name of a wheel says (binary distribution format, "File name convention")."""
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename

        base = posixpath.basename(file)
        try:
            name, version, _, tags = parse_wheel_filename(base)
        except InvalidWheelFilename as error:
            raise IntegrityError(f"{base!r} is not the file name of a wheel: {error}", where=file) from error
        return cls(base.partition("-")[0], name, version, frozenset(map(str, tags)))


class WheelContents:
    """The members of a wheel, and its three records: WHEEL, METADATA and RECORD."""

    def __init__(self, where: str, name: WheelName, members: Iterable[Member]) -> None:
        self.where = where
        self.members = {member.path: member for member in members}
        self._name = name
        self.dist_info = self._dist_info()
        self.data = self._data()
        self._check_wheel_version()
        self.metadata = self._checked_metadata()
        self.record = self._checked_record()

    def text(self, name: str) -> str:
        """The text of a file of the .dist-info folder, decoded."""
        path = f"{self.dist_info}/{name}"
        member = self.members.get(path)
        if member is None:
            raise IntegrityError(f"has no {path!r}", where=self.where)
        if member.body.size > _TEXT_LIMIT:
            raise IntegrityError(f"member {path!r} has {member.body.size} bytes", where=self.where)
        with self.reading(path), member.body.open() as stream:
            data = stream.read()
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"member {path!r} is not UTF-8: {error}", where=self.where) from error

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[None]:
        """Damage that is found while the block reads the member at ``path`` is an error that names it."""
        try:
            yield
        except (IntegrityError, zlib.error) as error:
            why = error.message if isinstance(error, IntegrityError) else str(error)
            raise IntegrityError(f"member {path!r:.200} is damaged: {why}", where=self.where) from error

    def _dist_info(self) -> str:
        found = self._folders(".dist-info")
        if len(found) == 1 and self._is_own(*_cut(found[0])):
            return found[0]
        raise IntegrityError(
            f"has the folders {found!r:.200}, wanted one .dist-info folder "
            f"of {self._name.distribution} {self._name.version}",
            where=self.where,
        )

    def _data(self) -> str:
        """The folder of what belongs to other schemes, ``""`` where there is none."""
        # A package may have folders named so for reasons of its own.
        found = [name for name in self._folders(".data") if self._is_own(*_cut(name))]
        if len(found) > 1:
            raise IntegrityError(f"has the folders {found!r:.200}, wanted one of them", where=self.where)
        return found[0] if found else ""

    def _folders(self, suffix: str) -> list[str]:
        folders = {path.partition("/")[0] for path in self.members if "/" in path}
        return sorted(name for name in folders if name.endswith(suffix))

    def _is_own(self, name: str, version: str) -> bool:
        from packaging.utils import canonicalize_name
        from packaging.version import InvalidVersion, Version

        try:
            return canonicalize_name(name) == self._name.name and Version(version) == self._name.version
        except InvalidVersion:
            return False

    def _check_wheel_version(self) -> None:
        version = _headers(self.text("WHEEL")).get("Wheel-Version", "")
        major = version.partition(".")[0]
        if not major.isdecimal():
            raise IntegrityError(
                f"states Wheel-Version {version!r}, wanted 1.0 or the like", where=self.where
            )
        if major != "1":
            raise CannotBuild(f"states Wheel-Version {version!r}; only 1.x is known", where=self.where)

    def _checked_metadata(self) -> Message:
        metadata = _headers(self.text("METADATA"))
        name, version = metadata.get("Name", ""), metadata.get("Version", "")
        if not self._is_own(name, version):
            raise IntegrityError(
                f"states in METADATA that it is {name!r} {version!r}, which its file name does not say",
                where=self.where,
            )
        return metadata

    def _checked_record(self) -> dict[str, RecordEntry]:
        from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file

        text = io.StringIO(self.text("RECORD"), newline="")
        try:
            rows = (RecordEntry.from_elements(*row) for row in parse_record_file(text))
            record = {row.path: row for row in rows if not row.path.endswith("/")}
        except (InvalidRecordEntry, csv.Error) as error:
            raise IntegrityError(f"has a RECORD that cannot be read: {error}", where=self.where) from error
        unlisted = {f"{self.dist_info}/{name}" for name in ("RECORD", *_SIGNATURES)}
        if different := (record.keys() ^ self.members.keys()) - unlisted:
            raise IntegrityError(
                f"RECORD and the archive disagree about {min(different)!r:.200} "
                f"({len(different)} such members in all)",
                where=self.where,
            )
        for path, row in record.items():
            if row.size is not None and path in self.members and row.size != self.members[path].body.size:
                raise IntegrityError(
                    f"member {path!r:.200} has {self.members[path].body.size} bytes and RECORD states {row.size}",
                    where=self.where,
                )
        return record


def _cut(folder: str) -> tuple[str, str]:
    """The name and version in the name of a .dist-info or .data folder."""
    name, _, version = folder.rpartition(".")[0].rpartition("-")
    return name, version.replace("_", "-")


def _headers(text: str) -> Message:
    from installer.utils import parse_metadata_file

    return parse_metadata_file(text)
