"""Members of zip archives, read where they lie and believed in nothing (PKWARE APPNOTE.TXT 6.3).

The central directory says what there is. A reader that streams sees the local headers instead, so an archive
whose local headers tell another story shows different files to different programs, and is refused.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import pairwise
from typing import BinaryIO

from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.model.value import dataclass
from taskimage.transform.entry import Body, Deflated, StreamBody, safe_path
from taskimage.transform.section import by_position, open_section
from taskimage.transform.spool import ReadAt

__all__ = ["Member", "read_members", "write_members"]

MOST_MEMBERS = 250_000
# DEFLATE cannot do better than this (258 bytes from two bits), so a member that states more is lying.
_DEFLATE_RATIO = 1032
# An archive that unpacks to more than this is held to a ratio that no archive of real files comes near.
_LARGE = 1 << 30
_LARGE_RATIO = 100

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_ENCRYPTED, _STREAMED, _UTF8 = 0x1, 0x8, 0x800
_IN_EXTRA = 0xFFFFFFFF
_HEAD = 256  # bytes, in which most local headers fit
_DESCRIPTOR = 24  # the longest, with a signature and of zip64
_ZIP64 = 1


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive: its normal, safe path, whether it is executable, and its bytes."""

    path: str
    executable: bool
    body: Body


def read_members(opener: Callable[[], BinaryIO], *, where: str) -> tuple[Member, ...]:
    """The files of the zip archive that ``opener`` opens, in the order in which it lists them.

    ``opener`` gives a new stream of a real file each time. The file is open for as long as the bodies are kept, which
    may be read in any thread. Deflated bytes stay as they are.

    Raises IntegrityError, naming ``where`` and the member, for an archive that is damaged or made to deceive;
    CannotBuild for one that is encrypted or compressed in a way that cannot be undone here.
    """
    read_at = by_position(opener)
    with opener() as stream, _opened(stream, where) as archive:
        infos = archive.infolist()
        _check_amounts(infos, where)
        offsets = _checked_offsets(read_at, infos, archive.start_dir, where)
        members: dict[str, Member] = {}
        for info in infos:
            path = safe_path(info.orig_filename, where=where)
            if not _is_file(info, where):
                continue
            if not path or path in members:
                raise IntegrityError(f"member {info.filename!r:.200} is there twice", where=where)
            packed = partial(
                open_section, read_at, offsets[info.header_offset], info.compress_size, where=where
            )
            body = _body(packed, opener, archive, info, where)
            members[path] = Member(path, bool(info.external_attr >> 16 & 0o111), body)
    return tuple(members.values())


def _opened(stream: BinaryIO, where: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, OverflowError, struct.error) as error:
        raise IntegrityError(f"cannot be read as a zip archive: {error}", where=where) from error
    except NotImplementedError as error:
        raise CannotBuild(f"needs a newer zip reader: {error}", where=where) from error


def _check_amounts(infos: list[zipfile.ZipInfo], where: str) -> None:
    if len(infos) > MOST_MEMBERS:
        raise IntegrityError(f"has {len(infos)} members, and {MOST_MEMBERS} is the most", where=where)
    for info in infos:
        if info.compress_type == zipfile.ZIP_DEFLATED and (
            info.file_size > _DEFLATE_RATIO * info.compress_size + _DEFLATE_RATIO
        ):
            raise IntegrityError(
                f"member {info.filename!r:.200} states {info.file_size} bytes, "
                f"more than {info.compress_size} bytes of DEFLATE data can hold",
                where=where,
            )
    total = sum(info.file_size for info in infos)
    if total > max(_LARGE, _LARGE_RATIO * sum(info.compress_size for info in infos)):
        raise IntegrityError(f"would unpack to {total} bytes, far more than its size explains", where=where)


def _is_file(info: zipfile.ZipInfo, where: str) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir():
        if info.file_size or kind not in (0, stat.S_IFDIR):
            raise IntegrityError(
                f"member {info.filename!r:.200} is not the folder it is named as", where=where
            )
        return False
    if kind not in (0, stat.S_IFREG):
        raise IntegrityError(
            f"member {info.filename!r:.200} is a link or a device; a zip archive may hold files only",
            where=where,
        )
    return True


# -- local headers -------------------------------------------------------------------------------------


