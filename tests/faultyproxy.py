"""What stands between a client and a real registry, and lets things go wrong."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from taskimage.testing.exchanges import Exchange, Exchanges
from taskimage.testing.faults import Fault, Faults
from taskimage.testing.messages import Answer, Request
from taskimage.testing.server import Server

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CuttingRelay", "FaultyProxy"]

# What is of one connection, and not of the message.
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class FaultyProxy:
    """Hands requests on to the registry at ``target``, apart from those that a fault is ordered for."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._faults = Faults()
        self._exchanges = Exchanges()

    def __enter__(self) -> Self:
        self._server = Server(
            ("127.0.0.1", 0), self._forward, faults=self._faults, exchanges=self._exchanges, tls=None
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """What came by."""
        return self._exchanges.all()

    def fail(self, *faults: Fault) -> None:
        """Let requests go wrong."""
        for fault in faults:
            self._faults.add(fault)

    def _forward(self, request: Request) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        target = quote(request.path, safe="/:") + ((request.query and f"?{urlencode(request.query)}") or "")
        with contextlib.closing(http.client.HTTPConnection(self._target)) as registry:
            registry.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                registry.putheader(name, value)
            registry.putheader("Content-Length", str(request.body.length))
            registry.endheaders()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in request.body:
                    registry.send(piece)
            answer = registry.getresponse()
            body = answer.read()
            if request.method == "HEAD":
                # Not sent, and counted.
                body = bytes(int(answer.headers.get("Content-Length", "0")))
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return Answer(answer.status, kept, body)


class CuttingRelay:
    """Hands bytes on to ``target``; after ``up`` bytes to it, or ``down`` from it, all connections break, once."""

    def __init__(self, target: str, *, up: int | None = None, down: int | None = None) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._left = {"up": up, "down": down}
        self.passed = {"up": 0, "down": 0}
        self.cut = False
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listening)
        self._break()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                registry = socket.create_connection(self._target)
                with self._lock:
                    self._ends += [client, registry]
                for name, source, sink in (("up", client, registry), ("down", registry, client)):
                    threading.Thread(target=self._hand_on, args=(name, source, sink), daemon=True).start()

    def _hand_on(self, name: str, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    allowed, whole = self._allowed(name, len(data))
                sink.sendall(data[:allowed])
                if not whole:
                    self._break()
                    return
        for end in (source, sink):
            _shut(end)

    def _allowed(self, name: str, size: int) -> tuple[int, bool]:
        left = self._left[name]
        self.passed[name] += size
        if left is None or size <= left:
            self._left[name] = None if left is None else left - size
            return size, True
        self._left[name] = None
        self.cut = True
        return left, False

    def _break(self) -> None:
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            _shut(end)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
