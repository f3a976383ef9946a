"""Blobs on their way to a registry (distribution-spec, "Pushing blobs").

Small ones go in one request, large ones in chunks: after a lost connection the registry says how far it came, and
the upload goes on from there. Where the registry has forgotten it (some do whenever a chunk was cut short), all of
it is sent again; a registry that takes no chunks gets the blob in one piece. What arrived is never put together
before all that was sent has the digest it must have.

An upload is not taken up by another process. What it would need is signed by the registry and as good as a
credential, so it should lie on no disk; and most registries forget an upload whose sender was killed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urlencode, urlsplit

from taskimage.adapters.http.answers import Transient
from taskimage.adapters.registry.blobsource import BlobSource
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotAllowed, NotFound, TaskImageError, Unreachable
from taskimage.model.oci import Descriptor

if TYPE_CHECKING:
    from taskimage.adapters.registry.repository import Repository
    from taskimage.adapters.registry.session import Answer, Request

__all__ = ["Uploads"]

# Up to this size a blob is held in memory and sent in one piece, which saves a request.
_SMALL: Final = 4 << 20
# Below what proxies commonly take in one request (100 MB), and large enough that the requests cost nothing.
_CHUNK: Final = 64 << 20
# Seconds that a registry may need to put a chunk where it belongs, and to read all of a blob again at the end.
_STORING: Final = 300.0
_HASHING: Final = 900.0

_BYTES: Final = {"Content-Type": "application/octet-stream"}
# Answers to what is sent that are judged here: the upload is unknown, or out of step, or chunks are not taken.
_REFUSED: Final = (400, 404, 405, 410, 411, 415, 416, 501)
_NO_CHUNKS: Final = (405, 411, 415, 501)
_OUT_OF_STEP: Final = (404, 410, 416)
_GONE: Final = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID"}
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")


class _EndedError(Exception):
    """An upload that does not go on. ``error`` is what to raise when a new one does no better."""

    def __init__(self, error: TaskImageError | Transient) -> None:
        super().__init__(str(error))
        self.error: TaskImageError = error.error if isinstance(error, Transient) else error


class Uploads:
    """Uploads to one repository, and what is learned from one for the next. Safe to share between threads."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._chunked = True
        self._unmountable: set[str] = set()

    def put(
        self,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        *,
        mount_from: Sequence[str],
        moved: Callable[[int], None],
    ) -> None:
        """Send a blob that is not there; see `Repository.upload`."""
        upload = _Upload(self._repository, descriptor, chunked=self._chunked and descriptor.size > _SMALL)
        for other in mount_from:
            if other not in self._unmountable and self._mounted(upload, other):
                return
        with open_blob() as file:
            upload.send(BlobSource(file, descriptor, moved))
        if descriptor.size > _SMALL and not upload.chunked:
            self._chunked = False

    def check(self) -> None:
        """Begin an upload and cancel it; see `Repository.check_push`."""
        nothing = Descriptor(media_type="application/octet-stream", digest=Digest.of(b""), size=0)
        self._repository.session.patiently(_Upload(self._repository, nothing, chunked=False).rehearse)

    def _mounted(self, upload: _Upload, other: str) -> bool:
        try:
            return upload.mount(other)
        except (NotAllowed, NotFound, BadInput):
            # That one may not be read from here, and so not for any other blob either.
            self._unmountable.add(other)
            return False


