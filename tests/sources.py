"""Package sources on loopback: a mirror with signed Debian archives, and a Python package index."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import lzma
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pysequoia import SignatureMode, Tsk, sign
from tests.archives import make_wheel, metadata

__all__ = ["CANARY", "NOW", "Archive", "Index", "Mirror", "package"]

NOW = datetime.now(timezone.utc)
CANARY = "s3cr3t+canary/x"


class _Server(ThreadingHTTPServer):
    # More than all connections of a client: one that is turned away comes back after a second.
    request_queue_size = 64


class Mirror:
    """A folder that is served on loopback, and what was asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.stalls = ""
        """Requests with this in their path get no answer while it is there."""
        mirror = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                while mirror.stalls and mirror.stalls in self.path:
                    time.sleep(0.02)
                # Whoever was kept waiting may be gone.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.stalls = ""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def write(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def package(name: str, version: str, body: bytes | None = None, **fields: str) -> str:
    """The paragraph of a package in Packages; ``body`` is its file, if that is more than its name and version."""
    body = f"{name} {version}".encode() if body is None else body
    lines = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        **{key.replace("_", "-"): value for key, value in fields.items()},
        "Filename": f"pool/main/{name}_{version}.deb",
        "Size": str(len(body)),
        "SHA256": sha256(body).hexdigest(),
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def _packed(text: bytes) -> dict[str, bytes]:
    return {".gz": gzip.compress(text, mtime=0), ".xz": lzma.compress(text)}


class Archive:
    """A signed archive with the packages of a few suites, in the folder ``root`` of its mirror."""

    def __init__(self, mirror: Mirror, key: Tsk, root: str = "") -> None:
        self.mirror = mirror
        self.key = key
        self.root = root

    def publish(
        self,
        suite: str,
        *packages: str,
        state: str = "stable",
        until: datetime | None = None,
        by_hash: bool = True,
        key: Tsk | None = None,
        packed: Mapping[str, bytes] | None = None,
        changes: Mapping[str, str] | None = None,
        components: Mapping[str, str] | None = None,
    ) -> None:
        """``packages`` are those of main, ``packed`` by the endings of their names; ``components`` has what others hold."""
        text = "\n".join(packages).encode()
        lists = {"main": {"": text, **(_packed(text) if packed is None else packed)}}
        for name, more in (components or {}).items():
            lists[name] = {"": more.encode(), **_packed(more.encode())}
        fields = {
            "Suite": state + "".join(suite.partition("-")[1:]),
            "Codename": suite,
            "Date": format_datetime(NOW - timedelta(days=1)),
            **({"Valid-Until": format_datetime(until)} if until else {}),
            **({"Acquire-By-Hash": "yes"} if by_hash else {}),
            **(changes or {}),
        }
        release = "".join(f"{name}: {value}\n" for name, value in fields.items()) + "SHA256:\n"
        for component, files in lists.items():
            folder = f"{component}/binary-amd64"
            for ending, data in files.items():
                release += f" {sha256(data).hexdigest()} {len(data)} {folder}/Packages{ending}\n"
                name = f"by-hash/SHA256/{sha256(data).hexdigest()}" if by_hash else f"Packages{ending}"
                if ending:  # as mirrors have it: the text is signed for, and nowhere
                    self.mirror.write(f"{self.root}dists/{suite}/{folder}/{name}", data)
        signed = sign((key or self.key).signer(), release.encode(), mode=SignatureMode.CLEAR)
        self.mirror.write(f"{self.root}dists/{suite}/InRelease", signed)

    def publish_all(self) -> None:
        """Release, updates and security of the suite `prime`."""
        self.publish(
            "prime", package("tool", "1.0", Depends="lib"), package("lib", "1.0"), package("base", "1")
        )
        self.publish("prime-updates", package("lib", "1.1"))
        self.publish("prime-security", package("lib", "1.0+sec1"))
        for name in ("tool_1.0", "lib_1.0", "lib_1.1", "base_1", "lib_1.0+sec1"):
            self.mirror.write(f"pool/main/{name}.deb", name.replace("_", " ").encode())


class Index:
    """A package index: the Simple API in JSON or HTML, with basic authentication where it is wanted."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.json = True
        self.core_metadata = True
        self.bounds: dict[str, str] = {}
        self.yanked: set[str] = set()
        self.password: str | None = None
        self.status = 200
        self.asked: list[str] = []
        self.stalls: Literal["", "pages", "before", "within"] = ""
        """What is held back: every page, or a wheel's answer, or its last byte."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.asked.append(self.path)
                status, kind, body = owner.answer(self.path, self.headers.get("Authorization", ""))
                stalls = owner.stalls if self.path.endswith(".whl") else ""
                if stalls == "before" or owner.stalls == "pages":
                    self.stall()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET" and stalls == "within":
                    self.wfile.write(body[:-1])
                    self.stall()
                elif self.command == "GET":
                    self.wfile.write(body)

            def stall(self) -> None:
                while owner.stalls:
                    time.sleep(0.02)

            do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = _Server(("127.0.0.1", 0), Handler)
        self.httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/simple"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def add(self, name: str, version: str, **more: Any) -> str:
        file, body = make_wheel(name, version, **more)
        self.files[file] = body
        if self.core_metadata:
            given = {key: more[key] for key in ("needs", "python", "licence") if key in more}
            self.files[f"{file}.metadata"] = metadata(name, version, **given).encode()
        return file

    def with_login(self, user: str = "me", password: str = CANARY) -> str:
        self.password = password
        return self.url.replace("://", f"://{user}:{quote(password, safe='')}@")

    def answer(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        if self.password is not None:
            want = base64.b64encode(f"me:{self.password}".encode()).decode()
            if authorization != f"Basic {want}":
                return 401, "text/plain", b"who are you"
        if self.status != 200:
            return self.status, "text/plain", b"no"
        first, _, last = path.strip("/").partition("/")
        if first == "files" and last in self.files:
            return 200, "application/octet-stream", self.files[last]
        listed = [
            name for name in self.files if name.partition("-")[0] == last and name.endswith((".whl", ".gz"))
        ]
        if first != "simple" or not listed:
            return 404, "text/plain", b"not here"
        return self.page_json(listed) if self.json else self.page_html(listed)

    def page_json(self, listed: list[str]) -> tuple[int, str, bytes]:
        files = [
            {
                "filename": name,
                "url": f"../../files/{name}",
                "hashes": {"sha256": hashlib.sha256(self.files[name]).hexdigest()},
                "size": len(self.files[name]),
                **({"core-metadata": self.metadata_hash(name)} if self.core_metadata else {}),
                **({"requires-python": self.bounds[name]} if name in self.bounds else {}),
                **({"yanked": True} if name in self.yanked else {}),
            }
            for name in listed
        ]
        body = {"meta": {"api-version": "1.1"}, "name": listed[0].partition("-")[0], "files": files}
        return 200, "application/vnd.pypi.simple.v1+json", json.dumps(body).encode()

    def metadata_hash(self, name: str) -> dict[str, str]:
        return {"sha256": hashlib.sha256(self.files.get(f"{name}.metadata", b"")).hexdigest()}

    def page_html(self, listed: list[str]) -> tuple[int, str, bytes]:
        anchors = "".join(
            f'<a href="../../files/{name}#sha256={hashlib.sha256(self.files[name]).hexdigest()}">{name}</a><br>'
            for name in listed
        )
        return 200, "text/html", f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode()

    def close(self) -> None:
        self.stalls = ""
        self.httpd.shutdown()
        self.httpd.server_close()
