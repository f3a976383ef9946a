"""Where credentials are looked for, in which order, and what is said of each place."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from tests.keychains import Home, auth

from taskimage.adapters.credentials import Credential, Keychain
from taskimage.model.errors import BadInput

HOST = "registry.example:5000"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nothing is in."""
    return Home(tmp_path)


def test_the_first_place_that_has_something_wins(home: Home) -> None:
    """Each place in turn, from the last to the first, beats all that are behind it."""
    config = home.root / "spec.json"
    environ = home.environ
    seen = []

    def look() -> None:
        found = Keychain(environ, config=config if config.exists() else None).find(HOST).credential
        seen.append(found.secret if found else None)

    def written(name: str, secret: str) -> None:
        home.write(name, json.dumps({"auths": {HOST: auth("me", secret)}}))
        look()

    look()
    home.write(".netrc", "machine registry.example login me password netrc\n")
    look()
    written(".docker/config.json", "docker")
    written(".config/containers/auth.json", "configuration")
    written("run/containers/auth.json", "runtime")
    environ["REGISTRY_AUTH_FILE"] = str(home.root / "named.json")
    written("named.json", "named")
    environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {HOST: auth("me", "text")}})
    look()
    environ |= {"TASKIMAGE_REGISTRY_TOKEN": "token", "TASKIMAGE_REGISTRY": f"{HOST}/team"}
    look()
    written("spec.json", "spec")
    assert seen == [
        None, "netrc", "docker", "configuration", "runtime", "named", "text", "token", "spec",
    ]  # fmt: skip


def test_every_place_that_was_looked_at_is_told_with_what_came_of_it(home: Home) -> None:
    home.write(".config/containers/auth.json", "{")
    home.docker(credsStore="osxkeychain", auths={"other.example": auth("me", "pw")})
    assert home.find(HOST, REGISTRY_AUTH_FILE="/nowhere/auth.json").tried == (
        "/nowhere/auth.json: not there",
        "~/run/containers/auth.json: not there",
        "~/.config/containers/auth.json: is not JSON (line 1, column 2)",
        "~/.docker/config.json: helper docker-credential-osxkeychain is not installed",
        "~/.docker/config.json: no entry for registry.example:5000",
        "netrc: no entry for registry.example:5000",
    )


def test_what_is_found_says_where(home: Home) -> None:
    home.docker(auths={HOST: auth("me", "pw")})
    assert home.find(HOST).credential == Credential("basic", "me", "pw", "auths in ~/.docker/config.json")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "is not JSON (line 1, column 1)"),
        ("[]", "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        ("\udc80", "is not JSON"),
        ('{"auths": {"registry.example:5000": {"auth": "?"}}}', "the entry's auth is not base64 of user:password"),
        ('{"auths": {"registry.example:5000": {"auth": "bm9uZQ=="}}}', "the entry's auth is not base64 of user:password"),
        ('{"auths": {"registry.example:5000": {"auth": 1}}}', "the entry holds what is no text"),
        ('{"auths": {"registry.example:5000": {}}}', "no entry for registry.example:5000"),
        ('{"auths": {"registry.example:5000": null}}', "no entry for registry.example:5000"),
        ('{"auths": []}', "no entry for registry.example:5000"),
        ('{"credHelpers": [], "credsStore": 1}', "no entry for registry.example:5000"),
        ('{"credsStore": "../evil"}', "'../evil' is not the name of a credential helper"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_and_the_search_goes_on(
    home: Home, content: str, line: str
) -> None:
    home.write(".config/containers/auth.json", "").write_bytes(content.encode(errors="surrogateescape"))
    home.docker(auths={HOST: auth("me", "pw")})
    found = home.find(HOST)
    assert found.tried[1] == f"~/.config/containers/auth.json: {line}"
    assert found.credential is not None
    assert found.credential.source == "auths in ~/.docker/config.json"


def test_a_folder_in_place_of_a_file_is_told(home: Home) -> None:
    home.docker_config.mkdir(parents=True)
    assert "~/.docker/config.json: cannot be read: Is a directory" in home.find(HOST).tried


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not there"),
        ("{", "is not JSON (line 1, column 2)"),
        ("[]", "is not a JSON object"),
    ],
)
def test_the_file_that_a_spec_names_must_be_there_and_readable(
    home: Home, content: str | None, message: str
) -> None:
    path = home.root / "spec.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        Keychain(home.environ, config=path).find(HOST)
    assert caught.value.message == f"registry_config {str(path)!r} {message}"


def test_a_registry_that_the_spec_s_file_lacks_is_looked_for_elsewhere(home: Home) -> None:
    path = home.write("spec.json", json.dumps({"auths": {"other.example": auth("me", "pw")}}))
    home.docker(auths={HOST: auth("me", "pw")})
    found = Keychain(home.environ, config=path).find(HOST)
    assert found.credential is not None
    assert found.tried[0] == f"{path}: no entry for {HOST}"


