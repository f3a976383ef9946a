"""Layers: entries to a canonical tar, wrapped in gzip members (OCI image-spec, layer.md; RFC 1952).

The same entries give the same bytes, anywhere: sorted, one constant mtime, no names of owners, USTAR
headers where they fit and PAX records where not, and every parent directory with its one constant mode.

A file that is already deflated (a wheel's member) is not compressed again. Its DEFLATE stream becomes the
body of a gzip member of its own, between members that hold tar headers, padding and all that had to be
compressed here:

    gzip(directories, header of a) | a's own DEFLATE bytes | gzip(padding, header of b) | b's … | gzip(end)

It is inflated all the same, for the diff_id, and held to the size and CRC that its archive states.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform.directories import MODES
from taskimage.transform.entry import Body, Deflated, Entry, folders_of, same_content
from taskimage.transform.gzipmember import GZIP_HEADER, gzip_member
from taskimage.transform.tarheader import BLOCK, tar_header

__all__ = ["FORMAT", "arranged", "write_layer"]

FORMAT: Final = 3
"""Moves whenever the bytes of a layer made from the same entries would: part of every layer's key."""

# The most that one member holds of what is compressed here, so that it stays in a processor's cache.
_MEMBER = 1 << 20
_CHUNK = 1 << 20
_END = bytes(2 * BLOCK)


def write_layer(fragments: Iterable[Sequence[Entry]], write: Callable[[bytes], object]) -> Digest:
    """Write one layer to ``write`` and return its diff_id.

    Args:
        fragments: What each input contributes, in the order in which it shall stand; directories are
            merged over all of them and come first, with every parent that is missing.
        write: Takes the compressed bytes, in order.

    Raises:
        CannotBuild: Two inputs have different files at one path.
        IntegrityError: A deflated body is not what its archive stated.
    """
    writer = _Writer(write)
    for entry in arranged(fragments):
        writer.add(entry)
    return writer.finish()


def arranged(fragments: Iterable[Sequence[Entry]]) -> list[Entry]:
    """The entries of a layer of ``fragments``, in its order. Raises CannotBuild as `write_layer` does."""
    directories: dict[str, Entry] = {}
    others: dict[str, Entry] = {}
    for fragment in fragments:
        # A hard link names a file that must stand before it.
        for entry in sorted(fragment, key=lambda entry: (entry.kind == "hardlink", entry.path)):
            if entry.kind == "dir":
                directories.setdefault(entry.path, entry)
            elif _new(entry, others.get(entry.path)):
                others[entry.path] = entry
    for parent in folders_of([*directories, *others]) - directories.keys():
        directories[parent] = Entry.directory(parent)
    for path in directories.keys() & MODES.keys():
        directories[path] = Entry.directory(path, *MODES[path])
    if clash := directories.keys() & others.keys():
        raise CannotBuild(f"one input has a directory and another a file at {min(clash)!r}")
    return [*(directories[path] for path in sorted(directories)), *others.values()]


def _new(entry: Entry, known: Entry | None) -> bool:
    if known is not None and not same_content(entry, known):
        raise CannotBuild(
            f"two inputs have different files at {entry.path!r}",
            hint="leave one of them out, or ask for versions that do not overlap",
        )
    return known is None


class _Writer:
    """Puts tar blocks into gzip members, and hashes the tar."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._tar = hashlib.sha256()
        self._plain = bytearray()

    def add(self, entry: Entry) -> None:
        """Append one entry."""
        self._plain += tar_header(entry)
        body = entry.body
        if body is None:
            return
        if isinstance(body, Deflated):
            self._reuse(entry.path, body)
        else:
            self._copy(entry.path, body)
        self._plain += bytes(-body.size % BLOCK)

    def finish(self) -> Digest:
        """End the archive; the diff_id of what was written."""
        self._plain += _END
        self._flush()
        return Digest("sha256", self._tar.hexdigest())

    def _copy(self, path: str, body: Body) -> None:
        size = 0
        with body.open() as stream:
            while chunk := stream.read(_CHUNK):
                self._plain += chunk
                size += len(chunk)
                if len(self._plain) >= _MEMBER:
                    self._flush()
        if size != body.size:
            raise IntegrityError(f"{path!r} has {size} bytes, {body.size} were announced")

    def _reuse(self, path: str, body: Deflated) -> None:
        # Not on top: copied files, which change most, have no use for it.
        from isal import igzip_lib, isal_zlib

        self._flush()
        self._write(GZIP_HEADER)
        inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        size = crc = compressed = 0
        try:
            with body.open_deflated() as stream:
                while chunk := stream.read(_CHUNK):
                    compressed += len(chunk)
                    self._write(chunk)
                    data = inflater.decompress(chunk, _CHUNK)
                    while data:
                        size += len(data)
                        crc = isal_zlib.crc32(data, crc)
                        self._tar.update(data)
                        if size > body.size or inflater.eof:
                            break
                        data = b"" if inflater.needs_input else inflater.decompress(b"", _CHUNK)
        except igzip_lib.error as error:  # type: ignore[misc]
            raise IntegrityError(f"{path!r} is not a DEFLATE stream: {error}", where=body.where) from error
        whole = inflater.eof and not inflater.unused_data and compressed == body.compressed_size
        if not whole or size != body.size or crc != body.crc32:
            raise IntegrityError(
                f"{path!r} inflates to {size} bytes with CRC {crc:08x}"
                f"{'' if whole else ' and its stream does not end where it should'}; "
                f"its archive states {body.size} bytes with CRC {body.crc32:08x}",
                where=body.where,
            )
        self._write(struct.pack("<II", crc, size & 0xFFFFFFFF))

    def _flush(self) -> None:
        # In slices, so that no member holds more than its share whatever the size of the buffer.
        view = memoryview(self._plain)
        for start in range(0, len(view), _MEMBER):
            part = view[start : start + _MEMBER]
            self._tar.update(part)
            self._write(gzip_member(part))
        view.release()
        self._plain = bytearray()
