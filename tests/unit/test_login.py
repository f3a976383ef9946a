"""`taskimage login` and `logout`: tried first, kept then, and nothing of the password shown."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from tests.keychains import Home, auth

from taskimage.adapters.credentials import Credential
from taskimage.cli import main
from taskimage.model.errors import BadInput, NotAllowed
from taskimage.model.events import Event, Notice, Warned
from taskimage.testing import Registry
from taskimage.verbs.login import login, logout

HOST = "registry.example:5000"
CANARY = "canary-77a1"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nothing is in."""
    return Home(tmp_path)


def accept(registry: str, credential: Credential) -> None:
    """What a registry that takes everything says."""


def test_a_login_is_tried_before_it_is_kept(home: Home) -> None:
    asked = []

    def refuse(registry: str, credential: Credential) -> None:
        asked.append((registry, credential.kind, credential.username, credential.secret))
        raise NotAllowed("wrong password\nmore")

    with pytest.raises(NotAllowed, match=r"^wrong password\nhint: look at user and password"):
        login("https://Registry.example:5000/", "me", CANARY, environ=home.environ, verify=refuse)
    assert asked == [(HOST, "basic", "me", CANARY)]
    assert not home.docker_config.exists()


def test_where_a_password_is_kept_is_said_and_that_it_can_be_read_there(home: Home) -> None:
    told: list[Event] = []
    login(HOST, "me", CANARY, environ=home.environ, verify=accept, listener=told.append)
    assert json.loads(home.docker_config.read_text()) == {"auths": {HOST: auth("me", CANARY)}}
    notice, warning = told
    assert notice == Notice(f"logged in to {HOST}; kept in ~/.docker/config.json")
    assert isinstance(warning, Warned)
    assert warning.text == "the password is in ~/.docker/config.json unencrypted"


def test_a_password_that_a_helper_keeps_is_no_reason_to_warn(home: Home) -> None:
    home.helper("box")
    home.docker(credsStore="box")
    told: list[Event] = []
    login(HOST, "me", CANARY, environ=home.environ, verify=accept, listener=told.append)
    assert told == [Notice(f"logged in to {HOST}; kept in docker-credential-box (~/.docker/config.json)")]


@pytest.mark.parametrize(
    ("host", "username", "password", "message"),
    [
        ("org", "me", CANARY, "not a registry: 'org'"),
        (f"me:{CANARY}@{HOST}", "me", CANARY, "not a registry"),
        (HOST, "", CANARY, "not a user name: ''"),
        (HOST, "a:b", CANARY, "not a user name: 'a:b'"),
        (HOST, "a\udcff", CANARY, "not a user name"),
        (HOST, "me", "", "the password for registry.example:5000 is empty"),
    ],
)
def test_a_login_that_cannot_be_is_not_tried(
    home: Home, host: str, username: str, password: str, message: str
) -> None:
    def never(registry: str, credential: Credential) -> None:
        pytest.fail("asked")

    with pytest.raises(BadInput, match=message) as caught:
        login(host, username, password, environ=home.environ, verify=never)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_the_registry_itself_is_asked_and_its_token_server(
    home: Home, kind: Literal["basic", "bearer"]
) -> None:
    with Registry(auth=kind, username="me", password=CANARY) as registry:
        with pytest.raises(NotAllowed, match=r"\b401\b") as caught:
            login(registry.host, "me", f"not-{CANARY}", environ=home.environ)
        assert CANARY not in str(caught.value)
        assert not home.docker_config.exists()
        login(registry.host, "me", CANARY, environ=home.environ)
    assert home.login(registry.host) == ("me", CANARY)


def test_logout_says_what_it_removed_or_that_there_was_nothing(home: Home) -> None:
    told: list[Event] = []
    login(HOST, "me", "pw", environ=home.environ, verify=accept)
    assert logout(f"https://{HOST}", environ=home.environ, listener=told.append) == "~/.docker/config.json"
    assert logout(HOST, environ=home.environ, listener=told.append) is None
    assert told == [
        Notice(f"logged out of {HOST}; removed from ~/.docker/config.json"),
        Notice(f"not logged in to {HOST}"),
    ]


# -- the command -----------------------------------------------------------------------------------------

Run: TypeAlias = "Callable[..., tuple[int, str, str]]"


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in the home; its exit code and what it prints."""
    for name in os.environ:
        if name.startswith(("DOCKER_", "TASKIMAGE_", "XDG_", "REGISTRY_")):
            monkeypatch.delenv(name)
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)

    def ran(*words: str, typed: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed)))
        code = main(words)
        return code, *capsys.readouterr()

    return ran


def test_logout_needs_no_login(run: Run) -> None:
    assert run("logout", HOST) == (0, "", f"not logged in to {HOST}\n")


@pytest.mark.parametrize(
    ("words", "typed", "message"),
    [
        (["--password-stdin"], b"", "the password for registry.example:5000 is empty"),
        (["--password-stdin"], b"\n", "the password for registry.example:5000 is empty"),
        (["--password-stdin"], b"\xff" + CANARY.encode(), "the password is not UTF-8 text"),
        ([], CANARY.encode(), "no password is given"),
        (["-p", CANARY], b"", "a password is no argument"),
        ([f"-p{CANARY}"], b"", "a password is no argument"),
        ([f"--password={CANARY}"], b"", "a password is no argument"),
    ],
)
def test_a_password_comes_by_standard_input_alone(
    run: Run, home: Home, words: list[str], typed: bytes, message: str
) -> None:
    code, out, err = run("login", HOST, "-u", "me", *words, typed=typed)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert CANARY not in err
    assert not home.docker_config.exists()


@pytest.mark.parametrize(
    ("typed", "password"),
    [(b"pw", "pw"), (b"pw\n", "pw"), (b"pw\r\n", "pw"), (b"p w\n\n", "p w\n"), (b" \n", " ")],
)
def test_one_line_break_behind_a_password_is_none_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, typed: bytes, password: str
) -> None:
    taken = []

    def take(host: str, username: str, given: str, **_: object) -> None:
        taken.append((host, username, given))

    monkeypatch.setattr("taskimage.verbs.login.login", take)
    assert run("login", HOST, "-u", "me", "--password-stdin", typed=typed) == (0, "", "")
    assert taken == [(HOST, "me", password)]
