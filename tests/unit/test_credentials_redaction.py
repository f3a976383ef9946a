"""A secret, wherever it is kept, is in no error, no repr and no line about what was tried."""

from __future__ import annotations

import json
import traceback
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.keychains import Home, auth

from taskimage.adapters.credentials import Keychain, remove_login, store_login
from taskimage.adapters.credentials.helper import Helper
from taskimage.adapters.http.network import netrc_login
from taskimage.model.errors import TaskImageError

CANARY = "canary-0c4e"
ENCODED = b64encode(f"me:{CANARY}".encode()).decode()
HOST = "registry.example"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nothing is in."""
    return Home(tmp_path)


def shows(text: str) -> bool:
    """Whether the secret is in a text, plain or encoded."""
    return CANARY in text or ENCODED in text or ENCODED.rstrip("=") in text


def failure(do: Callable[[], object]) -> str:
    """All that is shown of the error, when there is one."""
    try:
        do()
    except TaskImageError as error:
        return "".join(traceback.format_exception(error))
    return ""


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": ENCODED},
        {"username": "me", "password": CANARY},
        {"identitytoken": CANARY},
        {"registrytoken": CANARY},
    ],
    ids="+".join,
)
def test_an_entry_of_a_file_is_found_and_not_shown(home: Home, entry: dict[str, str]) -> None:
    home.docker(auths={HOST: entry})
    found = home.find(HOST)
    assert found.credential is not None
    assert found.credential.secret == CANARY
    assert not shows(f"{found!r} {found}")


@pytest.mark.parametrize(
    "environ",
    [
        {"TASKIMAGE_REGISTRY_TOKEN": CANARY, "TASKIMAGE_REGISTRY": HOST},
        {"TASKIMAGE_REGISTRY_TOKEN": CANARY, "TASKIMAGE_REGISTRY": HOST, "TASKIMAGE_REGISTRY_USER": "me"},
        {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {HOST: auth("me", CANARY)}})},
    ],
    ids=["token", "token and user", "DOCKER_AUTH_CONFIG"],
)
def test_the_environment_is_found_and_not_shown(home: Home, environ: dict[str, str]) -> None:
    found = home.find(HOST, **environ)
    assert found.credential is not None
    assert found.credential.secret == CANARY
    assert not shows(f"{found!r} {home.find('other.example', **environ)!r}")


def test_what_a_helper_and_netrc_give_is_not_shown(home: Home) -> None:
    home.write(".netrc", f"machine {HOST} login me password {CANARY}\n")
    in_netrc = home.find(HOST)
    home.helper("box", **{HOST: ("<token>", CANARY)})
    home.docker(credsStore="box")
    for found in (in_netrc, home.find(HOST)):
        assert found.credential is not None
        assert found.credential.secret == CANARY
        assert not shows(repr(found))


@pytest.mark.parametrize(
    "environ",
    [
        {"TASKIMAGE_REGISTRY_TOKEN": CANARY},
        {"TASKIMAGE_REGISTRY_TOKEN": CANARY, "TASKIMAGE_REGISTRY": f"https://me:{CANARY}@{HOST}/org"},
        {"TASKIMAGE_REGISTRY_TOKEN": f"{CANARY}\nX", "TASKIMAGE_REGISTRY": HOST},
        {"DOCKER_AUTH_CONFIG": CANARY},
        {"DOCKER_AUTH_CONFIG": f'"{CANARY}"'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{HOST}": {{"auth": "{CANARY}"}}}}}}'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{HOST}": {{"auth": ["{CANARY}"]}}}}}}'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{HOST}": {{"registrytoken": "{CANARY}\\n"}}}}}}'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"{HOST}": "{CANARY}"}}}}'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {{"me:{CANARY}@{HOST}": {{}}}}}}'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": "\\u{CANARY}"}}'},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": "\\{CANARY}"}}'},
    ],
)
def test_what_is_malformed_is_told_without_what_is_in_it(home: Home, environ: dict[str, str]) -> None:
    found = home.find(HOST, **environ)
    assert found.credential is None
    assert not shows(repr(found))


@pytest.mark.parametrize(
    "text", [f"machine {HOST} login me {CANARY}", CANARY, f"machine {HOST} login me password x {CANARY}"]
)
def test_a_broken_netrc_is_told_without_what_is_in_it(home: Home, text: str) -> None:
    home.write(".netrc", text)
    found = home.find(HOST)
    assert found.credential is None
    assert found.tried[-1] == "netrc: cannot be read"
    assert not shows(repr(found))
    error = failure(lambda: netrc_login(HOST, home.environ))
    assert "cannot read the netrc file: line " in error
    assert not shows(error)


@pytest.mark.parametrize(
    "text",
    [
        f"echo {CANARY}; echo {CANARY} >&2; exit 1",
        f"echo {CANARY}; echo {CANARY} >&2",
        f"""echo '{{"Username": ["{CANARY}"], "Secret": "{CANARY}"}}'""",
        f"echo credentials not found in native keychain {CANARY}; exit 1",
    ],
)
def test_the_words_of_a_failing_helper_are_not_shown(
    home: Home, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    home.program("docker-credential-bad", f"#!/bin/sh\n{text}\n")
    home.docker(credsStore="bad")
    assert not shows(repr(home.find(HOST)))
    bad = Helper("bad", home.environ)
    for ask in (lambda: bad.get(HOST), lambda: bad.store(HOST, "me", CANARY), lambda: bad.erase(HOST)):
        assert not shows(failure(ask))
    assert not shows("".join(capfd.readouterr()))


@pytest.mark.parametrize("text", [CANARY, f'{{"auths": "{CANARY}"}}', f'{{"auths": {{}}}}{CANARY}'])
def test_errors_about_files_have_nothing_of_them(home: Home, text: str) -> None:
    path = home.write(".docker/config.json", text)
    stored = failure(lambda: store_login(home.environ, HOST, "me", CANARY))
    removed = failure(lambda: remove_login(home.environ, HOST))
    assert "config.json" in stored
    assert "config.json" in removed
    found = failure(lambda: Keychain(home.environ, config=path).find(HOST))
    assert not shows(stored + removed + found)
