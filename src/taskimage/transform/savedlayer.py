"""Layers as ``docker save`` has them, a tar that may be compressed or not, made into blobs that registries take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO, Final

from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.oci import LAYER, LAYER_GZIP, LAYER_ZSTD
from taskimage.transform.gunzip import gzip_errors, open_gzip
from taskimage.transform.gzipmember import gzip_member
from taskimage.transform.zstd import open_zstd, zstd_errors

__all__ = ["compressed", "diff_id_of", "media_type_of"]

_CHUNK: Final = 1 << 20
# Several layers are compressed at a time, and each holds one member in memory.
_MEMBER: Final = 4 << 20


def media_type_of(stream: BinaryIO) -> str:
    """The media type that the first bytes of a layer tell."""
    magic = stream.read(4)
    if magic.startswith(b"\x1f\x8b"):
        return LAYER_GZIP
    return LAYER_ZSTD if magic == b"\x28\xb5\x2f\xfd" else LAYER


def compressed(tar: BinaryIO, write: Callable[[bytes], object]) -> Digest:
    """Write ``tar`` to ``write`` as gzip, the same bytes every time; its diff_id."""
    digest = hashlib.sha256()
    while data := tar.read(_MEMBER):
        digest.update(data)
        write(gzip_member(data))
    return Digest("sha256", digest.hexdigest())


def diff_id_of(layer: BinaryIO, media_type: str, *, limit: int, where: str) -> Digest:
    """The diff_id of a compressed layer. Raises IntegrityError for damage, and for more than ``limit`` bytes of tar."""
    damage: tuple[type[Exception], ...] = (OSError, *gzip_errors(), *zstd_errors())
    digest = hashlib.sha256()
    total = 0
    try:
        with _opened(layer, media_type) as tar:
            while data := tar.read(_CHUNK):
                digest.update(data)
                total += len(data)
                if total > limit:
                    raise IntegrityError(f"a layer unpacks to more than {limit} bytes", where=where)
    except damage as error:
        raise IntegrityError(f"a layer is damaged: {error}", where=where) from error
    return Digest("sha256", digest.hexdigest())


def _opened(layer: BinaryIO, media_type: str) -> BinaryIO:
    return open_zstd(layer, what="a layer") if media_type == LAYER_ZSTD else open_gzip(layer)
