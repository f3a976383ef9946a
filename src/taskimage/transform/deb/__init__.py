"""Debian binary packages: the files, control fields and scripts of a .deb (deb(5), deb-control(5))."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import BinaryIO

from taskimage.model.errors import IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.deb.ar import Member, members
from taskimage.transform.deb.control import parse_control
from taskimage.transform.deb.data import kept_entries
from taskimage.transform.deb.decompress import decompressed
from taskimage.transform.deb.layout import Layout
from taskimage.transform.deb.tar import TarMember, read_tar
from taskimage.transform.entry import Entry

__all__ = ["Deb", "read_control", "read_deb"]

MIB = 1024 * 1024
# The largest control archives of Debian are near 2 MiB (symbols files).
MAX_CONTROL = 32 * MIB
# A package is refused when it unpacks to more than SLACK + RATIO times what was fetched, or to more than
# SLACK + STATED times its Installed-Size. Text compresses 10 to 30 times; a tar of small files is at most
# twice as large as they are.
SLACK, RATIO, STATED = 64 * MIB, 256, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """One binary package, read and checked.

    ``control`` has the fields in their order; ``scripts`` is the rest of the control archive by name
    (``postinst``, ``conffiles``, ``md5sums``, ``triggers`` …); ``entries`` is what goes into an image, sorted by
    path; ``files`` is the same as dpkg lists it: absolute, through no link, in archive order.
    """

    package: str
    version: str
    architecture: str
    control: Mapping[str, str]
    scripts: Mapping[str, bytes] = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)
    files: tuple[str, ...] = field(repr=False)


def read_deb(stream: BinaryIO, spool: BinaryIO, *, where: str, layout: Layout | None = None) -> Deb:
    """The package in ``stream``; the bodies of its entries are slices of ``spool``.

    Its paths go through the links of ``layout``, a base's; for an image without one, of the merged /usr.

    The data archive is unpacked to the end of ``spool``, a seekable file that the caller keeps open for as
    long as entries are read (one file can serve many packages); what is read at once stays below a few MiB.
    Bodies may be opened from several threads; packages are read
    into one spool one after the other.

    Raises IntegrityError, naming ``where`` and the member, for an archive that is damaged or hostile: wrong
    sizes, bytes left over, paths out of the tree, devices, duplicates, more data than the package can have.
    Raises CannotBuild for a compression that this Python cannot read.
    """
    parts = members(stream, where=where)
    fields, scripts = _control(parts, where)
    part = _next_part(parts, "data.tar", where)
    limit = SLACK + RATIO * part.size
    stated = fields.get("Installed-Size", "")
    if re.fullmatch(r"[0-9]{1,12}", stated):
        limit = min(limit, SLACK + STATED * 1024 * int(stated))
    start = spool.seek(0, 2)
    spool.writelines(decompressed(part, limit=limit, where=where))
    spool.flush()
    if (extra := next(parts, None)) is not None:
        raise IntegrityError(
            f"member {extra.name!r} follows the data archive, the last of a .deb", where=where
        )
    entries, files = kept_entries(read_tar(spool, start, where=where), layout or Layout(), where=where)
    return Deb(
        package=fields["Package"],
        version=fields["Version"],
        architecture=fields["Architecture"],
        control=MappingProxyType(fields),
        scripts=MappingProxyType(scripts),
        entries=entries,
        files=files,
    )


def read_control(stream: BinaryIO, *, where: str) -> Mapping[str, str]:
    """The control fields of the package in ``stream``, of which no more is read. Raises as `read_deb` does."""
    return _control(members(stream, where=where), where)[0]


def _control(parts: Iterator[Member], where: str) -> tuple[dict[str, str], dict[str, bytes]]:
    _expect_version(parts, where)
    return _read_control(_next_part(parts, "control.tar", where), where)


def _expect_version(parts: Iterator[Member], where: str) -> None:
    part = next(parts, None)
    if part is None or part.name != "debian-binary" or not part.read(16).startswith(b"2."):
        raise IntegrityError(
            "not a .deb: its first member is not 'debian-binary' with version 2", where=where
        )


def _next_part(parts: Iterator[Member], stem: str, where: str) -> Member:
    for part in parts:
        if part.name.startswith(stem):
            return part
        # Members that begin with an underscore are for others (deb(5)); any other is an error.
        if not part.name.startswith("_"):
            raise IntegrityError(f"member {part.name!r} where {stem!r} must be", where=where)
    raise IntegrityError(f"no member {stem!r}", where=where)


def _read_control(part: Member, where: str) -> tuple[dict[str, str], dict[str, bytes]]:
    archive = io.BytesIO(b"".join(decompressed(part, limit=MAX_CONTROL, where=where)))
    scripts: dict[str, bytes] = {}
    for member in read_tar(archive, 0, where=where):
        scripts.update(_control_file(member, scripts, where))
    if "control" not in scripts:
        raise IntegrityError("its control archive has no file 'control'", where=where)
    return parse_control(scripts.pop("control"), where=where), scripts


def _control_file(member: TarMember, seen: Mapping[str, bytes], where: str) -> dict[str, bytes]:
    if member.kind == "dir" and member.path == "":
        return {}
    if member.kind != "file" or member.body is None or "/" in member.path or member.path in seen:
        raise IntegrityError(f"control member {member.name!r:.200} is not one plain file", where=where)
    with member.body.open() as stream:
        return {member.path: stream.read()}
