"""Logins that other tools read, and theirs that we read, with the real registry and a password file."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import Command
from tests.keychains import Home

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="needs docker-registry"),
    pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo"),
    pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah"),
]

PASSWORD = "open sesame"
# The password above, by bcrypt: the one kind that the registry reads.
USERS = "me:$2b$04$CMiLBaqLYUxjrU9EA46iWuRAqo0JkOaoPdkKEDTVx44TPx9plQ9qK\n"

CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{inmemory: {{}}}}
http: {{addr: "{host}"}}
auth: {{htpasswd: {{realm: here, path: "{users}"}}}}
"""


def answers(host: str) -> bool:
    address, _, port = host.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((address, int(port)), timeout=1):
        return True
    return False


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a registry that lets nobody in but one user."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "users").write_text(USERS, encoding="utf-8")
    configuration = folder / "config.yml"
    configuration.write_text(CONFIGURATION.format(host=host, users=folder / "users"), encoding="utf-8")
    with subprocess.Popen(
        ["docker-registry", "serve", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while not answers(host):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield host
        finally:
            process.terminate()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nothing is in."""
    return Home(tmp_path / "home")


@pytest.fixture
def taskimage(home: Home, tmp_path: Path) -> Command:
    """The command in that home."""
    environ = home.environ | {"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": "", "DOCKER_AUTH_CONFIG": ""}
    return Command(tmp_path / "store", environ | {"REGISTRY_AUTH_FILE": "", "XDG_CONFIG_HOME": ""})


def tool(*words: str, typed: str = "") -> str:
    """What a program prints; it succeeds."""
    done = subprocess.run(words, input=typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def login(taskimage: Command, host: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    return taskimage("login", host, "-u", "me", "--password-stdin", input=password)


def test_other_tools_are_logged_in_by_our_login(taskimage: Command, home: Home, registry: str) -> None:
    done = login(taskimage, registry)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0] == f"logged in to {registry}; kept in ~/.docker/config.json"
    assert PASSWORD not in done.stderr
    file = str(home.docker_config)
    assert tool("skopeo", "login", "--get-login", "--authfile", file, registry) == "me"
    assert tool("buildah", "login", "--get-login", "--authfile", file, registry) == "me"
    # Without a password given, this tries the one that is kept.
    tool("skopeo", "login", "--authfile", file, "--tls-verify=false", registry)


def test_on_a_terminal_the_password_is_asked_for_and_not_echoed(
    taskimage: Command, home: Home, registry: str
) -> None:
    mine, theirs = os.openpty()
    environ = {**os.environ, **taskimage.environ, "TASKIMAGE_HOME": str(taskimage.home)}
    words = [str(Path(sys.executable).with_name("taskimage")), "login", registry, "-u", "me"]
    with subprocess.Popen(
        words, env=environ, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stderr is not None
        prompt = f"password of me for {registry}: ".encode()
        assert process.stderr.read(len(prompt)) == prompt
        os.write(mine, f"{PASSWORD}\n".encode())
        told = process.stderr.read().decode()
    assert process.returncode == 0, told
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while piece := os.read(mine, 1000):
            seen += piece
    os.close(mine)
    assert PASSWORD not in seen.decode() + told
    assert home.login(registry) == ("me", PASSWORD)


def test_a_password_that_the_registry_refuses_is_not_kept(
    taskimage: Command, home: Home, registry: str
) -> None:
    done = login(taskimage, registry, "wrong sesame")
    assert done.returncode == 4
    assert done.stderr.startswith(f"error: cannot log in to {registry} as 'me': GET ")
    assert "wrong sesame" not in done.stderr
    assert not home.docker_config.exists()


def test_a_registry_that_does_not_answer_keeps_nothing(taskimage: Command, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    done = login(taskimage, host)
    assert done.returncode == 5
    assert PASSWORD not in done.stderr
    assert not home.docker_config.exists()


def test_after_our_logout_other_tools_are_logged_out(taskimage: Command, home: Home, registry: str) -> None:
    login(taskimage, registry)
    done = taskimage("logout", registry)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"logged out of {registry}; removed from ~/.docker/config.json\n"
    file = str(home.docker_config)
    words = ["skopeo", "login", "--get-login", "--authfile", file, registry]
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("program", ["skopeo", "buildah"])
def test_what_other_tools_keep_is_found(home: Home, registry: str, program: str) -> None:
    file = home.root / "auth.json"
    home.root.mkdir()
    words = ["--tls-verify=false", "--authfile", str(file), "-u", "me", "--password-stdin", registry]
    tool(program, "login", *words, typed=PASSWORD)
    assert home.login(registry, REGISTRY_AUTH_FILE=str(file)) == ("me", PASSWORD)
    tool(program, "logout", "--authfile", str(file), registry)
    assert home.login(registry, REGISTRY_AUTH_FILE=str(file)) is None


def test_a_login_for_docker_hub_is_read_by_other_tools(home: Home) -> None:
    from taskimage.adapters.credentials import store_login

    store_login(home.environ, "docker.io", "me", PASSWORD)
    file = str(home.docker_config)
    assert tool("skopeo", "login", "--get-login", "--authfile", file, "docker.io") == "me"


def test_other_tools_write_into_the_file_that_we_wrote(home: Home, registry: str) -> None:
    from taskimage.adapters.credentials import store_login

    store_login(home.environ, "other.example", "other", "pw")
    words = [
        "--tls-verify=false",
        "--authfile",
        str(home.docker_config),
        "-u",
        "me",
        "--password-stdin",
        registry,
    ]
    tool("skopeo", "login", *words, typed=PASSWORD)
    assert set(json.loads(home.docker_config.read_text(encoding="utf-8"))["auths"]) == {
        registry,
        "other.example",
    }
    assert home.login(registry) == ("me", PASSWORD)
    assert home.login("other.example") == ("other", "pw")
