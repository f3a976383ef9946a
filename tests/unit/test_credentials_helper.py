"""Credential helpers: programs that are asked, told and bounded."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.keychains import Home, auth

from taskimage.adapters.credentials import Credential, helper
from taskimage.adapters.credentials.helper import Helper
from taskimage.model.errors import BadInput, NotAllowed, NotFound, TaskImageError, Unreachable

HOST = "registry.example:5000"
HUB = "https://index.docker.io/v1/"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nothing is in."""
    return Home(tmp_path)


def test_a_helper_keeps_gives_and_forgets(home: Home) -> None:
    home.helper("box")
    box = Helper("box", home.environ)
    assert box.get(HOST) is None
    box.store(HOST, "ünï", 'p"w\n')
    assert box.get(HOST) == ("ünï", 'p"w\n')
    box.erase(HOST)
    box.erase(HOST)
    assert box.get(HOST) is None


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("exit 3", NotAllowed, "failed (exit code 3)"),
        ("echo no credentials server URL; exit 1", NotAllowed, "failed (exit code 1)"),
        ("echo hello", NotAllowed, "answered what is no credential"),
        ("echo '[]'", NotAllowed, "answered what is no credential"),
        ("""echo '{"Username": "me"}'""", NotAllowed, "answered what is no credential"),
        ("""echo '{"Username": "me", "Secret": 1}'""", NotAllowed, "answered what is no credential"),
        (r"printf '\377'", NotAllowed, "answered what is no credential"),
        ("kill -9 $$", NotAllowed, "failed (exit code -9)"),
    ],
)
def test_a_helper_that_fails_is_an_error_that_says_how(
    home: Home, text: str, kind: type[TaskImageError], message: str
) -> None:
    home.program("docker-credential-bad", f"#!/bin/sh\n{text}\n")
    with pytest.raises(kind) as caught:
        Helper("bad", home.environ).get(HOST)
    assert caught.value.message == f"helper docker-credential-bad {message}"


def test_an_empty_secret_is_none(home: Home) -> None:
    home.helper("box", **{HOST: ("me", "")})
    assert Helper("box", home.environ).get(HOST) is None


def test_a_helper_that_is_not_there_or_no_program_is_told(home: Home) -> None:
    with pytest.raises(NotFound, match="helper docker-credential-box is not installed"):
        Helper("box", home.environ).get(HOST)
    home.program("docker-credential-box", "no program\n").write_bytes(b"\x7fELF")
    with pytest.raises(NotAllowed, match="helper docker-credential-box cannot be run"):
        Helper("box", home.environ).get(HOST)


@pytest.mark.parametrize("name", ["", "../box", "a/b", "-x", "a b", "a\0b"])
def test_a_name_leads_to_no_other_program(home: Home, name: str) -> None:
    with pytest.raises(BadInput, match="is not the name of a credential helper"):
        Helper(name, home.environ).get(HOST)


def test_a_folder_that_depends_on_where_one_stands_is_not_searched(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.helper("box", **{HOST: ("me", "pw")})
    monkeypatch.chdir(home.root)
    environ = home.environ | {"PATH": os.pathsep.join(["programs", ".", ""])}
    with pytest.raises(NotFound):
        Helper("box", environ).get(HOST)


def test_a_helper_that_hangs_is_left_even_when_what_it_started_goes_on(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "_PATIENCE", 0.3)
    home.program("docker-credential-slow", "#!/bin/sh\n/bin/sleep 5 &\nwait\n")
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"helper docker-credential-slow did not answer in 0\.3 seconds"):
        Helper("slow", home.environ).get(HOST)
    assert time.monotonic() - began < 3


# -- which helper is asked -------------------------------------------------------------------------------


def test_helpers_beat_what_an_earlier_login_left_in_the_file(home: Home) -> None:
    home.helper("special", **{HOST: ("special", "pw")})
    home.helper("store", **{HOST: ("store", "pw"), "other.example": ("store", "pw")})
    home.docker(
        auths={
            HOST: auth("old", "pw"),
            "other.example": auth("old", "pw"),
            "third.example": auth("old", "pw"),
        },
        credHelpers={HOST: "special"},
        credsStore="store",
    )
    found = [home.login(host) for host in (HOST, "other.example", "third.example")]
    assert found == [("special", "pw"), ("store", "pw"), ("old", "pw")]
    assert HOST not in "".join(home.calls("store"))


@pytest.mark.parametrize("key", [HUB, "index.docker.io", "docker.io", "registry-1.docker.io"])
def test_the_helper_of_docker_hub_is_named_by_any_of_its_names_and_asked_by_docker_s(
    home: Home, key: str
) -> None:
    home.helper("box", **{HUB: ("me", "pw")})
    home.docker(credHelpers={key: "box"})
    assert home.login("docker.io", "library/ubuntu") == ("me", "pw")
    assert home.calls("box") == [f"get {HUB}"]


def test_what_containers_tools_gave_a_helper_for_docker_hub_is_found(home: Home) -> None:
    home.helper("box", **{"docker.io": ("me", "pw")})
    home.docker(credsStore="box")
    assert home.login("docker.io") == ("me", "pw")


def test_the_user_token_means_an_identity_token(home: Home) -> None:
    home.helper("box", **{HOST: ("<token>", "idt")})
    home.docker(credsStore="box")
    source = "credsStore in ~/.docker/config.json (docker-credential-box)"
    assert home.find(HOST).credential == Credential("identity", "", "idt", source)


def test_a_cloud_s_own_helper_serves_where_nothing_is_configured(home: Home) -> None:
    home.helper("gcr", **{"gcr.io": ("oauth2accesstoken", "pw")})
    found = home.find("gcr.io")
    assert found.credential == Credential("basic", "oauth2accesstoken", "pw", "docker-credential-gcr")
    assert "helper docker-credential-gcloud is not installed" in found.tried


def test_a_cloud_s_own_helper_is_not_run_for_others_or_where_something_is_configured(home: Home) -> None:
    home.helper("gcr", **{"gcr.io": ("oauth2accesstoken", "pw")})
    home.docker(auths={"gcr.io": auth("me", "pw")})
    assert home.login("gcr.io") == ("me", "pw")
    assert home.login("ghcr.io") is None
    assert home.calls("gcr") == []
