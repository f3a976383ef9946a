"""HTTP for package sources: pooled, bounded, patient, and believed only by digest.

A request that fails in passing (no connection, 408, 429, 5xx, a body cut short) is made again after a pause,
or after what ``Retry-After`` asks; a file goes on where it stopped. Credentials stay with the origin they
are for: a redirect elsewhere leaves them behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from taskimage.adapters.crew import Crew
from taskimage.adapters.http import network
from taskimage.adapters.http.answers import Transient, judge, patiently, retry_after, unreachable
from taskimage.adapters.http.connections import SECRET_HEADERS, Connections, login_in, redacted
from taskimage.adapters.store import Pending, Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, TaskImageError, Unreachable
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    import urllib3

__all__ = ["Answer", "Fetch", "Http", "redacted"]

T = TypeVar("T")

_CHUNK = 1 << 18
_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Fetch:
    """One file to fetch: the same bytes are at each of ``urls``, tried in order."""

    urls: tuple[str, ...]
    digest: Digest
    size: int | None
    label: str
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole body, the address it came from in the end, and its media type in lower case."""

    url: str
    media_type: str
    body: bytes


class Http:
    """A client over one pool of connections per proxy. Safe to share between threads.

    Args:
        environ: Where proxies, certificate authorities and netrc are named; the process's own by default.
        pauses: Seconds to wait before each further attempt.
        offline: Ask nobody: every request is Unreachable.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        pauses: Sequence[float] = (0.3, 1.0, 3.0),
        offline: bool = False,
    ) -> None:
        self._connections = Connections(environ, offline=offline)
        self._pauses = tuple(pauses)
        # Large files from one server are not to hold up the many small ones of another.
        self._fetching: dict[tuple[str, str, int | None], threading.Semaphore] = {}
        self._turns: dict[Digest, threading.Lock] = {}

    def make_ready(self) -> None:
        """Load the authorities that TLS needs, which takes longer than many a request."""
        self._connections.make_ready()

    # -- whole bodies ----------------------------------------------------------------------------------

    def get(self, url: str, *, limit: int, headers: Mapping[str, str] | None = None) -> bytes:
        """The body at ``url``, of at most ``limit`` bytes.

        Raises NotFound (404, 410), NotAllowed (401, 403), IntegrityError (more than ``limit``),
        Unreachable (all else, after some patience).
        """
        return self.read(url, limit=limit, headers=headers).body

    def read(self, url: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Answer:
        """What `get` gives, with its media type and its address after redirects.

        The body is decoded only where ``headers`` ask for an encoding: a ``.gz`` stays what it is.
        """

        def attempt() -> Answer:
            body = bytearray()
            with self._opened(url, headers) as (final, response):
                for chunk in self._chunks(url, response, decode="Accept-Encoding" in (headers or {})):
                    body += chunk
                    if len(body) > limit:
                        raise IntegrityError(
                            f"more than the {limit} bytes that were expected", where=redacted(url)
                        )
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return Answer(final, media_type, bytes(body))

        return self._patiently(attempt)

    def size(self, url: str, *, headers: Mapping[str, str] | None = None) -> int | None:
        """The size in bytes of the file at ``url``, or None when the server does not tell."""

        def attempt() -> int | None:
            # Not HEAD: signed addresses of object stores are good for GET alone.
            with self._opened(url, {**(headers or {}), "Range": "bytes=0-0"}) as (_, response):
                if response.status == 206:
                    told = response.headers.get("Content-Range", "").rpartition("/")[2]
                else:
                    told = response.headers.get("Content-Length", "")
                return int(told) if told.isdecimal() else None

        return self._patiently(attempt)

    # -- files -----------------------------------------------------------------------------------------

    def fetch(self, store: Store, wanted: Iterable[Fetch], *, moved: Callable[[int], None]) -> None:
        """Every wanted file is in the store's inputs, several at a time; what is there is left alone.

        ``moved`` hears how many bytes came, one call at a time; fewer than none when a file starts again.
        """
        missing = {item.digest: item for item in wanted if not store.input_path(item.digest).exists()}
        lock = threading.Lock()

        def tell(amount: int) -> None:
            with lock:
                moved(amount)

        # The largest first, so that none is left to run alone at the end.
        ordered = sorted(missing.values(), key=lambda item: -(item.size or 0))
        self.each(lambda item: self._fetch(store, item, tell), ordered)

    def each(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        """``work`` is done on every item, several at a time; the first failure, or Ctrl-C, ends all of it."""
        Crew.run(work, items)

    def _fetch(self, store: Store, item: Fetch, moved: Callable[[int], None]) -> None:
        # Several layers may want the same file: one thread fetches it, and the others find it.
        with self._turns.setdefault(item.digest, threading.Lock()):
            if store.input_path(item.digest).exists():
                return
            self._fetch_from_any(store, item, moved)

    def _fetch_from_any(self, store: Store, item: Fetch, moved: Callable[[int], None]) -> None:
        failure: TaskImageError | None = None
        for url in item.urls:
            try:
                with (
                    self._fetching.setdefault(network.origin(url), threading.Semaphore(Crew.SIZE)),
                    store.pending_input(item.digest, item.size, where=redacted(url)) as pending,
                ):
                    self._patiently(partial(self._more, url, item, pending, moved))
            except TaskImageError as error:
                failure = failure or error
            else:
                return
        raise failure or Unreachable(f"no address is known for {item.label}")

    def _more(self, url: str, item: Fetch, pending: Pending, moved: Callable[[int], None]) -> None:
        """One attempt at the bytes that ``pending`` still lacks."""
        if pending.size and pending.size == item.size:
            return
        headers = {**(item.headers or {}), "Accept-Encoding": "identity"}
        if pending.size:
            headers["Range"] = f"bytes={pending.size}-"
        with self._opened(url, headers) as (_, response):
            continues = f"bytes {pending.size}-"
            if pending.size and not (
                response.status == 206 and response.headers.get("Content-Range", "").startswith(continues)
            ):
                moved(-pending.size)
                pending.restart()
                if response.status != 200:
                    raise Transient(Unreachable(f"cannot resume {redacted(url)} where it stopped"))
            for chunk in self._chunks(url, response, decode=False):
                if item.size is not None and pending.size + len(chunk) > item.size:
                    raise IntegrityError(
                        f"more than the {item.size} bytes that were expected",
                        where=redacted(url),
                        hint="find out why the file has changed before it is locked again",
                    )
                pending.write(chunk)
                moved(len(chunk))

    # -- one request -----------------------------------------------------------------------------------

    def _patiently(self, attempt: Callable[[], T]) -> T:
        return patiently(attempt, self._pauses)

    @contextmanager
    def _opened(
        self, url: str, headers: Mapping[str, str] | None
    ) -> Iterator[tuple[str, urllib3.BaseHTTPResponse]]:
        """The answer to a GET after redirects, when it is a good one, and where it came from."""
        sent = dict(headers or {})
        here = url
        for _ in range(_REDIRECTS + 1):
            asked = self._connections.opened("GET", here, headers={**self._login(here), **sent})
            with asked as response:
                there = response.get_redirect_location()
                if not there:
                    judge(redacted(here), response.status, retry_after(response.headers))
                    yield here, response
                    return
            there = urljoin(here, there)
            if network.origin(there)[0] not in {"https", network.origin(here)[0]}:
                raise Unreachable(
                    f"{redacted(here)} redirects to {redacted(there)}, which is less safe; not followed"
                )
            if network.origin(there) != network.origin(here):
                sent = {name: value for name, value in sent.items() if name.lower() not in SECRET_HEADERS}
            here = there
        raise Unreachable(f"{redacted(url)} redirects more than {_REDIRECTS} times")

    def _chunks(self, url: str, response: urllib3.BaseHTTPResponse, *, decode: bool) -> Iterator[bytes]:
        import urllib3

        try:
            yield from response.stream(_CHUNK, decode_content=decode)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(redacted(url), error) from error

    def _login(self, url: str) -> Mapping[str, str]:
        """The header for the credentials in ``url`` itself, else in netrc."""
        found = login_in(url) or network.netrc_login(urlsplit(url).hostname or "", self._connections.environ)
        return network.basic(*found) if found else {}
