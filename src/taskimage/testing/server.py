"""The sockets and threads of a registry: HTTP/1.1 with connections that are kept, a thread for each."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from taskimage.testing.exchanges import Exchange, Exchanges
from taskimage.testing.faults import Fault, Faults
from taskimage.testing.messages import PIECE, Answer, Body, Hangup, Request

__all__ = ["Server"]

_DRAINED = 1 << 18
"""How much is read of a body that nobody wants, before the connection is given up (Go's server does so)."""

_LINGER = 2.0
"""Seconds for which such a client may go on sending."""


class Server(ThreadingTCPServer):
    """Serves from now on until it is stopped: ``respond`` does what is asked, ``faults`` come between."""

    allow_reuse_address = True
    # More than all connections of a client: one that is turned away comes back after a second.
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        respond: Callable[[Request], Answer],
        *,
        faults: Faults,
        exchanges: Exchanges,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.stopped = threading.Event()
        self._connections: dict[Any, threading.Thread] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, partial(_Handler, respond=respond, faults=faults, exchanges=exchanges))
        if tls:
            # The handshake is a matter of each connection's thread.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="registry", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.server_address[1]
        return port

    def stop(self) -> None:
        """Close all connections, whatever goes on in them, and wait for the threads of the others."""
        self.stopped.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection, thread in list(self._connections.items()):
            _end(connection)
            if thread is not threading.current_thread():
                thread.join(5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._connections[request] = thread
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._connections[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that hang up or do not like a certificate: they are what tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError | ssl.SSLError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def __init__(
        self,
        *arguments: Any,
        respond: Callable[[Request], Answer],
        faults: Faults,
        exchanges: Exchanges,
    ) -> None:
        self._respond = respond
        self._faults = faults
        self._exchanges = exchanges
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        pass

    def serve(self) -> None:
        """Answer one request."""
        ordered = self._faults.pick(self.command, self.path)
        fault = ordered or Fault()
        headers = {name.lower(): value for name, value in self.headers.items()}
        pace = partial(self._pace, fault)
        body = Body(self.rfile, headers, cut=fault.cut_request, most=fault.piece, pace=pace)
        exchange = Exchange(method=self.command, path=self.path, headers=headers, fault=ordered)
        try:
            answer = self._answer(Request.parse(self.command, self.path, headers, body), fault)
        except Hangup:
            self._exchanges.add(replace(exchange, received=body.received))
            self._hang_up()
            return
        self._send(answer, fault, replace(exchange, status=answer.status, received=body.received), body)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = serve  # noqa: N815 - what http.server calls

    def _answer(self, request: Request, fault: Fault) -> Answer:
        if fault.before is not None:
            fault.before()
        if self.server.stopped.wait(fault.delay):
            raise Hangup
        answer = fault.answer(self.path) or self._respond(request)
        request.body.drain(_DRAINED)
        if fault.lost:
            raise Hangup
        return answer

    def _send(self, answer: Answer, fault: Fault, exchange: Exchange, body: Body) -> None:
        size = 0 if self.command == "HEAD" else fault.kept(answer.size)
        number = self._exchanges.add(replace(exchange, sent=size))
        sent = late = 0
        try:
            self.connection.sendall(_head(answer, fault, ends=not body.whole))
            for piece in fault.spoiled(answer.pieces(fault.piece), size):
                self.connection.sendall(piece)
                sent += len(piece)
                self._pace(fault, len(piece))
            if not body.whole:
                late = self._linger()
        finally:
            self._exchanges.correct(number, replace(exchange, sent=sent, received=exchange.received + late))
        if fault.ends_connection:
            self._hang_up()

    def _pace(self, fault: Fault, size: int) -> None:
        if fault.rate:
            self.server.stopped.wait(size / fault.rate)

    def _linger(self) -> int:
        """Let a client send on, so that it comes to read the answer; how many bytes it sent."""
        self.close_connection = True
        received = 0
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER)
            end = time.monotonic() + _LINGER
            while time.monotonic() < end and (piece := self.connection.recv(PIECE)):
                received += len(piece)
        return received

    def _hang_up(self) -> None:
        self.close_connection = True
        _end(self.connection)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _head(answer: Answer, fault: Fault, *, ends: bool) -> bytes:
    headers = {"Docker-Distribution-API-Version": "registry/2.0", **answer.headers}
    if answer.status != 204:
        headers["Content-Length"] = str(fault.stated(answer.size))
    headers |= fault.headers
    if ends:
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
