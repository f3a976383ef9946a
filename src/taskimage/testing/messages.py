"""What goes over the wire: requests whose bodies arrive in pieces, answers, and refusals with an error document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import canonical_json
from taskimage.model.value import dataclass

__all__ = [
    "PIECE",
    "Answer",
    "Body",
    "Hangup",
    "Refusal",
    "Request",
    "Span",
    "parse_digest",
]

PIECE = 1 << 18
"""The most bytes of a body that are in memory at once."""

# The codes of the specification ("Error Codes") and the status that each comes with in registries.
_STATUS = {
    "BLOB_UNKNOWN": 404, "BLOB_UPLOAD_INVALID": 400, "BLOB_UPLOAD_UNKNOWN": 404, "DENIED": 403,
    "DIGEST_INVALID": 400, "MANIFEST_BLOB_UNKNOWN": 400, "MANIFEST_INVALID": 400, "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400, "NAME_UNKNOWN": 404, "SIZE_INVALID": 400, "TAG_INVALID": 400, "TOOMANYREQUESTS": 429,
    "UNAUTHORIZED": 401, "UNSUPPORTED": 405,
}  # fmt: skip


class Hangup(ConnectionError):
    """The client is gone in the middle of its request, or is made to believe that the server is."""


class Body:
    """The body of a request as it arrives (RFC 9112, section 6), to be read once.

    Args:
        stream: What the client sends.
        headers: Of the request, with names in lower case.
        cut: After how many bytes the connection is gone; None for never.
        most: How many bytes a piece has at most.
        pace: Told of the size of each piece before it is given on; may take its time.
    """

    def __init__(
        self,
        stream: BufferedIOBase,
        headers: Mapping[str, str],
        *,
        cut: int | None = None,
        most: int = PIECE,
        pace: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.received = 0
        self.whole = False
        self.length = None if "transfer-encoding" in headers else int(headers.get("content-length", "0"))
        self._stream = stream
        self._cut = cut
        self._most = most
        self._pace = pace
        self._pieces = self._read()

    def __iter__(self) -> Iterator[bytes]:
        """What is left of it, piece by piece. Raises Hangup, after what has arrived."""
        return self._pieces

    def drain(self, limit: int) -> None:
        """Read on and forget, until the end or for ``limit`` bytes."""
        limit += self.received
        while self.received <= limit and next(self._pieces, None) is not None:
            pass

    def _read(self) -> Iterator[bytes]:
        if self.length is None:
            while size := int(self._line().split(b";")[0], 16):
                yield from self._exactly(size)
                self._line()
            while self._line().strip():
                pass
        else:
            yield from self._exactly(self.length)
        if self._cut is not None:
            raise Hangup
        self.whole = True

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            wanted = min(size, self._most)
            if self._cut is not None:
                wanted = min(wanted, self._cut - self.received)
            piece = self._some(wanted)
            self._pace(len(piece))
            self.received += len(piece)
            size -= len(piece)
            yield piece

    def _some(self, most: int) -> bytes:
        try:
            piece = self._stream.read1(most) if most else b""
        except OSError as error:
            raise Hangup from error
        if not piece:
            raise Hangup
        return piece

    def _line(self) -> bytes:
        line = self._stream.readline(4096)
        if not line:
            raise Hangup
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; ``path`` is decoded and has no query, and names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body

    @classmethod
    def parse(cls, method: str, target: str, headers: Mapping[str, str], body: Body) -> Request:
        """The request of ``target``, a path with its query; values of one name are joined with spaces."""
        parts = urlsplit(target)
        query: dict[str, str] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            query[name] = f"{query[name]} {value}" if name in query else value
        return cls(method=method, path=unquote(parts.path), query=query, headers=headers, body=body)


@dataclass(frozen=True, slots=True)
class Span:
    """``size`` bytes of a file, from ``start``."""

    path: Path
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and a body, which may be in a file."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Span = b""

    @property
    def size(self) -> int:
        """The bytes of the body."""
        return self.body.size if isinstance(self.body, Span) else len(self.body)

    def pieces(self, most: int = PIECE) -> Iterator[bytes]:
        """The body, never more than ``most`` bytes at once."""
        if isinstance(self.body, bytes):
            yield from (self.body[start : start + most] for start in range(0, len(self.body), most))
            return
        left = self.body.size
        with self.body.path.open("rb", buffering=0) as file:
            file.seek(self.body.start)
            while left and (piece := file.read(min(left, most))):
                left -= len(piece)
                yield piece

    @classmethod
    def json(cls, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
        """An answer that is a JSON document."""
        return cls(200, {"Content-Type": "application/json", **(headers or {})}, canonical_json(document))


class Refusal(Exception):
    """A request that is answered with an error, or one for each of ``details``; ``code`` is the specification's."""

    def __init__(
        self,
        code: str,
        message: str,
        *details: object,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        error: dict[str, object] = {"code": code, "message": message}
        document = {"errors": [{**error, "detail": detail} for detail in details] or [error]}
        self.answer = Answer(
            _STATUS[code] if status is None else status,
            {"Content-Type": "application/json", **(headers or {})},
            canonical_json(document),
        )


def parse_digest(text: str) -> Digest:
    """The digest that a request names. Raises Refusal."""
    try:
        return Digest.parse(text)
    except BadInput as error:
        raise Refusal("DIGEST_INVALID", error.message) from error
