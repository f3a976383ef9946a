"""Container engines of this machine, which take an archive: Docker, Podman, containerd.

Docker and Podman are spoken to by Docker's Engine API ("POST /images/load"), so that neither program has to be
installed; containerd has no such API but for its own programs, and `ctr` comes with it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Final, cast
from urllib.parse import urlsplit

from taskimage.model.errors import BadInput, CannotBuild, NotFound, TaskImageError, Unreachable
from taskimage.model.value import dataclass

__all__ = ["Engine", "find_engine"]

_ANSWERS: Final = 5.0  # seconds for an engine to say that it is there
_LOADS: Final = 1800.0  # and to unpack what it was given
_LONGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Engine:
    """Something that runs containers here.

    ``loading`` gives the stream that takes an archive; the engine has the image when that block has ended well.
    """

    name: str
    loading: Callable[[], AbstractContextManager[IO[bytes]]]


def find_engine(environ: Mapping[str, str]) -> Engine:
    """The first engine that answers: Docker's (where ``DOCKER_HOST`` says), Podman's, containerd's.

    Raises NotFound, which tells where it was looked for.
    """
    tried: list[str] = []
    for name, variable, sockets in _apis(environ):
        addresses = [environ[variable]] if environ.get(variable) else [f"unix://{path}" for path in sockets]
        for address in addresses:
            try:
                api = _Api(f"{name} at {address}", address, environ)
                api.ping()
            except (TaskImageError, OSError, http.client.HTTPException) as error:
                tried.append(f"{name} at {address}: {_reason(error)}")
            else:
                return Engine(api.name, api.loading)
    for name, command, missing in _programs(environ):
        if missing is None:
            return Engine(name, partial(_program, name, command))
        tried.append(f"{name}: {missing}")
    raise NotFound(
        "no container engine answers here; looked for:\n" + "\n".join(f"  {line}" for line in tried),
        hint="start one, or set DOCKER_HOST; or write the image to a file: -o docker-archive:FILE",
    )


def _apis(environ: Mapping[str, str]) -> Iterator[tuple[str, str, list[Path]]]:
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    home = Path(environ.get("HOME") or "~").expanduser()
    sockets = [Path("/var/run/docker.sock"), runtime / "docker.sock", home / ".docker/run/docker.sock"]
    yield "Docker", "DOCKER_HOST", sockets
    yield "Podman", "CONTAINER_HOST", [runtime / "podman/podman.sock", Path("/run/podman/podman.sock")]


def _programs(environ: Mapping[str, str]) -> Iterator[tuple[str, list[str], str | None]]:
    path = environ.get("PATH")
    podman, ctr = shutil.which("podman", path=path), shutil.which("ctr", path=path)
    yield "podman", [podman or "podman", "load"], None if podman else "no such program"
    address = environ.get("CONTAINERD_ADDRESS") or "/run/containerd/containerd.sock"
    namespace = environ.get("CONTAINERD_NAMESPACE") or "default"
    missing = (
        "no such socket"
        if not Path(address).exists()
        else None
        if ctr
        else "the program ctr is not installed"
    )
    command = [ctr or "ctr", "--address", address, "--namespace", namespace, "images", "import", "-"]
    yield f"containerd at {address}, namespace {namespace}", command, missing


def _reason(error: Exception) -> str:
    if isinstance(error, TaskImageError):
        return error.message
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


# -- Docker's API ----------------------------------------------------------------------------------------


class _Api:
    """An engine that speaks Docker's Engine API at ``address``."""

    def __init__(self, name: str, address: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self._address = address
        self._environ = environ

    def ping(self) -> None:
        """Raises when nothing answers that is such an engine."""
        with contextlib.closing(self._connection(_ANSWERS)) as connection:
            connection.request("GET", "/_ping")
            answer = connection.getresponse()
            if answer.status != 200:
                raise Unreachable(f"answers {answer.status} {answer.reason}")

    @contextlib.contextmanager
    def loading(self) -> Iterator[IO[bytes]]:
        """The stream that takes an archive. Raises CannotBuild when the engine does not take it."""
        with contextlib.closing(self._connection(_LOADS)) as connection:
            connection.putrequest("POST", "/images/load?quiet=1")
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            try:
                yield cast("IO[bytes]", _Chunked(connection))
                connection.send(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                # What it has seen was enough for it to answer.
                pass
            try:
                self._judge(connection.getresponse())
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(
                    f"{self.name} broke off: {_reason(error)}", hint="look into its log"
                ) from error

    def _judge(self, answer: http.client.HTTPResponse) -> None:
        data = answer.read(_LONGEST).decode("utf-8", "replace")
        # With status 200 comes one JSON object a line, and an error may be the last.
        for line in data.splitlines():
            with contextlib.suppress(ValueError, TypeError, LookupError):
                told = json.loads(line)
                problem = told.get("error") or (told.get("message") if answer.status != 200 else None)
                if problem:
                    raise CannotBuild(f"{self.name} does not take the image: {problem!r:.500}")
        if answer.status != 200:
            raise CannotBuild(
                f"{self.name} does not take the image: it answers {answer.status} {answer.reason}"
            )

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self._address)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout)
        if parts.scheme == "tcp" and parts.hostname:
            if not self._environ.get("DOCKER_TLS_VERIFY"):
                return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout)
            import ssl

            home = Path(self._environ.get("HOME") or "~").expanduser() / ".docker"
            keys = Path(self._environ.get("DOCKER_CERT_PATH") or home)
            context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
            context.load_cert_chain(keys / "cert.pem", keys / "key.pem")
            return http.client.HTTPSConnection(
                parts.hostname, parts.port or 2376, timeout=timeout, context=context
            )
        raise BadInput(f"{parts.scheme}:// is not spoken; wanted unix:// or tcp://")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Chunked:
    """A body whose length nobody knows yet (RFC 9112, 7.1)."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> int:
        self._connection.send(b"%x\r\n" % len(data))
        self._connection.send(data)
        self._connection.send(b"\r\n")
        return len(data)


# -- programs --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _program(name: str, command: list[str]) -> Iterator[IO[bytes]]:
    """The standard input of ``command``. Raises CannotBuild, with what it said, when it fails."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            with contextlib.suppress(BrokenPipeError), cast("BinaryIO", process.stdin) as stream:
                yield stream
        except BaseException:
            process.kill()
            raise
        said = cast("BinaryIO", process.stderr).read(_LONGEST).decode("utf-8", "replace").strip()
    if process.returncode:
        raise CannotBuild(
            f"{name} does not take the image: {said.splitlines()[-1] if said else process.returncode}"
        )
