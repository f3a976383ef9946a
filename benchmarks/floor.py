"""What a case takes at the very least: `floor.py JOB HOST FOLDER` does what the JSON file JOB says, in eight threads.

Inputs are fetched, hashed and written to FOLDER, blobs are read, hashed and sent to the registry HOST, or received, hashed
and written; nothing is resolved, converted or waited for on the disk, no error is looked after.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REPOSITORY = "/v2/floor"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BLOCK = 1 << 18


class Floor:
    """A job with a registry and a folder."""

    def __init__(self, job: dict[str, Any], host: str, folder: Path) -> None:
        self._job = job
        self._host = host
        self._folder = folder
        self._own = threading.local()
        self._trust = ssl.create_default_context() if job["fetch"] else None
        folder.mkdir(parents=True, exist_ok=True)

    def work(self) -> None:
        """Do it."""
        job = self._job
        tasks: list[tuple[int, Callable[[], None]]] = [
            *((one["size"], partial(self._fetch, one["url"], one["sha256"])) for one in job["fetch"]),
            *((one["size"], partial(self._send, one["sha256"], one["size"])) for one in job["push"]),
            *((one["size"], partial(self._fetch, f"http://{self._host}{REPOSITORY}/blobs/sha256:{one['sha256']}", one["sha256"]))
              for one in job["pull"]),
        ]  # fmt: skip
        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(task) for _, task in sorted(tasks, key=lambda one: -one[0])]:
                done.result()
        for manifest in job["manifests"]:
            self._name(manifest)
        for manifest in job["exists"]:
            self._asked(
                "HEAD",
                f"http://{self._host}{REPOSITORY}/manifests/sha256:{manifest}",
                headers={"Accept": MANIFEST},
            ).read()

    def _fetch(self, url: str, sha256: str) -> None:
        hashing = hashlib.sha256()
        answer = self._asked("GET", url)
        with (self._folder / sha256).open("wb") as file:
            while chunk := answer.read(BLOCK):
                hashing.update(chunk)
                file.write(chunk)
        _compare(hashing.hexdigest(), sha256)

    def _send(self, sha256: str, size: int) -> None:
        there = self._asked(
            "POST", f"http://{self._host}{REPOSITORY}/blobs/uploads/", headers={"Content-Length": "0"}
        )
        there.read()
        hashing = hashlib.sha256()
        address = f"{there.headers['Location']}&digest=sha256:{sha256}"
        headers = {"Content-Length": str(size)}
        self._asked("PUT", address, body=self._read(sha256, hashing), headers=headers).read()
        _compare(hashing.hexdigest(), sha256)

    def _name(self, sha256: str) -> None:
        url = f"http://{self._host}{REPOSITORY}/manifests/sha256:{sha256}"
        self._asked(
            "PUT", url, body=self._blob(sha256).read_bytes(), headers={"Content-Type": MANIFEST}
        ).read()

    def _asked(self, method: str, url: str, **more: Any) -> HTTPResponse:
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.netloc)
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, **more)
        answer = connection.getresponse()
        if answer.status >= 300:
            raise SystemExit(f"{method} {parts.path}: {answer.status} {answer.read()!r}")
        return answer

    def _connection(self, scheme: str, host: str) -> HTTPConnection:
        known: dict[str, HTTPConnection] = self._own.__dict__
        if host not in known:
            known[host] = (
                HTTPSConnection(host, context=self._trust, blocksize=BLOCK)
                if scheme == "https"
                else HTTPConnection(host, blocksize=BLOCK)
            )
        return known[host]

    def _read(self, sha256: str, hashing: Any) -> Iterator[bytes]:
        with self._blob(sha256).open("rb") as file:
            while chunk := file.read(BLOCK):
                hashing.update(chunk)
                yield chunk

    def _blob(self, sha256: str) -> Path:
        return Path(self._job["layout"]) / "blobs" / "sha256" / sha256


def _compare(got: str, wanted: str) -> None:
    if got != wanted:
        raise SystemExit(f"other bytes came than those of sha256:{wanted}")


if __name__ == "__main__":
    file, host, folder = sys.argv[1:]
    Floor(json.loads(Path(file).read_bytes()), host, Path(folder)).work()
