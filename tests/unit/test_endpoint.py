"""Where registries are reached, whom they are believed by, and the settings that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry import endpoint as module
from taskimage.adapters.registry.endpoint import Endpoint, endpoint, mirrors
from taskimage.adapters.settings import RegistrySettings, Settings
from taskimage.model.errors import BadInput


@pytest.fixture(autouse=True)
def _no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates of this machine are out of reach; its folders are these."""
    monkeypatch.setattr(module, "_CERTIFICATES", (tmp_path / "containers", tmp_path / "docker"))


def loaded(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    """The settings of a config.toml, and of the environment."""
    path = tmp_path / ".config" / "taskimage" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Settings.load({"XDG_CONFIG_HOME": str(tmp_path / ".config"), "TASKIMAGE_HOME": "/home", **environ})


def reached(tmp_path: Path, registry: str, text: str = "", **environ: str) -> Endpoint:
    return endpoint(registry, loaded(tmp_path, text, **environ), {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("registry", "root"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("index.docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.example:5000", "https://registry.example:5000"),
        ("registry.example:80", "https://registry.example:80"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("[2001:db8::1]:5000", "https://[2001:db8::1]:5000"),
        ("localhost", "http://localhost"),
        ("LOCALHOST:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.9.9.9", "http://127.9.9.9"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("localhost.example", "https://localhost.example"),
        ("127.0.0.1.example", "https://127.0.0.1.example"),
        ("[::2]", "https://[::2]"),
    ],
)
def test_only_loopback_is_plain_http_by_default(tmp_path: Path, registry: str, root: str) -> None:
    where = reached(tmp_path, registry)
    assert (where.roots, where.trust) == ((root,), Trust())


def test_an_insecure_registry_is_not_verified_and_may_speak_http(tmp_path: Path) -> None:
    text = '[registries."r.example:5000"]\ninsecure = true\n'
    roots = ("https://r.example:5000", "http://r.example:5000")
    assert reached(tmp_path, "r.example:5000", text) == Endpoint(
        "r.example:5000", roots, Trust(verified=False)
    )
    assert reached(tmp_path, "r.example", text).roots == ("https://r.example",)


@pytest.mark.parametrize(
    "names", ["a.example,b.example:5000", " a.example  b.example:5000 ", "a.example, B.example:5000"]
)
def test_the_environment_names_insecure_registries(tmp_path: Path, names: str) -> None:
    settings = loaded(tmp_path, '[registries."a.example"]\nca = "/ca"\n', TASKIMAGE_INSECURE_REGISTRIES=names)
    assert settings.registries == {
        "a.example": RegistrySettings(insecure=True, ca=Path("/ca")),
        "b.example:5000": RegistrySettings(insecure=True),
    }


@pytest.mark.parametrize("text", ["insecure = false", 'ca = "/ca"'])
def test_loopback_speaks_tls_where_the_settings_mean_it(tmp_path: Path, text: str) -> None:
    where = reached(tmp_path, "localhost:5000", f'[registries."localhost:5000"]\n{text}\n')
    assert where.roots == ("https://localhost:5000",)
    assert where.trust.verified


def test_an_authority_is_trusted_for_its_registry_alone(tmp_path: Path) -> None:
    text = '[registries."r.example"]\nca = "/etc/ca.pem"\n'
    assert reached(tmp_path, "r.example", text).trust == Trust(ca=("/etc/ca.pem",))
    assert reached(tmp_path, "s.example", text).trust == Trust()


@pytest.mark.parametrize("folder", [".config/containers/certs.d", "containers", "docker"])
def test_certificates_that_other_tools_know_are_used(tmp_path: Path, folder: str) -> None:
    here = tmp_path / folder / "r.example:5000"
    here.mkdir(parents=True)
    for name in ("b.crt", "a.crt", "client.cert", "client.key", "other.txt"):
        (here / name).touch()
    where = reached(tmp_path, "r.example:5000", '[registries."r.example:5000"]\nca = "/ca"\n')
    assert where.trust == Trust(
        ca=("/ca", str(here / "a.crt"), str(here / "b.crt")),
        certificate=str(here / "client.cert"),
        key=str(here / "client.key"),
    )
    assert reached(tmp_path, "r.example").trust == Trust()


def test_a_user_s_own_certificates_come_before_the_machine_s(tmp_path: Path) -> None:
    for folder in (".config/containers/certs.d", "docker"):
        (tmp_path / folder / "r.example").mkdir(parents=True)
        (tmp_path / folder / "r.example" / "ca.crt").touch()
    own = tmp_path / ".config/containers/certs.d/r.example/ca.crt"
    assert reached(tmp_path, "r.example").trust == Trust(ca=(str(own),))


@pytest.mark.parametrize("name", ["docker.io", "registry-1.docker.io"])
def test_docker_hub_s_certificates_are_under_either_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "docker" / name).mkdir(parents=True)
    (tmp_path / "docker" / name / "both.cert").touch()
    expected = Trust(certificate=str(tmp_path / "docker" / name / "both.cert"))
    assert reached(tmp_path, "docker.io").trust == expected


def test_a_registry_on_loopback_with_a_certificate_speaks_tls(tmp_path: Path) -> None:
    (tmp_path / "docker" / "localhost:5000").mkdir(parents=True)
    (tmp_path / "docker" / "localhost:5000" / "ca.crt").touch()
    assert reached(tmp_path, "localhost:5000").roots == ("https://localhost:5000",)


# -- mirrors ---------------------------------------------------------------------------------------------


def test_mirrors_are_asked_in_order_each_as_its_own_settings_say(tmp_path: Path) -> None:
    text = """
        [registries."docker.io"]
        mirror = ["mirror.example/proxy/hub", "localhost:5000/"]
        [registries."mirror.example"]
        insecure = true
    """
    found = mirrors("docker.io", "library/ubuntu", loaded(tmp_path, text), {"HOME": str(tmp_path)})
    assert found == (
        (
            Endpoint(
                "mirror.example", ("https://mirror.example", "http://mirror.example"), Trust(verified=False)
            ),
            "proxy/hub/library/ubuntu",
        ),
        (Endpoint("localhost:5000", ("http://localhost:5000",), Trust()), "library/ubuntu"),
    )


def test_one_mirror_needs_no_list_and_most_registries_have_none(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[registries."index.docker.io"]\nmirror = "mirror.example"\n')
    assert [repository for _, repository in mirrors("docker.io", "a/b", settings, {})] == ["a/b"]
    assert mirrors("ghcr.io", "a/b", settings, {}) == ()


# -- settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registires = {}", "unknown key 'registires'"),
        ("registries = []", "registries is []; wanted a table"),
        ('registries."r.example" = "x"', "registries.r.example is 'x'; wanted a table"),
        ('registries."r.example".insceure = true', "unknown key 'registries.r.example.insceure'"),
        ('registries."r.example".insecure = "yes"', "registries.r.example.insecure is 'yes'; wanted true or false"),
        ('registries."r.example".ca = 1', "registries.r.example.ca is 1; wanted text"),
        ('registries."r.example".mirror = [1]', "registries.r.example.mirror is [1]; wanted text or a list of texts"),
        (
            'registries."r.example".mirror = "https://m.example"',
            "registries.r.example.mirror is 'https://m.example'; wanted host, host:port or host/path",
        ),
        (
            'registries."r.example".mirror = "m.example/Path"',
            "registries.r.example.mirror is 'm.example/Path'; wanted host, host:port or host/path",
        ),
        (
            'registries."r.example".mirror = "me:pw@m.example"',
            "registries.r.example.mirror is 'm.example'; wanted host, host:port or host/path",
        ),
        ("registries.r.example.insecure = true", "registries.r: not a registry: 'r'; wanted host or host:port"),
        ('registries."r.example/org" = {}', "registries.r.example/org: not a registry: 'r.example/org'; wanted host or host:port"),
        ('strict = "yes"', "strict is 'yes'; wanted true or false"),
        ("debian_mirror = 1", "debian_mirror is 1; wanted text or a list of texts"),
    ],
)  # fmt: skip
def test_what_the_settings_cannot_mean_is_told_with_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BadInput) as caught:
        loaded(tmp_path, text)
    assert caught.value.message == message
    assert caught.value.where == str(tmp_path / ".config" / "taskimage" / "config.toml")


def test_what_the_environment_cannot_mean_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TASKIMAGE_INSECURE_REGISTRIES: not a registry: 'org'"):
        loaded(tmp_path, TASKIMAGE_INSECURE_REGISTRIES="org")


def test_one_debian_mirror_needs_no_list(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'debian_mirror = "http://m.example"').debian_mirrors == ("http://m.example",)
