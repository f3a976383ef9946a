"""What an HTTP answer, or the lack of one, means: which family of error, and whether to ask again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

from taskimage.adapters.crew import Crew
from taskimage.adapters.http.network import is_loopback
from taskimage.model.errors import BadInput, NotAllowed, NotFound, TaskImageError, Unreachable

__all__ = ["PASSING", "Transient", "judge", "passing", "patiently", "retry_after", "unreachable"]

T = TypeVar("T")

PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 60.0
_LATER = "try again later"
_STARTING = 1.0  # seconds: a server of this machine is up soon, or was not started
_EARLY = "try again later; if this is an http:// address, look whether https:// is spoken there"
_PROXIES = "look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
_NETWORK = "check the name and this machine's network; behind a proxy set HTTPS_PROXY"


class Transient(Exception):
    """A failure that may pass. ``error`` is what to raise when it does not, ``after`` seconds to wait.

    ``longest`` is the longest pause, in seconds, that is worth the wait.
    """

    def __init__(self, error: TaskImageError, *, after: float = 0.0, longest: float = math.inf) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after
        self.longest = longest


def patiently(
    attempt: Callable[[], T], pauses: Iterable[float], *, seen: Callable[[Transient], object] = lambda _: None
) -> T:
    """What ``attempt`` gives; where it raises Transient it is made again, after each of ``pauses`` (seconds) in turn.

    ``seen`` gets every failure. Raises the error of the last one, or of one that no further attempt is worth.
    """
    for pause in (*pauses, None):
        try:
            return attempt()
        except Transient as transient:
            seen(transient)
            given_up = pause is None or pause > transient.longest
            if given_up or not Crew.current().waited(max(pause or 0, transient.after)):
                raise transient.error from transient.__cause__
    raise AssertionError


def judge(shown: str, status: int, after: float) -> None:
    """Nothing for 200 and 206; for other statuses the error, Transient where asking again may help."""
    if status in {200, 206}:
        return
    try:
        reason = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        reason = f"HTTP {status}"
    if status in {404, 410}:
        raise NotFound(f"{shown} is not there ({reason})")
    if status in {401, 403}:
        raise NotAllowed(
            f"{shown} may not be read ({reason})",
            hint="put the user and password for the host into ~/.netrc, or ask who runs it",
        )
    if status == 407:
        raise NotAllowed(
            f"the proxy wants credentials for {shown} ({reason})",
            hint="put them into HTTPS_PROXY: http://user:password@host:port",
        )
    error = Unreachable(f"{shown} cannot be had now: {_host(shown)} answered {reason}", hint=_LATER)
    raise passing(error, status, after)


def passing(error: TaskImageError, status: int, after: float) -> TaskImageError | Transient:
    """``error``, as Transient where ``status`` may pass in a time that can be waited for."""
    if status not in PASSING or after > _LONGEST_WAIT:
        return error
    return Transient(error, after=after)


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); 0 without one that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def unreachable(shown: str, error: Exception) -> Exception:
    """The error for a request that got no whole answer: which host, why, and what to do."""
    import ssl

    import urllib3.exceptions as http

    if isinstance(error, http.LocationValueError):
        return BadInput(f"not an address to fetch from: {shown!r}; wanted http:// or https://")
    host = _host(shown)
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            # Asking again changes nothing.
            return Unreachable(
                f"cannot reach {shown}: the certificate of {host} is not trusted ({cause.verify_message})",
                hint="set SSL_CERT_FILE to the file with your organisation's certificate authorities, or for an "
                "image registry `ca` in config.toml",
            )
        if isinstance(cause, ssl.SSLError):
            return Unreachable(
                f"cannot reach {shown}: no TLS connection with {host} ({cause.reason})",
                hint="look whether the address should begin with http:// or a proxy stands between",
            )
    reason, hint = _reason(host, causes)
    longest = _STARTING if _is_off(shown, causes) else math.inf
    return Transient(Unreachable(f"cannot reach {shown}: {reason}", hint=hint), longest=longest)


def _is_off(shown: str, causes: tuple[BaseException, ...]) -> bool:
    """Whether nothing listens at an address of this machine."""
    refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
    return refused and is_loopback(urlsplit(shown).hostname or "")


def _reason(host: str, causes: tuple[BaseException, ...]) -> tuple[str, str]:
    import urllib3.exceptions as http

    # In this order: urllib3's NewConnectionError is a timeout by inheritance alone.
    reasons: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
        ((http.ProxyError,), f"the proxy for {host} cannot be used", _PROXIES),
        ((http.NameResolutionError,), f"the name {host} is not known here", _NETWORK),
        ((ConnectionRefusedError,), f"{host} refused the connection", "look whether host and port are right"),
        ((http.NewConnectionError,), f"no connection to {host} could be made", _NETWORK),
        ((http.TimeoutError, TimeoutError), f"{host} did not answer in time", _NETWORK),
        ((http.DecodeError,), f"{host} sent a body that cannot be decoded", _LATER),
    )
    for kinds, reason, hint in reasons:
        if any(isinstance(cause, kinds) for cause in causes):
            return reason, hint
    return f"{host} closed the connection early", _EARLY


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what is behind it; urllib3 keeps some of it in arguments."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = next((value for value in error.args if isinstance(value, BaseException)), None)
        error = error.__cause__ or inner or error.__context__


def _host(shown: str) -> str:
    return urlsplit(shown).netloc
