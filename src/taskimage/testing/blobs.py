"""Blobs, whole or a range of them (distribution-spec, "Pulling blobs"; RFC 9110, section 14)."""

from __future__ import annotations

import re

from taskimage.testing.messages import Answer, Refusal, Request, Span, parse_digest
from taskimage.testing.storage import Storage

__all__ = ["Blobs"]

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


class Blobs:
    """What images are made of.

    Args:
        storage: Where they are.
        ranges: Whether a part of a blob can be asked for.
        delete: Whether blobs can be taken away.
    """

    def __init__(self, storage: Storage, *, ranges: bool, delete: bool) -> None:
        self._storage = storage
        self._ranges = ranges
        self._delete = delete

    def get(self, request: Request, name: str, digest: str) -> Answer:
        """GET and HEAD: the blob, or the range that was asked for."""
        path = self._storage.blob(name, parse_digest(digest))
        if path is None:
            raise Refusal("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        size = path.stat().st_size
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        if not self._ranges:
            return Answer(200, headers, Span(path, 0, size))
        headers["Accept-Ranges"] = "bytes"
        match = _RANGE.fullmatch(request.headers.get("range", ""))
        if match is None or match[0] == "bytes=-":
            return Answer(200, headers, Span(path, 0, size))
        start = int(match[1]) if match[1] else max(size - int(match[2]), 0)
        end = min(int(match[2]) + 1, size) if match[1] and match[2] else size
        if start >= end:
            return Answer(416, {"Content-Range": f"bytes */{size}"})
        return Answer(
            206,
            {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"},
            Span(path, start, end - start),
        )

    def delete(self, _: Request, name: str, digest: str) -> Answer:
        """DELETE: the repository has the blob no more."""
        if not self._delete:
            raise Refusal("UNSUPPORTED", "The operation is unsupported.")
        if not self._storage.remove_blob(name, parse_digest(digest)):
            raise Refusal("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        return Answer(202)
