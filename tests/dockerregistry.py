"""Debian's ``docker-registry``, run on loopback: open, with users, with a token server, behind TLS."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.repositories import CANARY

from taskimage.testing import Certificates

if TYPE_CHECKING:
    from typing_extensions import Self

# bcrypt of the canary, as htpasswd writes it.
_HTPASSWD = "ada:$2y$05$abcdefghijklmnopqrstuuw1Bp6tyl9qXUMa3oNPoAEzrXMXK4p0m\n"

# What the registry allows clocks to differ.
_LEEWAY = 60


class DockerRegistry:
    """One registry process, which keeps its port and its content when it is started again."""

    def __init__(self, folder: Path, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        self.scheme = "https" if "REGISTRY_HTTP_TLS_KEY" in environ else "http"
        self.access_log = folder / "access.log"
        self._settings = folder / "registry.yml"
        self._settings.write_text("version: 0.1\nlog: {level: error}\n")
        self._environ = {
            "PATH": os.environ["PATH"],
            "REGISTRY_HTTP_ADDR": self.host,
            "REGISTRY_HTTP_SECRET": "0",
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(folder / "storage"),
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            **environ,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.scheme}://{self.host}"

    def start(self) -> None:
        """Run it, and wait until it listens."""
        with self.access_log.open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", self._settings],
                env=self._environ, stdout=log, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        address, _, port = self.host.rpartition(":")
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((address, int(port)), 1):
                return
            time.sleep(0.05)
        raise AssertionError("docker-registry does not listen")

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def docker_registry(folder: Path, **environ: str) -> Iterator[DockerRegistry]:
    """A running registry whose files are in ``folder``; ``environ`` are its settings."""
    if not shutil.which("docker-registry"):
        pytest.skip("needs docker-registry")
    registry = DockerRegistry(folder, **environ)
    registry.start()
    try:
        yield registry
    finally:
        registry.kill()


def with_users(folder: Path) -> dict[str, str]:
    """The settings for Basic credentials."""
    (folder / "htpasswd").write_text(_HTPASSWD)
    return {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "registry",
            "REGISTRY_AUTH_HTPASSWD_PATH": str(folder / "htpasswd")}  # fmt: skip


def with_tls(certificates: Certificates) -> dict[str, str]:
    """The settings for HTTPS."""
    return {"REGISTRY_HTTP_TLS_CERTIFICATE": str(certificates.certificate),
            "REGISTRY_HTTP_TLS_KEY": str(certificates.key)}  # fmt: skip


class TokenServer:
    """Gives tokens that the registry believes (distribution, "Token Authentication Specification").

    ``lifetime`` is how many seconds they are good for; clients are told that it is longer.
    """

    def __init__(self, folder: Path, *, lifetime: float = 300) -> None:
        self.lifetime = lifetime
        self.given: list[str] = []
        self._key, self._certificate = folder / "token-key.pem", folder / "token.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=tokens",
             "-keyout", self._key, "-out", self._certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                login = "Basic " + base64.b64encode(f"ada:{CANARY}".encode()).decode()
                known = self.headers.get("Authorization") == login
                scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
                document = {"token": owner.token(scopes), "expires_in": 300} if known else {}
                self.send_response(200 if known else 401)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a registry that sends its clients here."""
        port = self._server.server_address[1]
        return {"REGISTRY_AUTH": "token", "REGISTRY_AUTH_TOKEN_REALM": f"http://127.0.0.1:{port}/token",
                "REGISTRY_AUTH_TOKEN_SERVICE": "registry", "REGISTRY_AUTH_TOKEN_ISSUER": "tests",
                "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE": str(self._certificate)}  # fmt: skip

    def token(self, scopes: list[str]) -> str:
        """A signed token (RFC 7519) for ``scopes``."""
        self.given += scopes
        der = "".join(self._certificate.read_text().splitlines()[1:-1])
        access = [dict(zip(("type", "name", "actions"), (*scope.split(":")[:2], scope.split(":")[2].split(",")),
                           strict=True)) for scope in scopes]  # fmt: skip
        now = int(time.time())
        claims = {"iss": "tests", "sub": "ada", "aud": "registry", "jti": str(time.monotonic_ns()), "iat": now,
                  "nbf": now - 1, "exp": now - _LEEWAY + self.lifetime, "access": access}  # fmt: skip
        signed = b".".join(map(_encoded, ({"typ": "JWT", "alg": "RS256", "x5c": [der]}, claims)))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key], input=signed, check=True, capture_output=True
        ).stdout  # fmt: skip
        return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def _encoded(document: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")
