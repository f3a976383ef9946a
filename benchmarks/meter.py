"""A door on loopback that counts what goes through it.

The bytes go from socket to socket inside the kernel (``splice``), so that counting costs whoever is measured
next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Meter"]

_BLOCK = 1 << 20


class Meter:
    """Passes connections on to ``port``; ``sent`` are the bytes of whoever connects, ``received`` the answers'."""

    def __init__(self, port: int) -> None:
        self._behind = ("127.0.0.1", port)
        self._lock = threading.Lock()
        self.sent = 0
        self.received = 0
        self._door = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.host = f"127.0.0.1:{self._door.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that waits in accept() does not see close().
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                registry = socket.create_connection(self._behind)
                for one in (client, registry):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._both, args=(client, registry), daemon=True).start()

    def _both(self, client: socket.socket, registry: socket.socket) -> None:
        with client, registry:
            back = threading.Thread(target=self._pass, args=(registry, client, "received"), daemon=True)
            back.start()
            self._pass(client, registry, "sent")
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket, count: str) -> None:
        reading, writing = os.pipe()
        try:
            # Whoever has enough hangs up.
            with contextlib.suppress(OSError):
                while there := os.splice(source.fileno(), writing, _BLOCK):
                    with self._lock:
                        setattr(self, count, getattr(self, count) + there)
                    while there:
                        there -= os.splice(reading, target.fileno(), there)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        finally:
            os.close(reading)
            os.close(writing)
