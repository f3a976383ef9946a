"""What moving an image takes at the very least: `push LAYOUT HOST` or `pull HOST LAYOUT`, blobs in eight threads.

Read, hash and send, or receive, hash and write; no errors, no credentials, no waiting for the disk.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

REPOSITORY = "/v2/floor"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BLOCK = 1 << 18


def push(layout: Path, host: str) -> None:
    """The first image of ``layout`` is at ``host``."""
    digest = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    manifest = _path(layout, digest).read_bytes()

    def send(blob: dict[str, Any]) -> None:
        connection = HTTPConnection(host, blocksize=BLOCK)
        there = _asked(connection, "POST", f"{REPOSITORY}/blobs/uploads/", headers={"Content-Length": "0"})
        there.read()
        address = there.headers["Location"].removeprefix(f"http://{host}")
        hashing = hashlib.sha256()
        _asked(
            connection,
            "PUT",
            f"{address}&digest={blob['digest']}",
            body=_read(_path(layout, blob["digest"]), hashing),
            headers={"Content-Length": str(blob["size"])},
        )
        _compare(hashing, blob)

    _each(send, manifest)
    path = f"{REPOSITORY}/manifests/v1"
    _asked(HTTPConnection(host), "PUT", path, body=manifest, headers={"Content-Type": MANIFEST})


def pull(host: str, layout: Path) -> None:
    """The blobs of the image at ``host`` are files in ``layout``."""
    (layout / "blobs" / "sha256").mkdir(parents=True)
    headers = {"Accept": MANIFEST}
    manifest = _asked(HTTPConnection(host), "GET", f"{REPOSITORY}/manifests/v1", headers=headers).read()

    def receive(blob: dict[str, Any]) -> None:
        connection = HTTPConnection(host, blocksize=BLOCK)
        answer = _asked(connection, "GET", f"{REPOSITORY}/blobs/{blob['digest']}")
        hashing = hashlib.sha256()
        with _path(layout, blob["digest"]).open("wb") as file:
            while chunk := answer.read(BLOCK):
                hashing.update(chunk)
                file.write(chunk)
        _compare(hashing, blob)

    _each(receive, manifest)


def _each(work: Any, manifest: bytes) -> None:
    document = json.loads(manifest)
    blobs = sorted([document["config"], *document["layers"]], key=lambda blob: -blob["size"])
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, blobs))


def _asked(connection: HTTPConnection, method: str, path: str, **more: Any) -> HTTPResponse:
    connection.request(method, path, **more)
    answer = connection.getresponse()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {answer.read()!r}")
    return answer


def _read(path: Path, hashing: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(BLOCK):
            hashing.update(chunk)
            yield chunk


def _compare(hashing: Any, blob: dict[str, Any]) -> None:
    if hashing.hexdigest() != blob["digest"].removeprefix("sha256:"):
        raise SystemExit(f"other bytes came than those of {blob['digest']}")


def _path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


if __name__ == "__main__":
    job, here, there = sys.argv[1:]
    if job == "push":
        push(Path(here), there)
    else:
        pull(here, Path(there))
