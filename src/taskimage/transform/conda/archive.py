"""Conda archives: ``.conda``, a zip of two zstd tars, and ``.tar.bz2``, one tar (conda-build, "Package specification")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from typing import BinaryIO, cast

from taskimage.model.errors import BadInput, CannotBuild, IntegrityError
from taskimage.model.oci.document import Fields, parse_json
from taskimage.model.value import dataclass
from taskimage.transform.deb.tar import TarMember, read_tar
from taskimage.transform.zipmembers import Member, read_members
from taskimage.transform.zstd import open_zstd, zstd_errors

__all__ = ["CondaArchive", "read_archive"]

_CHUNK = 1 << 20
# A package is refused when it unpacks to more than this and so many times what was fetched.
_SLACK, _RATIO = 64 << 20, 256
# The largest of the files below info/ are lists of paths.
_LARGEST_TEXT = 128 << 20


@dataclass(frozen=True, slots=True)
class CondaArchive:
    """The members of an archive by path; its metadata is below ``info/``."""

    members: Mapping[str, TarMember] = field(repr=False)

    def member(self, path: str, *, where: str) -> TarMember:
        """The member at ``path``. Raises IntegrityError, naming ``where``, when there is none."""
        if path not in self.members:
            raise IntegrityError(f"has no {path!r:.200}, which it names", where=where)
        return self.members[path]

    def read(self, path: str, *, where: str) -> bytes | None:
        """The bytes of a file below ``info/``; None when there is none."""
        member = self.members.get(path)
        if member is None or member.body is None:
            return None
        if member.body.size > _LARGEST_TEXT:
            raise IntegrityError(f"its {path!r} has {member.body.size} bytes", where=where)
        with member.body.open() as stream:
            return stream.read()


def read_archive(opener: Callable[[], BinaryIO], spool: BinaryIO, *, where: str) -> CondaArchive:
    """The members of the archive ``where``, whose name tells its format; they are unpacked to ``spool``'s end.

    Raises IntegrityError, naming ``where``, for one that is damaged or hostile; CannotBuild for a format or a
    compression that is not known here.
    """
    if where.endswith(".conda"):
        tars = _tars(opener, where)
    elif where.endswith(".tar.bz2"):
        tars = [_bunzipped(opener)]
    else:
        raise CannotBuild("is no conda package; wanted a .conda or a .tar.bz2", where=where)
    with opener() as stream:
        limit = _SLACK + _RATIO * stream.seek(0, 2)
    members: dict[str, TarMember] = {}
    for tar in tars:
        for member in read_tar(spool, _unpacked(tar, spool, limit, where), where=where):
            if member.path in members and member.kind != "dir":
                raise IntegrityError(f"has {member.path!r:.200} twice", where=where)
            members[member.path] = member
    return CondaArchive(members)


def _tars(opener: Callable[[], BinaryIO], where: str) -> list[AbstractContextManager[BinaryIO]]:
    """The metadata's tar and the files', of an archive of format 2."""
    found = {member.path: member for member in read_members(opener, where=where)}
    stem = where.removesuffix(".conda")
    names = [f"info-{stem}.tar.zst", f"pkg-{stem}.tar.zst"]
    if missing := [name for name in ("metadata.json", *names) if name not in found]:
        raise IntegrityError(f"has no {missing[0]!r:.200}", where=where)
    with found["metadata.json"].body.open() as stream:
        text = stream.read(_CHUNK)
    try:
        version = Fields(parse_json(text, where=where), "metadata.json").whole("conda_pkg_format_version")
    except BadInput as error:
        raise IntegrityError(error.message, where=where) from error
    if version != 2:
        raise CannotBuild(f"is of format {version}; only 2 is known", where=where)
    return [_unzstd(found[name]) for name in names]


@contextmanager
def _unzstd(member: Member) -> Iterator[BinaryIO]:
    with member.body.open() as stream, open_zstd(stream, what="a conda package") as tar:
        yield tar


@contextmanager
def _bunzipped(opener: Callable[[], BinaryIO]) -> Iterator[BinaryIO]:
    import bz2

    with opener() as stream, bz2.BZ2File(stream) as tar:
        yield cast("BinaryIO", tar)


def _unpacked(tar: AbstractContextManager[BinaryIO], spool: BinaryIO, limit: int, where: str) -> int:
    """Where in ``spool`` the tar begins."""
    damage: tuple[type[Exception], ...] = (EOFError, OSError, *zstd_errors())
    start = spool.seek(0, 2)
    try:
        with tar as stream:
            while data := stream.read(_CHUNK):
                spool.write(data)
                if spool.tell() - start > limit:
                    raise IntegrityError(f"unpacks to more than {limit} bytes", where=where)
    except damage as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's trouble, not the package's
        raise IntegrityError(f"cannot be unpacked: {error}", where=where) from error
    spool.flush()
    return start