class _Upload:
    """One blob on its way. ``chunked`` is whether it goes in chunks, for as long as the registry takes them."""

    def __init__(self, repository: Repository, descriptor: Descriptor, *, chunked: bool) -> None:
        self._repository = repository
        self._session = repository.session
        self._descriptor = descriptor
        self.chunked = chunked
        self._refused: int | None = None  # where a chunk was, when its upload ended
        self._doubtful = False  # whether the registry may have more of it than is known here
        self._location = ""
        self._offset = 0
        self._chunk = _CHUNK

    def mount(self, other: str) -> bool:
        """Have the blob of repository ``other`` of this registry; whether it has. If not, an upload has begun."""
        query = urlencode({"mount": str(self._descriptor.digest), "from": other})
        scopes = (self._repository.scope, (other, "pull"))
        request = self._request("POST", f"blobs/uploads/?{query}", good=(201, 202), scopes=scopes)
        answer = self._session.ask(request)
        if answer.status == 202:
            self._begun(request, answer)
        return answer.status == 201

    def rehearse(self) -> None:
        """Begin, and leave nothing behind."""
        self._begin()
        self._cancel()

    def send(self, source: BlobSource) -> None:
        """Upload all of ``source``. Raises IntegrityError when it is not what it must be."""
        try:
            self._session.patiently(partial(self._attempt, source))
        except IntegrityError:
            self._cancel()
            raise

    # -- attempts --------------------------------------------------------------------------------------

    def _attempt(self, source: BlobSource) -> None:
        """One upload from beginning to end."""
        try:
            if self._doubtful and self._repository.has_blob(self._descriptor.digest):
                source.tell(self._descriptor.size)
                return
            if not self._location:
                self._begin()
            if self.chunked:
                self._send_chunks(source)
            else:
                self._send_whole(source)
        except _EndedError as ended:
            self._begin_at("")
            self._doubtful = False
            raise Transient(ended.error) from ended
        source.tell(self._descriptor.size)

    def _send_whole(self, source: BlobSource) -> None:
        size = self._descriptor.size
        if size <= _SMALL:
            body: Any = source.whole()
        else:
            source.check()
            body = partial(source.part, 0, size)
        location, self._location = self._location, ""
        self._finish(location, body, size)

    def _send_chunks(self, source: BlobSource) -> None:
        while self._offset < self._descriptor.size:
            self._session.patiently(partial(self._send_chunk, source))
        source.check()
        self._session.patiently(self._complete)

    def _send_chunk(self, source: BlobSource) -> None:
        """One attempt at the next chunk; after a failure, at learning where it begins."""
        if self._doubtful:
            before = self._offset
            self._look()
            if self._offset > before:
                return
        start, end = self._offset, min(self._offset + self._chunk, self._descriptor.size)
        request = self._request(
            "PATCH", self._location, good=(202, *_REFUSED), body=partial(source.part, start, end), size=end - start,
            headers={**_BYTES, "Content-Range": f"{start}-{end - 1}"}, timeout=_STORING,
        )  # fmt: skip
        self._doubtful = True
        answer = self._session.answer(request)
        if answer.status != 202:
            # Whoever takes no chunks may say so in many ways, but says it of the next try as well.
            self.chunked = answer.status not in _NO_CHUNKS and self._refused != start
            self._refused = start
        self._go_on(request, answer)
        self._doubtful = False
        told = _arrived(answer)
        self._offset = told if start < told < end else end

    def _look(self) -> None:
        """Learn from the registry how much of the upload it has."""
        request = self._request("GET", self._location, good=(200, 202, 204, *_REFUSED))
        answer = self._session.answer(request)
        self._go_on(request, answer)
        self._offset = _arrived(answer)
        self._doubtful = False
        if self._offset > self._descriptor.size:
            raise _EndedError(Unreachable(f"cannot {request.doing}: more has arrived than was sent"))

    def _complete(self) -> None:
        """One attempt at having the chunks put together."""
        if self._doubtful and self._repository.has_blob(self._descriptor.digest):
            return
        self._finish(self._location, None, 0)

    def _finish(self, location: str, body: Any, size: int) -> None:
        mark = "&" if urlsplit(location).query else "?"
        request = self._request(
            "PUT", f"{location}{mark}{urlencode({'digest': str(self._descriptor.digest)})}",
            good=(201, *_REFUSED), body=body, size=size, headers=_BYTES, timeout=_HASHING,
        )  # fmt: skip
        self._doubtful = True
        answer = self._session.answer(request)
        if answer.status != 201:
            refusal = self._session.refusal(request, answer)
            if answer.status in _OUT_OF_STEP or refusal.codes & _GONE:
                raise _EndedError(refusal.error())
            raise refusal.error()

    # -- the upload as the registry has it -------------------------------------------------------------

    def _begin(self) -> None:
        request = self._request("POST", "blobs/uploads/", good=(202,))
        self._begun(request, self._session.answer(request))

    def _begun(self, request: Request, answer: Answer) -> None:
        self._begin_at(self._next(request, answer))
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        self._chunk = max(_CHUNK, int(least) if least.isdecimal() else 0)

    def _begin_at(self, location: str) -> None:
        self._location = location
        self._offset = 0

    def _go_on(self, request: Request, answer: Answer) -> None:
        if answer.status in _REFUSED:
            raise _EndedError(self._session.refusal(request, answer).error())
        self._location = self._next(request, answer)

    def _next(self, request: Request, answer: Answer) -> str:
        """The address that the upload goes on at: each answer gives a new one."""
        here = self._session.address(request.path)
        told = answer.headers.get("Location")
        if not told:
            raise Unreachable(f"cannot {request.doing}: {self._session.shown(request)} sent no Location")
        there = self._session.joined(request, here, told)
        if urlsplit(here).scheme == "https" and urlsplit(there).scheme == "http":
            if urlsplit(here).netloc != urlsplit(there).netloc:
                raise Unreachable(
                    f"cannot {request.doing}: {self._session.shown(request)} sends it on without TLS, "
                    "which is less safe; not followed"
                )
            # A registry behind a proxy that ends TLS does not know how it is reached.
            there = "https" + there.removeprefix("http")
        return there

    def _cancel(self) -> None:
        if self._location:
            request = self._request("DELETE", self._location, good=(200, 202, 204))
            try:
                self._session.answer(request)
            except (Transient, TaskImageError):
                return

    def _request(self, method: str, path: str, **more: Any) -> Request:
        blob = f"upload blob {self._descriptor.digest.short}" if self._descriptor.size else "push"
        doing = f"{blob} to {self._repository.name}"
        return self._repository.request(method, path, doing, **more)


def _arrived(answer: Answer) -> int:
    """How many bytes the registry has; "0-0", which means one byte to some and none to others, counts as none."""
    match = _RANGE.fullmatch(answer.headers.get("Range", ""))
    last = int(match[1]) if match else 0
    return last + 1 if last else 0