def _checked_offsets(
    read_at: ReadAt, infos: list[zipfile.ZipInfo], directory: int, where: str
) -> dict[int, int]:
    """Where the data of each member begins, by the offset of its local header; none lies in another."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    offsets = {info.header_offset: _data_offset(read_at, info, where) for info in ordered}
    ends = [*(info.header_offset for info in ordered), directory]
    for info, (_, following) in zip(ordered, pairwise(ends), strict=True):
        if offsets[info.header_offset] + info.compress_size > following:
            raise IntegrityError(f"member {info.filename!r:.200} lies over what follows it", where=where)
    return offsets


def _data_offset(read_at: ReadAt, info: zipfile.ZipInfo, where: str) -> int:
    start = info.header_offset
    # What stands before the archive moves all offsets, and a damaged end moves them below zero.
    head = read_at(_HEAD, start) if start >= 0 else b""
    if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
        raise IntegrityError(f"member {info.filename!r:.200} has no local header", where=where)
    fields: tuple[int, ...] = _LOCAL.unpack_from(head)[2:]
    flags, method, _, _, crc32, packed, size, name_size, extra_size = fields
    whole = _LOCAL.size + name_size + extra_size
    if len(head) < whole:
        head = read_at(whole, start)
    name, extra = head[_LOCAL.size : _LOCAL.size + name_size], head[_LOCAL.size + name_size : whole]
    if (flags | info.flag_bits) & _ENCRYPTED:
        raise CannotBuild(f"member {info.filename!r:.200} is encrypted", where=where)
    stated = (name.decode("utf-8" if flags & _UTF8 else "cp437", "replace"), method)
    wanted = (info.orig_filename, info.compress_type)
    sums = (crc32, *_sizes(size, packed, extra))
    true_sums = (info.CRC, info.file_size, info.compress_size)
    if flags & _STREAMED:
        # Sizes come after the data (4.4.4), and here is nothing, or what is true.
        agree = all(got in (0, true) for got, true in zip(sums, true_sums, strict=True))
        agree = agree and _descriptor_agrees(read_at(_DESCRIPTOR, start + whole + info.compress_size), info)
    else:
        agree = sums == true_sums
    if stated != wanted or not agree:
        raise IntegrityError(
            f"member {info.filename!r:.200} is one thing in its local header and another in the directory",
            where=where,
        )
    return start + whole


def _sizes(size: int, packed: int, extra: bytes) -> tuple[int, int]:
    """The two sizes of a local header, from its zip64 field where they do not fit (4.5.3)."""
    while len(extra) >= 4 and _IN_EXTRA in (size, packed):
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64 and length >= 16:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            break
        extra = extra[4 + length :]
    return size, packed


def _descriptor_agrees(descriptor: bytes, info: zipfile.ZipInfo) -> bool:
    """Whether the data descriptor says what the directory says: with a signature or not, zip64 or not (4.3.9)."""
    found = descriptor.removeprefix(b"PK\x07\x08")
    sums = (info.CRC, info.compress_size, info.file_size)
    if found.startswith(struct.pack("<LQQ", *sums)):
        return True
    return max(sums) <= _IN_EXTRA and found.startswith(struct.pack("<LLL", *sums))


# -- bodies --------------------------------------------------------------------------------------------


def _body(
    packed: partial[BinaryIO],
    opener: Callable[[], BinaryIO],
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    where: str,
) -> Body:
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return Deflated(packed, info.compress_size, info.file_size, info.CRC, where)
    if info.compress_type == zipfile.ZIP_STORED:
        if info.compress_size != info.file_size:
            raise IntegrityError(f"member {info.filename!r:.200} is stored with two sizes", where=where)
        return StreamBody(partial(packed, crc32=info.CRC), info.file_size)
    try:
        archive.open(info).close()
    except (NotImplementedError, RuntimeError) as error:
        raise CannotBuild(
            f"member {info.filename!r:.200} is compressed with method {info.compress_type}: {error}",
            where=where,
        ) from error
    return StreamBody(partial(_unpacked, opener, info, where), info.file_size)


def _unpacked(opener: Callable[[], BinaryIO], info: zipfile.ZipInfo, where: str) -> BinaryIO:
    """The bytes of a member in one of the rare methods, all at once: the standard library undoes them."""
    import lzma

    with opener() as stream, _opened(stream, where) as archive:
        try:
            data = archive.read(info)
        except (zipfile.BadZipFile, lzma.LZMAError, zlib.error, OSError, EOFError) as error:
            raise IntegrityError(f"member {info.filename!r:.200} is damaged: {error}", where=where) from error
    if len(data) != info.file_size:
        raise IntegrityError(f"member {info.filename!r:.200} does not have the size it states", where=where)
    return io.BytesIO(data)


# -- writing -------------------------------------------------------------------------------------------


def write_members(
    members: Iterable[tuple[str, bytes]], *, level: int, executable: Collection[str] = ()
) -> bytes:
    """A zip archive of ``members``, sorted by path, deflated by libdeflate: the same bytes for the same members.

    Paths in ``executable`` have that mode. The standard library would write it with whatever zlib it has, whose output differs between machines.
    """
    import deflate

    # Only what is compressed stays in memory while more comes.
    packed = sorted(
        (path.encode(), deflate.crc32(data), len(data), bytes(deflate.deflate_compress(data, level)))
        for path, data in members
    )
    out, directory = io.BytesIO(), io.BytesIO()
    for name, crc32, size, body in packed:
        offset = out.tell()
        # Version 2.0, UTF-8 names, midnight of 1 January 1980; made on Unix (3), which has modes.
        common = (20, _UTF8, zipfile.ZIP_DEFLATED, 0, 0x21, crc32, len(body), size, len(name), 0)
        out.write(_LOCAL.pack(b"PK\3\4", *common) + name + body)
        mode = (stat.S_IFREG | (0o755 if name.decode() in executable else 0o644)) << 16
        directory.write(_CENTRAL.pack(b"PK\1\2", 3 << 8 | 20, *common, 0, 0, 0, mode, offset) + name)
    start, listing = out.tell(), directory.getvalue()
    if len(packed) > 0xFFFF or start + len(listing) >= _IN_EXTRA:
        raise CannotBuild(
            f"{len(packed)} files of {start} bytes are more than a zip archive without zip64 holds"
        )
    out.write(listing + _END.pack(b"PK\5\6", 0, 0, len(packed), len(packed), len(listing), start, 0))
    return out.getvalue()
