"""Uploads of blobs: whole, in chunks, or as a stream of unknown length (distribution-spec, "Pushing blobs")."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from taskimage.model.digest import Digest
from taskimage.model.value import dataclass
from taskimage.testing.messages import Answer, Refusal, Request, parse_digest
from taskimage.testing.storage import Storage, digest_of

__all__ = ["Uploads"]

_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(slots=True)
class _Upload:
    name: str
    path: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    size: int = 0


class Uploads:
    """The uploads that are under way.

    Args:
        storage: Where blobs go that are whole.
        folder: For what has arrived of the others.
        mount: Whether blobs of other repositories can be mounted.
        chunked: Whether a blob may come in several pieces.
        resumable: Whether an upload can go on after a chunk that was lost in its middle.
    """

    def __init__(
        self, storage: Storage, folder: Path, *, mount: bool, chunked: bool, resumable: bool
    ) -> None:
        self._storage = storage
        self._folder = folder
        self._mount = mount
        self._chunked = chunked
        self._resumable = resumable
        self._lock = threading.Lock()
        self._uploads: dict[str, _Upload] = {}

    def forget(self) -> None:
        """All uploads are unknown from now on."""
        with self._lock:
            self._uploads.clear()

    def start(self, request: Request, name: str) -> Answer:
        """POST: mount a blob, take one whole, or open an upload."""
        mounted, source = request.query.get("mount"), request.query.get("from")
        if self._mount and mounted and source:
            wanted = parse_digest(mounted)
            if self._storage.mount(name, wanted, source):
                return _created(name, wanted)
        number = secrets.token_hex(16)
        path = self._folder / number
        path.touch()
        upload = _Upload(name, path)
        if "digest" in request.query:
            digest = parse_digest(request.query["digest"])
            self._receive(request, upload)
            return self._complete(upload, digest)
        with self._lock:
            self._uploads[number] = upload
        return self._progress(202, upload)

    def status(self, request: Request, name: str, number: str) -> Answer:
        """GET: how much has arrived."""
        return self._progress(204, self._find(request, name, number))

    def append(self, request: Request, name: str, number: str) -> Answer:
        """PATCH: the next chunk, which says where it belongs, or a stream."""
        if not self._chunked:
            raise Refusal("UNSUPPORTED", "blobs are taken in one piece")
        with self._held(request, name, number) as upload:
            self._receive(request, upload)
            return self._progress(202, upload)

    def finish(self, request: Request, name: str, number: str) -> Answer:
        """PUT: the last bytes, if there are any left, and the digest that all of it must have."""
        digest = parse_digest(request.query.get("digest", ""))
        with self._held(request, name, number) as upload:
            self._receive(request, upload)
            self._drop(number)
            return self._complete(upload, digest)

    def cancel(self, request: Request, name: str, number: str) -> Answer:
        """DELETE: nothing of it is wanted any more."""
        with self._held(request, name, number) as upload:
            self._drop(number)
            upload.path.unlink()
        return Answer(204)

    # -- inside ----------------------------------------------------------------------------------------

    def _find(self, request: Request, name: str, number: str) -> _Upload:
        with self._lock:
            upload = self._uploads.get(number)
        if upload is None or upload.name != name:
            raise Refusal("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        # Docker's registry refuses an address that says another offset than there is, whatever is asked of it.
        if not self._resumable and request.query.get("_state") != str(upload.size):
            raise Refusal("BLOB_UPLOAD_INVALID", "blob upload invalid", status=404)
        return upload

    @contextmanager
    def _held(self, request: Request, name: str, number: str) -> Iterator[_Upload]:
        with self._find(request, name, number).lock:
            # It may have ended while it was waited for.
            yield self._find(request, name, number)

    def _drop(self, number: str) -> None:
        with self._lock:
            self._uploads.pop(number, None)

    def _receive(self, request: Request, upload: _Upload) -> None:
        stated = request.headers.get("content-range")
        if stated is not None:
            match = _RANGE.fullmatch(stated)
            if match is None or int(match[1]) != upload.size:
                progress = self._progress(416, upload)
                raise Refusal(
                    "BLOB_UPLOAD_INVALID",
                    "the chunk is not the next one",
                    status=416,
                    headers=progress.headers,
                )
            if request.body.length not in (None, int(match[2]) - int(match[1]) + 1):
                raise Refusal("SIZE_INVALID", "Content-Range and Content-Length disagree")
        # Unbuffered: what arrived before the connection was lost is there when it is asked for.
        with upload.path.open("ab", buffering=0) as file:
            for piece in request.body:
                upload.size += file.write(piece)

    def _complete(self, upload: _Upload, digest: Digest) -> Answer:
        if digest_of(upload.path, digest.algorithm) != digest:
            upload.path.unlink()
            raise Refusal(
                "DIGEST_INVALID", "provided digest did not match uploaded content", {"digest": str(digest)}
            )
        self._storage.take_blob(upload.name, digest, upload.path)
        return _created(upload.name, digest)

    def _progress(self, status: int, upload: _Upload) -> Answer:
        # The address moves on, as it may: clients use the newest. The range is inclusive, so that it cannot tell
        # nothing from one byte, which is so in every registry.
        return Answer(
            status,
            {
                "Location": f"/v2/{upload.name}/blobs/uploads/{upload.path.name}?_state={upload.size}",
                "Range": f"0-{max(upload.size - 1, 0)}",
                "Docker-Upload-UUID": upload.path.name,
            },
        )


def _created(name: str, digest: Digest) -> Answer:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": str(digest)}
    return Answer(201, headers)
