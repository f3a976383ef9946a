"""Logins are kept as docker keeps them, and all else in its file stays."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.keychains import Home, auth

from taskimage.adapters.credentials import Kept, remove_login, store_login
from taskimage.model.errors import BadInput, NotAllowed, NotFound

HOST = "registry.example:5000"
HUB = "https://index.docker.io/v1/"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nothing is in."""
    return Home(tmp_path)


def test_a_first_login_writes_the_file_that_docker_would_write(home: Home) -> None:
    kept = store_login(home.environ, HOST, "me", "pw")
    assert kept == Kept("~/.docker/config.json", plain=True)
    text = '{\n\t"auths": {\n\t\t"registry.example:5000": {\n\t\t\t"auth": "bWU6cHc="\n\t\t}\n\t}\n}'
    assert home.docker_config.read_text(encoding="utf-8") == text
    assert stat.S_IMODE(home.docker_config.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.docker_config.parent.stat().st_mode) == 0o700


def test_a_login_takes_the_place_of_every_spelling_of_an_earlier_one(home: Home) -> None:
    home.docker(
        auths={"docker.io": auth("old", "pw"), "index.docker.io": {}, "docker.io/team": auth("team", "pw")}
    )
    store_login(home.environ, "docker.io", "me", "pw")
    assert json.loads(home.docker_config.read_text()) == {
        "auths": {"docker.io/team": auth("team", "pw"), HUB: auth("me", "pw")}
    }
    assert home.login("docker.io") == ("me", "pw")


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_that_the_file_names_gets_the_password_and_the_file_does_not(home: Home, key: str) -> None:
    home.helper("box")
    named = {"credHelpers": {HOST: "box"}, "credsStore": "box"}[key]
    home.docker(auths={HOST: auth("old", "pw")}, **{key: named})
    kept = store_login(home.environ, HOST, "me", "pw")
    assert kept == Kept("docker-credential-box (~/.docker/config.json)", plain=False)
    assert home.kept("box") == {HOST: {"Username": "me", "Secret": "pw"}}
    assert json.loads(home.docker_config.read_text()) == {"auths": {HOST: {}}, key: named}
    assert remove_login(home.environ, HOST) == "~/.docker/config.json and docker-credential-box"
    assert home.kept("box") == {}
    assert json.loads(home.docker_config.read_text()) == {"auths": {}, key: named}


def test_a_helper_keeps_docker_hub_under_docker_s_name(home: Home) -> None:
    home.helper("box")
    home.docker(credsStore="box")
    store_login(home.environ, "docker.io", "me", "pw")
    assert set(home.kept("box")) == {HUB}
    assert home.login("docker.io") == ("me", "pw")


def test_nothing_is_written_when_the_helper_fails(home: Home) -> None:
    path = home.docker(credsStore="bad", auths={HOST: auth("old", "pw")})
    before = path.read_bytes()
    with pytest.raises(NotFound, match="helper docker-credential-bad is not installed"):
        store_login(home.environ, HOST, "me", "pw")
    home.program("docker-credential-bad", "#!/bin/sh\nexit 1\n")
    with pytest.raises(NotAllowed, match="helper docker-credential-bad failed"):
        store_login(home.environ, HOST, "me", "pw")
    assert path.read_bytes() == before


def test_a_link_stays_a_link(home: Home) -> None:
    real = home.write("dotfiles/config.json", "{}")
    home.docker_config.parent.mkdir()
    home.docker_config.symlink_to(real)
    store_login(home.environ, HOST, "me", "pw")
    assert home.docker_config.is_symlink()
    assert json.loads(real.read_text()) == {"auths": {HOST: auth("me", "pw")}}


def test_docker_config_names_another_folder(home: Home) -> None:
    environ = home.environ | {"DOCKER_CONFIG": str(home.root / "other" / "folder")}
    assert store_login(environ, HOST, "me", "pw").place == "~/other/folder/config.json"
    assert home.login(HOST, DOCKER_CONFIG=environ["DOCKER_CONFIG"]) == ("me", "pw")
    assert remove_login(environ, HOST) == "~/other/folder/config.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON (line 1, column 2)"),
        ("[]", "is not a JSON object"),
        ('{"auths": []}', "has auths that are not a JSON object"),
    ],
)
def test_a_file_that_cannot_be_understood_is_left_as_it_is(home: Home, content: str, message: str) -> None:
    path = home.write(".docker/config.json", content)
    with pytest.raises(BadInput) as caught:
        store_login(home.environ, HOST, "me", "pw")
    assert caught.value.message == f"{str(path)!r} {message}"
    with pytest.raises(BadInput):
        remove_login(home.environ, HOST)
    assert path.read_text() == content


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(home: Home) -> None:
    home.write(".docker", "no folder")
    with pytest.raises(NotFound, match="cannot write"):
        store_login(home.environ, HOST, "me", "pw")


def test_logout_where_nobody_logged_in_changes_nothing(home: Home) -> None:
    assert remove_login(home.environ, HOST) is None
    assert not home.docker_config.exists()
    home.helper("box", **{"other.example": ("me", "pw")})
    path = home.docker(credsStore="box", auths={f"{HOST}/team": auth("me", "pw")})
    before = path.read_bytes()
    assert remove_login(home.environ, HOST) is None
    assert path.read_bytes() == before
    assert home.calls("box") == [f"get {HOST}"]


def test_logout_removes_what_other_tools_wrote_in_other_spellings(home: Home) -> None:
    home.docker(auths={"docker.io": auth("me", "pw"), HUB: auth("me", "pw"), HOST: auth("me", "pw")})
    assert remove_login(home.environ, "docker.io") == "~/.docker/config.json"
    assert json.loads(home.docker_config.read_text()) == {"auths": {HOST: auth("me", "pw")}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(st.text(), JSON, max_size=4).map(
    lambda document: {
        key: value for key, value in document.items() if key not in ("auths", "credHelpers", "credsStore")
    }
)
HOSTS = st.from_regex(r"[a-z]{1,6}\.example(:[0-9]{1,5})?", fullmatch=True)
LOGINS = st.dictionaries(
    HOSTS, st.tuples(st.text(min_size=1).filter(lambda user: ":" not in user), st.text(min_size=1))
)
SENDABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0:")


@given(
    document=DOCUMENTS,
    others=LOGINS,
    username=st.text(SENDABLE, min_size=1),
    password=st.text(SENDABLE, min_size=1),
)
@settings(max_examples=60, deadline=None)
def test_logging_in_and_out_leaves_all_else_as_it_was_in_its_order(
    document: dict[str, object], others: dict[str, tuple[str, str]], username: str, password: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        path = home.docker(**document, auths={host: auth(*login) for host, login in others.items()})
        before = list(json.loads(path.read_text(), object_pairs_hook=list))
        store_login(home.environ, HOST, username, password)
        assert home.login(HOST) == (username, password)
        assert remove_login(home.environ, HOST) is not None
        assert list(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)) == before
