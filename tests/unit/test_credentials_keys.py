"""How registries are spelled: in identifiers, in the files that keep credentials, and by people."""

from __future__ import annotations

import pytest

from taskimage.adapters.credentials.clouds import standard_helpers
from taskimage.adapters.credentials.keys import matching
from taskimage.model.errors import BadInput
from taskimage.model.registry import canonical, parse_registry

HUB_KEYS = [
    "https://index.docker.io/v1/", "https://index.docker.io/v1", "index.docker.io/v1/", "index.docker.io",
    "https://registry-1.docker.io", "registry-1.docker.io", "docker.io", "https://docker.io/", "Docker.io",
]  # fmt: skip


@pytest.mark.parametrize("key", HUB_KEYS)
def test_docker_hub_is_one_registry_by_all_its_names(key: str) -> None:
    assert matching([key], "docker.io", "library/ubuntu") == [key]
    assert parse_registry(key) == "docker.io"


@pytest.mark.parametrize(
    "key",
    [
        "host.example:5000", "https://host.example:5000", "http://host.example:5000/", "HOST.example:5000/",
        "https://host.example:5000/v1/", "host.example:5000/v2/", "https://host.example:5000/some/path",
        "host.example:5000/team", "host.example:5000/team/", "host.example:5000/team/image",
    ],
)  # fmt: skip
def test_a_key_is_for_its_registry(key: str) -> None:
    assert matching([key], "host.example:5000", "team/image") == [key]


@pytest.mark.parametrize(
    "key",
    [
        "host.example", "host.example:443", "host.example:50001", "my.host.example:5000", "host.example:5000.evil",
        "user@host.example:5000", "*.example:5000", "", "https://", "host.example:5000/te", "host.example:5000/team/im",
        "host.example:5000/team/image/more", "host.example:5000/other",
    ],
)  # fmt: skip
def test_a_key_is_for_no_other_registry_or_repository(key: str) -> None:
    assert matching([key], "host.example:5000", "team/image") == []


def test_the_most_specific_key_is_the_first() -> None:
    keys = [
        "https://h.example",
        "h.example",
        "h.example/a/b",
        "h.example/a",
        "h.example/a/b/c",
        "h.example/a/bc",
    ]
    assert matching(keys, "h.example", "a/b") == [
        "h.example/a/b",
        "h.example/a",
        "h.example",
        "https://h.example",
    ]
    assert matching(keys, "h.example") == ["h.example", "https://h.example"]


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("http://10.0.0.1:5000", "10.0.0.1:5000"),
        ("localhost", "localhost"),
        ("localhost:5000", "localhost:5000"),
        ("host:5000", "host:5000"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:5000", "[2001:db8::1]:5000"),
    ],
)
def test_people_name_a_registry_by_host_or_url(text: str, registry: str) -> None:
    assert parse_registry(text) == registry == canonical(registry)


@pytest.mark.parametrize(
    "text",
    [
        "", "org", "ghcr.io/org", "https://ghcr.io/org", "host:port", "host:", "::1", "[::1", "a b.example", "ftp://ghcr.io",
        "ghcr.io:5000:5000", "-x.example", "ghcr.io@sha256", "ghcr.io\n",
    ],
)  # fmt: skip
def test_what_no_identifier_could_name_is_no_registry(text: str) -> None:
    with pytest.raises(BadInput, match="not a registry"):
        parse_registry(text)


def test_what_stands_before_a_host_may_be_a_password_and_is_not_shown() -> None:
    with pytest.raises(BadInput) as caught:
        parse_registry("https://me:hunter2@ghcr.io")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("registry", "helpers"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", ("ecr-login",)),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", ("ecr-login",)),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", ("ecr-login",)),
        ("public.ecr.aws", ("ecr-login",)),
        ("gcr.io", ("gcloud", "gcr")),
        ("eu.gcr.io", ("gcloud", "gcr")),
        ("europe-west4-docker.pkg.dev", ("gcloud", "gcr")),
        ("team.azurecr.io", ("acr-env", "acr-linux")),
        ("ghcr.io", ()),
        ("evilgcr.io", ()),
        ("gcr.io.example", ()),
        ("azurecr.io", ()),
        ("team.azurecr.io.example", ()),
        ("gcr.io:5000", ()),
        ("docker.pkg.dev", ()),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.example", ()),
        ("123456789012xdkr.ecr.eu-west-1.amazonaws.com", ()),
    ],
)
def test_the_helpers_of_a_cloud_are_for_its_own_registries(registry: str, helpers: tuple[str, ...]) -> None:
    assert standard_helpers(registry) == helpers
