"""Answers whose headers have come to their end: ``http.client`` takes a lost connection for that end.

What is left of an answer then looks like another one: a 401 that asks for nothing, a 202 that leads nowhere.
"""

from __future__ import annotations

import http.client
from typing import IO, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

__all__ = ["POOLS"]


class _Lines:
    """A stream that remembers the last line that was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._stream.readline(limit)
        return self.last

    def close(self) -> None:
        self._stream.close()


class _Response(http.client.HTTPResponse):
    def begin(self) -> None:
        stream = self.fp
        lines = _Lines(stream)
        self.fp = cast("IO[bytes]", lines)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            # Without a body it is closed already.
            if self.fp is not None:
                self.fp = stream
        if lines.last.strip(b"\r\n") or not lines.last:
            self.close()
            raise http.client.RemoteDisconnected("the connection was lost among the headers")


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _Pool, "https": _SecurePool}
"""What `urllib3.PoolManager.pool_classes_by_scheme` is set to."""
