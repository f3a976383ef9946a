"""A glance at a registry: a yes that is expected is believed, and nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskimage.adapters.glance import means
from taskimage.adapters.registry import Registries
from taskimage.adapters.settings import RegistrySettings, Settings
from taskimage.model.reference import Reference
from taskimage.testing import Registry, make_image

DIGEST = f"sha256:{'0' * 64}"
TYPE = "application/vnd.oci.image.manifest.v1+json"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of something that gives ``answer`` to one request, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/v2/demo/manifests/v1"
        thread.join()


def test_a_tag_means_the_digest_that_the_registry_tells() -> None:
    with Registry() as registry:
        digest = registry.put_image("demo:v1", make_image())
        address = f"http://{registry.host}/v2/demo/manifests/v1"
        assert means(address, TYPE, str(digest))
        assert not means(address, TYPE, DIGEST)
        assert not means(f"{address}2", TYPE, str(digest))


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        ("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {}\r\n\r\n", True),
        ("HTTP/1.1 200 OK\r\ndocker-content-digest:{}\r\nX: y\r\n\r\n", True),
        ("HTTP/1.1 401 Unauthorized\r\nDocker-Content-Digest: {}\r\n\r\n", False),
        ("HTTP/1.1 307 Temporary\r\nDocker-Content-Digest: {}\r\n\r\n", False),
        ("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {}0\r\n\r\n", False),
        ("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {}\r\n", False),
        ("HTTP/1.1 200 OK\r\n\r\n", False),
        ("HTTP/1.1 200 \u00e9\r\nDocker-Content-Digest: {}\r\n\r\n", False),
        ("x" * 200_000, False),
        ("", False),
    ],
)
def test_only_a_yes_is_believed(answer: str, *, yes: bool) -> None:
    with answering(answer.format(DIGEST).encode()) as address:
        assert means(address, TYPE, DIGEST) is yes


def test_where_nobody_listens_nothing_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    assert not means(f"http://127.0.0.1:{port}/v2/demo/manifests/v1", TYPE, DIGEST)


@pytest.mark.parametrize(
    ("name", "settings", "environ", "address"),
    [
        ("127.0.0.1:5000/demo:v1", {}, {}, "http://127.0.0.1:5000/v2/demo/manifests/v1"),
        ("localhost/a/demo:v1", {}, {}, "http://localhost/v2/a/demo/manifests/v1"),
        ("ghcr.io/me/demo:v1", {}, {}, None),
        ("localhost:5000/demo:v1", {"localhost:5000": RegistrySettings(insecure=False)}, {}, None),
        ("example.org/demo:v1", {"example.org": RegistrySettings(insecure=True)}, {}, None),
        ("localhost:5000/demo:v1", {}, {"HTTP_PROXY": "http://proxy:3128"}, None),
    ],
)
def test_a_glance_is_for_what_is_reached_by_plain_http(
    name: str,
    settings: dict[str, RegistrySettings],
    environ: dict[str, str],
    address: str | None,
    tmp_path: Path,
) -> None:
    registries = Registries(Settings(home=tmp_path, registries=settings), {"HOME": str(tmp_path), **environ})
    assert registries.plain_address(Reference.parse(name)) == address
