"""Requests to one registry: authorised, bounded in number, patient, and judged.

Every failure says which registry, what was being done, what came back and what to do. Where a registry answers
429, all threads that talk to it wait together.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from functools import partial
from typing import IO, TYPE_CHECKING, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from taskimage.adapters.crew import Crew
from taskimage.adapters.http import network
from taskimage.adapters.http.answers import Transient, patiently, retry_after, unreachable
from taskimage.adapters.http.connections import SECRET_HEADERS, Connections, redacted
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry.authorization import Authorization
from taskimage.adapters.registry.endpoint import Endpoint
from taskimage.adapters.registry.failures import Refusal
from taskimage.model.errors import IntegrityError, TaskImageError, Unreachable
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    import urllib3

    from taskimage.adapters.registry.tokens import Scope

__all__ = ["PAUSES", "Answer", "Request", "Session"]

T = TypeVar("T")

PAUSES: Final = (0.3, 1.0, 3.0, 8.0)
"""Seconds to wait before each further attempt."""

_CHUNK: Final = 1 << 18
_REDIRECTS: Final = 5
_SIZE: Final = 8  # requests at one time, and as many that send a blob
_MOST: Final = 8 << 20
_TOLD: Final = 1 << 16
_LINK: Final = re.compile(r"<([^>]*)>([^<]*)")
_IS_NEXT: Final = re.compile(r"""rel\s*=\s*"?next\b""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``path`` follows the registry's root, or is a whole address that the registry gave.

    ``doing`` is for people, as in "cannot …". ``body`` is opened anew for each attempt, and ``size`` its bytes.
    ``good`` are the statuses that are an answer; any other one is an error.
    """

    method: str
    path: str
    doing: str
    scopes: tuple[Scope, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], IO[bytes]] | bytes | None = None
    size: int = 0
    good: Collection[int] = (200,)
    timeout: float = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the headers by names in any case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type of the body, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Session:
    """What talks to one registry. Safe to share between threads.

    Args:
        endpoint: Where its API is.
        connections: The pool.
        authorization: What lets requests in.
        pauses: Seconds to wait before each further attempt.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connections: Connections,
        authorization: Authorization,
        *,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.endpoint = endpoint
        self._connections = connections
        self._authorization = authorization
        self._pauses = tuple(pauses)
        self._roots = list(endpoint.roots)
        self._choosing = threading.Lock()
        # A blob that is sent may have to wait for one that is fetched; never the other way round.
        self._slots = {sends: threading.BoundedSemaphore(_SIZE) for sends in (False, True)}
        self._quiet_until = 0.0

    def ask(self, request: Request) -> Answer:
        """The whole answer, of at most 8 MiB, to ``request``, asked again where that may help.

        Raises NotFound (404 of a registry), NotAllowed (401, 403), IntegrityError (a body without end), BadInput
        (what the registry takes for malformed), Unreachable (all else, after some patience).
        """
        return self.patiently(partial(self.answer, request))

    def pages(self, request: Request) -> Iterator[Answer]:
        """What `ask` gives for ``request``, and for whatever each answer names as the next page (RFC 8288)."""
        asked = {self.address(request.path)}
        while True:
            answer = self.ask(request)
            yield answer
            told = _next(answer)
            if not told or (there := self.joined(request, self.address(request.path), told)) in asked:
                return
            asked.add(there)
            request = replace(request, path=there)

    def answer(self, request: Request) -> Answer:
        """What `ask` gives, by one attempt: raises Transient for what may pass."""
        with self.once(request) as response:
            body = b"" if request.method == "HEAD" else self.body(request, response)
            return Answer(response.status, response.headers, body)

    def refusal(self, request: Request, answer: Answer) -> Refusal:
        """What ``answer`` means to a request that it is no good answer to."""
        repository = next((name for name, _ in request.scopes), "")
        return Refusal(
            registry=self.endpoint.registry,
            repository=repository,
            doing=request.doing,
            asked=f"{request.method} {self.shown(request)}",
            status=answer.status,
            media_type=answer.media_type,
            by_registry="Docker-Distribution-Api-Version" in answer.headers,
            body=answer.body,
            after=retry_after(answer.headers),
            tried=partial(self._authorization.tried, repository),
        )

    def patiently(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` gives; where it raises Transient it is made again, after a pause."""
        return patiently(attempt, self._pauses, seen=self._noted)

    def _noted(self, transient: Transient) -> None:
        """Nobody is asked for as long as the registry has said."""
        if transient.after:
            self._quiet_until = max(self._quiet_until, time.monotonic() + transient.after)

    @contextmanager
    def once(self, request: Request) -> Iterator[urllib3.BaseHTTPResponse]:
        """One answer to ``request`` that is a good one, after redirects; its body is read within the block.

        Raises Transient for what may pass, so that the caller can go on where it was.
        """
        self._choose()
        with self._slots[callable(request.body)]:
            self._wait()
            sent = self._authorization.header(request.scopes)
            # A second time with what the first answer asked for.
            for last in (False, True):
                with self._followed(request, sent) as (here, response):
                    if response.status in request.good:
                        yield response
                        return
                    answer = Answer(response.status, response.headers, self._beginning(request, response))
                if answer.status != 401 or last or not self._is_own(here):
                    break
                renewed = self._authorization.renewed(request.scopes, answer.headers, refused=sent)
                if renewed is None:
                    break
                sent = renewed
            raise self.refusal(request, answer).error()

    def chunks(self, request: Request, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """The body of ``response``, in pieces; Transient where it is cut short."""
        import urllib3

        try:
            yield from response.stream(_CHUNK, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.shown(request), error) from error

    def body(self, request: Request, response: urllib3.BaseHTTPResponse) -> bytes:
        """The whole body of ``response``; IntegrityError where it is larger than any document may be."""
        body = bytearray()
        for chunk in self.chunks(request, response):
            body += chunk
            if len(body) > _MOST:
                raise IntegrityError(
                    f"cannot {request.doing}: more than {_MOST} bytes came", where=self.shown(request)
                )
        return bytes(body)

    def shown(self, request: Request) -> str:
        """The address of ``request``, for people."""
        return redacted(self.address(request.path))

    def address(self, path: str) -> str:
        """The whole address of ``path``, as a request or a Location header has it."""
        return urljoin(f"{self._roots[0]}/", path)

    def joined(self, request: Request, here: str, told: str) -> str:
        """The whole address that the answer from ``here`` told as ``told``. Raises Unreachable when it is none."""
        try:
            there = urljoin(here, told)
            parts = urlsplit(there)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise Unreachable(f"cannot {request.doing}: {redacted(here)} leads to what is no address")
        return there

    # -- one request -----------------------------------------------------------------------------------

    def _choose(self) -> None:
        """Of several roots keep the one that answers at all: an insecure registry may speak no TLS."""
        with self._choosing:
            while len(self._roots) > 1:
                try:
                    with self._opened(Request(method="GET", path="/v2/", doing=""), self.address("/v2/"), {}):
                        del self._roots[1:]
                except (Transient, TaskImageError):
                    del self._roots[0]

    def _wait(self) -> None:
        while (rest := self._quiet_until - time.monotonic()) > 0:
            if not Crew.current().waited(rest):
                Crew.current().check()

    @contextmanager
    def _followed(
        self, request: Request, authorization: Mapping[str, str]
    ) -> Iterator[tuple[str, urllib3.BaseHTTPResponse]]:
        """The answer after redirects and its address; what is secret stays with the origin that it is for."""
        here = self.address(request.path)
        sent = {**request.headers, **(authorization if self._is_own(here) else {})}
        for _ in range(_REDIRECTS + 1):
            with self._opened(request, here, sent) as response:
                there = response.headers.get("Location")
                if not there or response.status not in _redirects(request.method):
                    yield here, response
                    return
                self._beginning(request, response)
            there = self.joined(request, here, there)
            self._check_redirect(request, here, there)
            if network.origin(there) != network.origin(here):
                sent = {name: value for name, value in sent.items() if name.lower() not in SECRET_HEADERS}
            here = there
        raise Unreachable(
            f"cannot {request.doing}: {self.shown(request)} redirects more than {_REDIRECTS} times"
        )

    @contextmanager
    def _opened(
        self, request: Request, url: str, headers: Mapping[str, str]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        body = request.body() if callable(request.body) else request.body
        if callable(request.body):
            headers = {**headers, "Content-Length": str(request.size)}
        trust = self.endpoint.trust if self._is_own(url) else Trust()
        try:
            with self._connections.opened(
                request.method, url, headers=headers, body=body, trust=trust, timeout=request.timeout
            ) as response:
                yield response
        finally:
            if callable(request.body):
                body.close()  # type: ignore[union-attr]

    def _is_own(self, url: str) -> bool:
        return any(network.origin(url) == network.origin(root) for root in self.endpoint.roots)

    def _check_redirect(self, request: Request, here: str, there: str) -> None:
        if urlsplit(there).scheme not in {"https", urlsplit(here).scheme}:
            raise Unreachable(
                f"cannot {request.doing}: {redacted(here)} redirects to {redacted(there)}, which is less safe; "
                "not followed"
            )

    def _beginning(self, request: Request, response: urllib3.BaseHTTPResponse) -> bytes:
        """What is read of an answer that is none; where that is all of it, its connection can be used again."""
        import urllib3

        if request.method == "HEAD":
            return b""
        try:
            return response.read(_TOLD, decode_content=True)
        except urllib3.exceptions.HTTPError:
            return b""


def _next(answer: Answer) -> str:
    """The address of the next page, "" for none."""
    for address, parameters in _LINK.findall(answer.headers.get("Link", "")):
        if _IS_NEXT.search(parameters):
            return str(address)
    return ""


def _redirects(method: str) -> Collection[int]:
    # What changes the method (301 to 303) is followed only where there is nothing to change.
    return (301, 302, 303, 307, 308) if method in ("GET", "HEAD") else (307, 308)
