"""A standalone interpreter from a mirror, pinned, read, and run from where an image has it."""

from __future__ import annotations

import functools
import http.server
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from taskimage.adapters.bytecode import Compiler
from taskimage.adapters.cpython import CPython
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.oci import Platform
from taskimage.transform.entry import Entry
from taskimage.transform.standalone import read_standalone

pytestmark = pytest.mark.integration

MINOR = "{}.{}".format(*sys.version_info)


def interpreter() -> bytes:
    """The interpreter of the tests as an archive of the shape that standalone builds have."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = member.name.split("/")
        return None if {"site-packages", "test", "tests"} & set(parts) or parts[-1].endswith(".a") else member

    base, out = Path(sys.base_prefix), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        archive.add(Path(sys.executable).resolve(), f"python/bin/python{MINOR}")
        for library in (base / "lib").glob("libpython*.so*"):
            archive.add(library, f"python/lib/{library.name}")
        archive.add(base / "lib" / f"python{MINOR}", f"python/lib/python{MINOR}", filter=kept)
    return out.getvalue()


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, body: bytes, *args: object) -> None:
        self.body = body
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    handler = functools.partial(_Handler, interpreter())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def unpack(entries: tuple[Entry, ...], root: Path) -> None:
    for entry in entries:
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "symlink":
            path.symlink_to(entry.target)
        elif entry.kind == "hardlink":
            path.hardlink_to(root / entry.target)
        elif entry.body is not None:
            with entry.body.open() as stream:
                path.write_bytes(stream.read())
            path.chmod(entry.mode)


def test_a_pinned_build_runs_from_its_place_and_compiles(store: Store, tmp_path: Path, mirror: str) -> None:
    environ = {**os.environ, "UV_PYTHON_INSTALL_MIRROR": mirror}
    here = Platform.parse(f"linux/{os.uname().machine}")
    pin = CPython(store, Http({}), environ=environ).resolve(MINOR, here)
    assert pin.minor == MINOR
    assert pin.digest is not None
    with store.input_path(pin.digest).open("rb") as stream, tempfile.TemporaryFile() as spool:
        entries = read_standalone(cast("BinaryIO", stream), cast("BinaryIO", spool), where=pin.path)
        unpack(entries, tmp_path)
    program = tmp_path / "opt/python/bin" / f"python{MINOR}"
    shown = subprocess.run(
        [program, "-I", "-c", "import sys, json; print(sys.prefix, json.__file__)"],
        env={}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert shown == [f"{tmp_path}/opt/python", f"{tmp_path}/opt/python/lib/python{MINOR}/json/__init__.py"]
    with Compiler([str(program)], workers=1) as compiler:
        ((_, pyc),) = compiler.compile([("/a.py", b"x = 1\n")])
    assert pyc is not None
