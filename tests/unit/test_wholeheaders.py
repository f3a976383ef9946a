"""Answers that were cut among their headers are no answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from taskimage.adapters.http.answers import Transient
from taskimage.adapters.http.connections import Connections

ANSWER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-Long: 1\r\n\r\nno"
HEAD = ANSWER.index(b"\r\n\r\n") + 4


@contextlib.contextmanager
def sending(*answers: bytes) -> Iterator[str]:
    """The address of a server that gives each connection one of ``answers``, and closes it."""

    def serve() -> None:
        for answer in answers:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_headers_that_were_cut_are_no_answer_wherever_they_were_cut(method: str) -> None:
    connections = Connections({})
    with sending(*(ANSWER[:end] for end in range(HEAD - 1))) as url:
        for _ in range(HEAD - 1):
            with pytest.raises(Transient), connections.opened(method, url, headers={}):
                pass


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_headers_that_are_whole_are_an_answer(method: str) -> None:
    answer = ANSWER if method == "GET" else ANSWER[:HEAD]
    with sending(answer) as url, Connections({}).opened(method, url, headers={}) as response:
        assert response.status == 404
        assert response.headers["X-Long"] == "1"
        assert response.read() == (b"no" if method == "GET" else b"")


def test_an_answer_that_ends_with_its_connection() -> None:
    with (
        sending(b"HTTP/1.0 200 OK\r\n\r\nall of it") as url,
        Connections({}).opened("GET", url, headers={}) as response,
    ):
        assert response.read() == b"all of it"
