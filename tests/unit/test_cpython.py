"""Standalone interpreters: which build is chosen, where it is fetched, and that its digest is kept.

uv itself gives the list, as it does offline; a server on loopback stands for the mirror.
"""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskimage.adapters.cpython import CPython
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound, Unreachable
from taskimage.model.lock import PythonPin
from taskimage.model.oci import Platform

AMD64 = Platform("linux", "amd64")


class Mirror(http.server.ThreadingHTTPServer):
    """A mirror that has every file asked for; its bytes are its name, and ``change``."""

    asked: list[str]
    change: bytes


class Handler(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.path.encode() + self.server.change
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror(("127.0.0.1", 0), Handler) as server:
        server.asked, server.change = [], b""
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def cpython(store: Store, mirror: Mirror | None, **environ: str) -> CPython:
    if mirror is not None:
        environ["UV_PYTHON_INSTALL_MIRROR"] = f"http://127.0.0.1:{mirror.server_port}/builds/"
    return CPython(store, Http({}, pauses=()), environ={"PATH": os.environ["PATH"], **environ})


def test_the_newest_patch_of_a_minor_is_pinned_by_what_the_mirror_serves(
    store: Store, mirror: Mirror
) -> None:
    pin = cpython(store, mirror).resolve("3.12", AMD64)
    assert pin.source == "standalone"
    assert pin.minor == "3.12"
    assert int(pin.version.split(".")[2]) >= 13
    release, _, name = pin.path.partition("/")
    assert name.startswith(f"cpython-{pin.version}%2B{release}-x86_64-unknown-linux-gnu-install_only")
    assert mirror.asked == [f"/builds/{pin.path}"]
    assert pin.digest == Digest.of(mirror.asked[0].encode())
    assert pin.size == len(mirror.asked[0])
    assert store.input_path(pin.digest).read_bytes() == mirror.asked[0].encode()


def test_an_exact_version_is_that_version(store: Store, mirror: Mirror) -> None:
    assert cpython(store, mirror).resolve("3.11.9", AMD64).version == "3.11.9"


@pytest.mark.parametrize(
    ("architecture", "named"), [("arm64", "-aarch64-"), ("ppc64le", "-ppc64le-"), ("riscv64", "-riscv64-")]
)
def test_other_architectures_have_builds_of_their_own(
    store: Store, mirror: Mirror, architecture: str, named: str
) -> None:
    pin = cpython(store, mirror).resolve("3.13", Platform("linux", architecture))
    assert named in pin.path
    assert "-gnu-" in pin.path
    assert "freethreaded" not in pin.path


def test_what_was_fetched_once_is_not_fetched_to_be_locked_again(store: Store, mirror: Mirror) -> None:
    first = cpython(store, mirror).resolve("3.12", AMD64)
    mirror.change = b"something else"
    assert cpython(store, mirror).resolve("3.12", AMD64) == first
    assert len(mirror.asked) == 1


def test_a_lock_is_fetched_by_its_digest_from_another_store(
    store: Store, tmp_path: Path, mirror: Mirror
) -> None:
    pin = cpython(store, mirror).resolve("3.12", AMD64)
    assert pin.digest is not None
    other, moved = Store(tmp_path / "other"), [0]
    cpython(other, mirror).fetch(pin, moved=moved.append)
    assert other.input_path(pin.digest).stat().st_size == pin.size == sum(moved)


def test_other_bytes_than_the_locked_ones_are_refused(store: Store, tmp_path: Path, mirror: Mirror) -> None:
    pin = cpython(store, mirror).resolve("3.12", AMD64)
    mirror.change = b"!"
    with pytest.raises(IntegrityError):
        cpython(Store(tmp_path / "other"), mirror).fetch(pin, moved=lambda _: None)


@pytest.mark.parametrize(
    ("version", "others"),
    [
        ("3.1", "3.12, 3.13"),
        ("2.7", "3.12, 3.13"),
        ("2.7.18", "3.12, 3.13"),
        ("three", "3.12, 3.13"),
        ("3.12.999", "3.12.8, 3.12.9, 3.12.10"),
    ],
)
def test_a_version_that_nobody_builds_is_not_found_and_the_others_are_named(
    store: Store, version: str, others: str
) -> None:
    with pytest.raises(NotFound, match=f"no standalone CPython '{version}' for linux/amd64") as caught:
        cpython(store, None).resolve(version, AMD64)
    assert caught.value.hint is not None
    assert others in caught.value.hint


def test_a_mirror_that_is_no_address_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="UV_PYTHON_INSTALL_MIRROR is '/srv/mirror'"):
        cpython(store, None, UV_PYTHON_INSTALL_MIRROR="/srv/mirror").resolve("3.12", AMD64)


def test_a_lock_without_a_digest_of_the_interpreter_is_refused(store: Store) -> None:
    pin = PythonPin(version="3.12.1", source="standalone", path="1/cpython.tar.gz")
    with pytest.raises(BadInput, match=r"'1/cpython.tar.gz' and no digest"):
        cpython(store, None).fetch(pin, moved=lambda _: None)


def test_without_a_mirror_the_address_is_the_one_that_uv_has(store: Store) -> None:
    assert cpython(store, None)._url("1/a.tar.gz").endswith("/releases/download/1/a.tar.gz")


def test_where_it_cannot_be_reached_what_else_there_is_is_told(store: Store) -> None:
    gone = cpython(store, None, UV_PYTHON_INSTALL_MIRROR="http://127.0.0.1:1/python")
    with pytest.raises(Unreachable) as caught:
        gone.resolve("3.12", AMD64)
    assert "set UV_PYTHON_INSTALL_MIRROR to a mirror" in (caught.value.hint or "")
