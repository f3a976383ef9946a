"""A private index that people run, with basic authentication: its password stays nowhere, on any way of ours."""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import uv
from tests.canary import SECRETS, everything_below
from tests.case import Case
from tests.sources import CANARY

from taskimage.testing import Registry

pytestmark = pytest.mark.integration


@pytest.fixture
def pypiserver(tmp_path: Path) -> Iterator[str]:
    """The address of an index without packages yet, served by pypiserver from ``packages`` to one user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "packages").mkdir()
    digest = base64.b64encode(hashlib.sha1(CANARY.encode(), usedforsecurity=False).digest()).decode()
    (tmp_path / "htpasswd").write_text(f"me:{{SHA}}{digest}\n")
    with (tmp_path / "pypiserver.log").open("wb") as log:
        process = subprocess.Popen(
            [
                uv.find_uv_bin(), "run", "--quiet", "--no-project", "--python", sys.executable,
                "--with", "pypiserver==2.4.2", "--with", "passlib==1.7.4", "pypi-server", "run", "-i", "127.0.0.1",
                "-p", str(port), "-P", str(tmp_path / "htpasswd"), "-a", "list,download,update", "--hash-algo", "sha256",
                "--disable-fallback", str(tmp_path / "packages"),
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/simple"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def private(case: Case, pypiserver: str) -> Case:
    """A case whose spec wants a package that only the private index has, and names its password in the address."""
    file = case.index.add("private", "1.0", files={"private.py": b"x = 1\n"})
    (case.folder / "packages" / file).write_bytes(case.index.files.pop(file))
    del case.index.files[f"{file}.metadata"]
    login = pypiserver.replace("://", f"://me:{quote(CANARY, safe='')}@")
    case.spec(packages=["demo", "private"], pip_extra_index_url=[login])
    return case


def traced(case: Case, *words: str) -> tuple[str, str]:
    """What a command says on its way, and every argument that it or a process of its own was started with."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace tells what processes are started with")
    log = case.folder / "trace"
    done = case.command(
        *words, prefix=(strace, "-f", "-qq", "-s", "100000", "-e", "trace=execve", "-o", str(log))
    )
    assert done.returncode == 0, done.stderr
    arguments = log.read_text(errors="replace")
    log.unlink()
    assert "execve(" in arguments
    return done.stdout + done.stderr, arguments


def test_the_password_of_a_real_index_is_nowhere(private: Case, tmp_path: Path) -> None:
    """Not in locks, layers, labels, caches, output or arguments; through lock, check, build, push and vendor."""
    spec = str(private.spec_path)
    folder = tmp_path / "vendor"
    with Registry() as registry:
        found = []
        for words in (
            ("lock", spec),
            ("lock", "--check", spec),
            ("check", spec),
            ("build", "--locked", spec),
            ("build", "--locked", "--registry", registry.host, "--push", spec),
            ("vendor", spec, "-o", str(folder)),
            ("build", "--force", "-o", f"oci:{tmp_path / 'layout'}", spec),
        ):
            said, arguments = traced(private, *words)
            found += [("output", said.encode()), ("arguments", arguments.encode())]
        found += [(str(digest), path.read_bytes()) for digest, path in registry.blobs.items()]
    assert "pip_extra_index_url-1" in private.lock_path.read_text()
    found.append(("lock", private.lock_path.read_bytes()))
    for below in (private.home, folder, tmp_path / "layout"):
        found += everything_below(below)
    assert len(found) > 100
    assert [(where, secret) for where, data in found for secret in SECRETS if secret in data] == []


def test_without_the_password_the_index_is_named_and_what_to_do(private: Case, pypiserver: str) -> None:
    private.spec(packages=["private"], pip_extra_index_url=[pypiserver])
    err = private.fails(4)
    assert pypiserver.split("/")[2] in err
    assert "netrc" in err
