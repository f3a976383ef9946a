"""Engines of this machine: the first that answers takes the archive, or says why it does not; none is told with all
that was tried."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from taskimage.adapters.images.engine import find_engine
from taskimage.model.errors import CannotBuild, NotFound, Unreachable


class Docker(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An engine that answers as Docker's does, on a socket."""

    daemon_threads = True
    status = 200
    answer = b'{"stream":"Loaded image: app:v1\\n"}\n'
    hangs_up = False

    def __init__(self, path: Path) -> None:
        self.loaded: list[bytes] = []
        super().__init__(str(path), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Docker

    def do_GET(self) -> None:
        self._send(200, b"OK")

    def do_POST(self) -> None:
        assert self.path.startswith("/images/load")
        assert self.headers["Transfer-Encoding"] == "chunked"
        if self.server.hangs_up:
            self.connection.close()
            self.close_connection = True
            return
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.server.loaded.append(body)
        self._send(self.server.status, self.server.answer)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def engine(path: Path) -> Iterator[Docker]:
    path.parent.mkdir(parents=True, exist_ok=True)
    server = Docker(path)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """That of a person with no engine at all."""
    (tmp_path / "bin").mkdir()
    folder = str(tmp_path)
    return {
        "HOME": folder,
        "XDG_RUNTIME_DIR": folder,
        "PATH": f"{folder}/bin",
        "CONTAINERD_ADDRESS": f"{folder}/containerd.sock",
        "DOCKER_HOST": f"unix://{folder}/nothing.sock",
    }


def program(environ: dict[str, str], name: str, script: str) -> None:
    path = Path(environ["PATH"]) / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def load(environ: dict[str, str], data: bytes = b"archive" * 1000) -> str:
    """Hand some bytes to the engine; its name."""
    found = find_engine(environ)
    with found.loading() as stream:
        stream.write(data)
        stream.write(b"end")
    return found.name


def test_docker_gets_the_archive_over_its_socket(environ: dict[str, str], tmp_path: Path) -> None:
    with engine(tmp_path / "docker.sock") as docker:
        environ["DOCKER_HOST"] = f"unix://{tmp_path}/docker.sock"
        assert load(environ) == f"Docker at unix://{tmp_path}/docker.sock"
    assert docker.loaded == [b"archive" * 1000 + b"end"]


def test_podman_s_socket_is_found_where_docker_is_not(environ: dict[str, str], tmp_path: Path) -> None:
    with engine(tmp_path / "podman" / "podman.sock") as podman:
        assert load(environ).startswith("Podman at unix://")
    assert len(podman.loaded) == 1


def test_podman_is_run_where_it_does_not_listen(environ: dict[str, str], tmp_path: Path) -> None:
    program(environ, "podman", f'test "$1" = load && /bin/cat > {tmp_path}/taken')
    assert load(environ) == "podman"
    assert (tmp_path / "taken").read_bytes().endswith(b"end")


def test_containerd_gets_it_in_the_namespace_of_the_environment(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "containerd.sock").touch()
    program(environ, "ctr", f'echo "$@" > {tmp_path}/words; /bin/cat > {tmp_path}/taken')
    assert load({**environ, "CONTAINERD_NAMESPACE": "k8s.io"}).endswith("namespace k8s.io")
    words = (tmp_path / "words").read_text().split()
    assert words == [
        "--address",
        f"{tmp_path}/containerd.sock",
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "-",
    ]
    assert (tmp_path / "taken").read_bytes().endswith(b"end")


def test_no_engine_is_told_with_all_that_was_tried(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "containerd.sock").touch()
    with pytest.raises(NotFound) as caught:
        find_engine({**environ, "CONTAINER_HOST": "ssh://host/podman.sock"})
    lines = str(caught.value).splitlines()
    assert lines[1].strip() == f"Docker at unix://{tmp_path}/nothing.sock: No such file or directory"
    assert (
        lines[2].strip() == "Podman at ssh://host/podman.sock: ssh:// is not spoken; wanted unix:// or tcp://"
    )
    assert lines[3].strip() == "podman: no such program"
    assert "the program ctr is not installed" in lines[4]
    assert "-o docker-archive:FILE" in lines[5]


@pytest.mark.parametrize(
    ("status", "answer", "complaint"),
    [
        (200, b'{"stream":"x"}\n{"errorDetail":{"message":"no space"},"error":"no space"}\n', "'no space'"),
        (500, b'{"message":"invalid tar header"}', "'invalid tar header'"),
        (403, b"<html>", "answers 403"),
    ],
)
def test_what_an_engine_says_is_told(
    environ: dict[str, str], tmp_path: Path, status: int, answer: bytes, complaint: str
) -> None:
    with engine(tmp_path / "podman" / "podman.sock") as podman:
        podman.status, podman.answer = status, answer
        with pytest.raises(CannotBuild, match=complaint):
            load(environ)


def test_an_engine_that_breaks_off_is_unreachable(environ: dict[str, str], tmp_path: Path) -> None:
    with engine(tmp_path / "podman" / "podman.sock") as podman:
        podman.hangs_up = True
        with pytest.raises(Unreachable, match="broke off"):
            load(environ, bytes(50 << 20))


@pytest.mark.parametrize("script", ["echo no such option >&2; exit 1", "/bin/cat >/dev/null; echo no such option >&2; exit 1"])  # fmt: skip
def test_what_a_program_says_is_told(environ: dict[str, str], script: str) -> None:
    program(environ, "podman", script)
    with pytest.raises(CannotBuild, match="podman does not take the image: no such option"):
        load(environ, bytes(1 << 20))


def test_an_archive_that_is_not_finished_is_not_loaded(environ: dict[str, str], tmp_path: Path) -> None:
    def interrupted(go_on: Callable[[], object]) -> None:
        with find_engine(environ).loading() as stream:
            stream.write(b"half")
            go_on()

    with engine(tmp_path / "podman" / "podman.sock") as podman:
        with pytest.raises(ZeroDivisionError):
            interrupted(lambda: 1 / 0)
        interrupted(lambda: None)
    assert podman.loaded == [b"half"]
