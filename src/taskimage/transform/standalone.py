"""Standalone builds of CPython: the ``install_only`` archive of one as entries of an image.

Such an archive is a gzipped tar of one folder ``python``, which runs from wherever it is put.
"""

from __future__ import annotations

import posixpath
from typing import BinaryIO

from taskimage.model.errors import IntegrityError
from taskimage.transform.deb.tar import TarMember, read_tar
from taskimage.transform.entry import Entry
from taskimage.transform.gunzip import gzip_errors, open_gzip
from taskimage.transform.tree import checked_tree

__all__ = ["read_standalone"]

_TOP = "python"
_CHUNK = 1 << 20
# Builds with debug symbols are near 500 MB.
_LARGEST = 2 << 30


def read_standalone(
    stream: BinaryIO, spool: BinaryIO, *, prefix: str = "opt/python", where: str
) -> tuple[Entry, ...]:
    """The files of the archive in ``stream``, below ``prefix`` of an image; its own bytecode is left out.

    The archive is unpacked to the end of ``spool``, a file that the caller keeps open while entries are used;
    their bodies can be opened from any thread.

    Raises IntegrityError, naming ``where`` and the member, for an archive that is damaged, or hostile: paths
    and links out of the folder, devices, duplicates, more data than any interpreter has.
    """
    start = _unpacked(stream, spool, where)
    members = [member for member in read_tar(spool, start, where=where) if _is_kept(member)]
    return checked_tree((_entry(member, prefix, where) for member in members), where=where)


def _unpacked(stream: BinaryIO, spool: BinaryIO, where: str) -> int:
    start = spool.seek(0, 2)
    try:
        with open_gzip(stream) as archive:
            while data := archive.read(_CHUNK):
                spool.write(data)
                if spool.tell() - start > _LARGEST:
                    raise IntegrityError(f"unpacks to more than {_LARGEST} bytes", where=where)
    except gzip_errors() as error:
        raise IntegrityError(f"cannot be read as a gzip file: {error}", where=where) from error
    spool.flush()
    return start


def _is_kept(member: TarMember) -> bool:
    is_top = member.kind == "dir" and member.path == _TOP
    return not is_top and "__pycache__" not in member.path.split("/")


def _entry(member: TarMember, prefix: str, where: str) -> Entry:
    path = _below(member.path, member, prefix, where)
    mode = 0o755 if member.kind == "dir" or member.mode & 0o111 else 0o644
    if member.kind == "symlink":
        # The link keeps its text; what is checked is where it leads.
        target = posixpath.join(posixpath.dirname(member.path), member.target)
        _below(posixpath.normpath(target), member, prefix, where)
        return Entry.symlink(path, member.target)
    if member.kind == "hardlink":
        return Entry(path, "hardlink", mode, target=_below(member.target, member, prefix, where))
    return Entry(path, member.kind, mode, body=member.body)


def _below(path: str, member: TarMember, prefix: str, where: str) -> str:
    top, _, inside = path.partition("/")
    if top != _TOP or not inside:
        raise IntegrityError(
            f"member {member.name!r:.200} names {path!r:.200}, which is not in the folder {_TOP!r}",
            where=where,
        )
    return f"{prefix}/{inside}"