# -- the environment -------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["ghcr.io", "ghcr.io/org", "GHCR.io/org/team"])
def test_a_token_in_the_environment_serves_the_registry_that_is_named(home: Home, named: str) -> None:
    token = {"TASKIMAGE_REGISTRY_TOKEN": "tok\n", "TASKIMAGE_REGISTRY": named}
    plain = home.find("ghcr.io", **token).credential
    assert plain == Credential("bearer", "", "tok", "TASKIMAGE_REGISTRY_TOKEN")
    named_user = home.find("ghcr.io", **token, TASKIMAGE_REGISTRY_USER="me").credential
    assert named_user == Credential("basic", "me", "tok", "TASKIMAGE_REGISTRY_TOKEN")


@pytest.mark.parametrize(
    ("named", "line"),
    [
        (None, "for no registry, since TASKIMAGE_REGISTRY names no host"),
        ("org", "for no registry, since TASKIMAGE_REGISTRY names no host"),
        ("org/team.x", "for no registry, since TASKIMAGE_REGISTRY names no host"),
        ("ghcr.io.example/org", "for another registry, which TASKIMAGE_REGISTRY names"),
        ("ghcr.io:443", "for another registry, which TASKIMAGE_REGISTRY names"),
    ],
)
def test_a_token_in_the_environment_is_sent_to_no_other_registry(
    home: Home, named: str | None, line: str
) -> None:
    environ = {"TASKIMAGE_REGISTRY_TOKEN": "tok"} | ({"TASKIMAGE_REGISTRY": named} if named else {})
    found = home.find("ghcr.io", **environ)
    assert found.credential is None
    assert found.tried[0] == f"TASKIMAGE_REGISTRY_TOKEN: {line}"


# -- entries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kind", "username", "secret"),
    [
        (auth("me", "pw"), "basic", "me", "pw"),
        (auth("me", "p:w:"), "basic", "me", "p:w:"),
        (auth("ünï", "pässword"), "basic", "ünï", "pässword"),
        (auth("me", "pw\0\0"), "basic", "me", "pw"),
        (auth("_json_key", '{"type": "service_account"}'), "basic", "_json_key", '{"type": "service_account"}'),
        ({"username": "me", "password": "pw"}, "basic", "me", "pw"),
        ({**auth("me", "pw"), "username": "old", "password": "old"}, "basic", "me", "pw"),
        ({**auth("me", ""), "identitytoken": "idt"}, "identity", "me", "idt"),
        ({"auth": "", "identitytoken": "idt"}, "identity", "", "idt"),
        ({**auth("me", "pw"), "registrytoken": "reg"}, "bearer", "", "reg"),
        ({"registrytoken": "reg", "identitytoken": "idt"}, "bearer", "", "reg"),
    ],
)  # fmt: skip
def test_an_entry_is_read_as_docker_reads_it(
    home: Home, entry: dict[str, str], kind: str, username: str, secret: str
) -> None:
    home.docker(auths={HOST: {**entry, "email": "not@val.id"}})
    found = home.find(HOST).credential
    assert found is not None
    assert (found.kind, found.username, found.secret) == (kind, username, secret)


def test_a_token_that_would_break_a_header_is_not_sent(home: Home) -> None:
    home.docker(auths={HOST: {"registrytoken": "a\r\nHost: b"}})
    found = home.find(HOST)
    assert found.credential is None
    assert "auths in ~/.docker/config.json: the token has characters that no token has" in found.tried


# -- remembered ------------------------------------------------------------------------------------------


def test_many_threads_and_repositories_run_a_helper_once(home: Home) -> None:
    home.helper("slow", **{HOST: ("me", "pw")})
    home.docker(credHelpers={HOST: "slow", "absent.example": "slow"})
    keychain = Keychain(home.environ)
    found = []

    def look(number: int) -> None:
        found.append(keychain.find(HOST, f"team/{number % 3}"))
        keychain.find("absent.example", f"team/{number % 3}")

    threads = [threading.Thread(target=look, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.credential for one in found} == {
        Credential("basic", "me", "pw", "credHelpers in ~/.docker/config.json (docker-credential-slow)")
    }
    assert sorted(home.calls("slow")) == ["get absent.example", f"get {HOST}"]


def test_netrc_serves_a_host_whatever_its_port_and_never_by_default(home: Home) -> None:
    home.write(".netrc", "machine registry.example login me password pw\nmachine ::1 login six password pw\n")
    assert home.login("registry.example:5000") == ("me", "pw")
    assert home.login("[::1]:5000") == ("six", "pw")
    home.write(".netrc", "default login me password pw\n")
    assert home.login("registry.example") is None


def test_netrc_serves_docker_hub_by_each_of_its_names(home: Home) -> None:
    home.write(".netrc", "machine registry-1.docker.io login me password pw\n")
    assert home.login("docker.io") == ("me", "pw")
