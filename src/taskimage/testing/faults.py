"""Faults to order: which requests go wrong, how often, and how."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from taskimage.model.value import dataclass
from taskimage.testing.messages import PIECE, Answer, Refusal

__all__ = ["Fault", "Faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Which requests go wrong, and what happens to them; whatever is not asked for stays as it should be.

    >>> stalled_then_cut = Fault(method="GET", path="/blobs/", skip=1, delay=0.5, cut_response=1000)

    Attributes:
        method: A regular expression for the whole method; every method by default.
        path: A regular expression for a part of the path and query; every path by default.
        times: How many requests go wrong; None for all.
        skip: How many matching requests pass before the first that goes wrong.
        before: Called when the request's headers have arrived and before anything is done about it, such as
            `Registry.expire_tokens`, `Registry.forget_uploads` or `Registry.restart`.
        delay: Seconds before the request's body is read.
        rate: Bytes per second, of the request's body and the answer's.
        cut_request: The connection is gone after this many bytes of the request's body, or at its end. What
            arrived of an upload is kept.
        status: Answered in place of doing what is asked, with ``body``; the request's body is thrown away.
        body: What is answered with ``status``.
        code: Answered in the same way, with an error document that has this code of the specification, and the
            status that usually comes with it unless there is another in ``status``.
        headers: Of the answer, whichever it is, in place of its own.
        redirect: Answered with 307 and a Location, which is this address and the path and query asked for.
        lost: What is asked is done, and the connection closes with no answer.
        flip: The byte at this offset of the answer's body is another one.
        truncate: The answer's body has only this many bytes, and its Content-Length agrees.
        length: Added to the answer's Content-Length, while its body stays what it is.
        cut_response: The connection is gone after this many bytes of the answer's body.
    """

    method: str = ""
    path: str = ""
    times: int | None = 1
    skip: int = 0
    before: Callable[[], object] | None = None
    delay: float = 0
    rate: int | None = None
    cut_request: int | None = None
    status: int | None = None
    body: bytes = b""
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    redirect: str = ""
    lost: bool = False
    flip: int | None = None
    truncate: int | None = None
    length: int = 0
    cut_response: int | None = None

    def matches(self, method: str, target: str) -> bool:
        """Whether a request is of the kind that goes wrong; ``target`` is its path and query."""
        return (not self.method or re.fullmatch(self.method, method) is not None) and (
            re.search(self.path, target) is not None
        )

    def answer(self, target: str) -> Answer | None:
        """What is answered in place of doing what is asked, if anything."""
        if self.redirect:
            return Answer(307, {"Location": self.redirect + target})
        if self.code:
            return Refusal(self.code, "a fault to order", status=self.status).answer
        return None if self.status is None else Answer(self.status, body=self.body)

    @property
    def piece(self) -> int:
        """How many bytes of a body go over the wire at once."""
        return PIECE if self.rate is None else min(PIECE, self.rate // 20 + 1)

    def stated(self, size: int) -> int:
        """The Content-Length of an answer whose body has ``size`` bytes."""
        return _least(size, self.truncate) + self.length

    def kept(self, size: int) -> int:
        """How many bytes of such a body go out."""
        return _least(size, self.truncate, self.cut_response)

    def spoiled(self, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
        """The first ``size`` bytes of ``pieces``, as they go out."""
        place = 0
        while place < size and (piece := next(pieces, b"")):
            data = piece[: size - place]
            if self.flip is not None and place <= self.flip < place + len(data):
                spoiled = bytearray(data)
                spoiled[self.flip - place] ^= 0xFF
                data = bytes(spoiled)
            yield data
            place += len(data)

    @property
    def ends_connection(self) -> bool:
        """Whether the connection cannot serve another request after the answer."""
        return self.cut_response is not None or self.length != 0


def _least(size: int, *limits: int | None) -> int:
    return min([size, *(limit for limit in limits if limit is not None)])


class Faults:
    """The faults on order; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[tuple[Fault, Iterator[bool]]] = []

    def add(self, fault: Fault) -> None:
        """Let requests go wrong from now on."""
        with self._lock:
            self._seen.append((fault, _turns(fault)))

    def clear(self) -> None:
        """Let no request go wrong any more."""
        with self._lock:
            self._seen.clear()

    def pick(self, method: str, target: str) -> Fault | None:
        """What happens to a request. Every fault counts the requests that match it; the first that is due wins."""
        with self._lock:
            due = [
                fault for fault, turns in self._seen if fault.matches(method, target) and next(turns, False)
            ]
        return due[0] if due else None


def _turns(fault: Fault) -> Iterator[bool]:
    """Whether it is due, for one matching request after another."""
    for _ in range(fault.skip):
        yield False
    if fault.times is None:
        while True:
            yield True
    for _ in range(fault.times):
        yield True
