"""One request, one answer: pooled connections through this machine's proxies, held to its authorities.

Nothing is judged here and no redirect is followed; whoever asks knows what an answer means.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from taskimage.adapters.crew import Crew
from taskimage.adapters.http import network
from taskimage.adapters.http.answers import unreachable
from taskimage.adapters.http.trust import DEFAULT, Trust, tls
from taskimage.model.errors import BadInput, Unreachable

if TYPE_CHECKING:
    import ssl

    import urllib3

__all__ = ["SECRET_HEADERS", "Body", "Connections", "login_in", "redacted", "without_login"]

Body: TypeAlias = "bytes | IO[bytes] | None"

SECRET_HEADERS = frozenset({"authorization", "cookie"})
"""What stays behind when a request is sent on to another origin."""

# As much as is read from a body and handed to the socket at once; the default of 16 KiB is slow on loopback.
_BLOCK = 1 << 18
_CONNECT = 10.0  # seconds


def redacted(url: str) -> str:
    """``url`` without the credentials, query and fragment that it may carry."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


class Connections:
    """Pools of connections, one for each proxy and trust. Safe to share between threads.

    Args:
        environ: Where proxies, certificate authorities and netrc are named; the process's own by default.
        offline: Ask nobody: every request is Unreachable.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, *, offline: bool = False) -> None:
        self.environ = os.environ if environ is None else environ
        self._offline = offline
        self._managers: dict[tuple[str, str | None, Trust], urllib3.PoolManager] = {}
        self._contexts: dict[Trust, ssl.SSLContext] = {}
        self._making = threading.Lock()

    @contextmanager
    def opened(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body = None,
        trust: Trust = DEFAULT,
        timeout: float = 60,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to one request, whose body is read within the block; the connection is kept where it can be.

        Credentials that ``url`` carries are not sent: they are the caller's to put into ``headers``. A stream
        as ``body`` needs a Content-Length among them. ``timeout`` is how many seconds the other side may be
        silent. Raises Transient or Unreachable when there is no answer.
        """
        import urllib3

        shown = redacted(url)
        if self._offline:
            raise Unreachable(f"{shown} is not asked offline", hint="run it once without --offline")
        try:
            response = self._manager(url, trust).request(
                method, without_login(url), headers=headers, body=body,
                timeout=urllib3.Timeout(connect=_CONNECT, read=timeout),
                redirect=False, retries=False, preload_content=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(shown, error) from error
        with response, Crew.current().watching(response.shutdown):
            yield response

    def make_ready(self) -> None:
        """Load the usual authorities; where they cannot be read, whoever needs them is told."""
        with self._making, suppress(BadInput):
            self._context(DEFAULT)

    def _manager(self, url: str, trust: Trust) -> urllib3.PoolManager:
        key = urlsplit(url).scheme, network.proxy(url, self.environ), trust
        with self._making:
            if key not in self._managers:
                from taskimage.adapters.http.wholeheaders import POOLS

                self._managers[key] = self._made(*key)
                self._managers[key].pool_classes_by_scheme = POOLS
            return self._managers[key]

    def _made(self, scheme: str, proxy: str | None, trust: Trust) -> urllib3.PoolManager:
        import urllib3

        if not trust.verified:
            # Whoever set that knows.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        # Loading the authorities takes longer than many a request.
        context = self._context(trust) if scheme == "https" else None
        if proxy is None:
            return urllib3.PoolManager(maxsize=2 * Crew.SIZE, blocksize=_BLOCK, ssl_context=context)
        login = login_in(proxy)
        return urllib3.ProxyManager(
            without_login(proxy), maxsize=2 * Crew.SIZE, blocksize=_BLOCK, ssl_context=context,
            proxy_ssl_context=self._context(DEFAULT) if proxy.startswith("https:") else None,
            proxy_headers=login and {"Proxy-Authorization": network.basic(*login)["Authorization"]},
        )  # fmt: skip

    def _context(self, trust: Trust) -> ssl.SSLContext:
        if trust not in self._contexts:
            self._contexts[trust] = tls(self.environ, trust)
        return self._contexts[trust]


def login_in(url: str) -> tuple[str, str] | None:
    """User and password that ``url`` carries."""
    parts = urlsplit(url)
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def without_login(url: str) -> str:
    """``url`` without user, password and fragment."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
