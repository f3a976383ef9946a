"""References: the grammar as tables, the laws of parsing, and errors that show the place."""

from __future__ import annotations

import pickle
import re
import time
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.errors import InvalidReference, WrongType
from taskimage.model.reference import LONGEST_IDENTIFIER, Reference

SHA256 = "sha256:" + "0a" * 32
SHA384 = "sha384:" + "1b" * 48
SHA512 = "sha512:" + "2c" * 64
ID = "3d" * 32

# By identifier: its registry, repository, tag and digest.
GOOD = {
    # names, and what is filled in
    "app": ("docker.io", "library/app", None, None),
    "team/app": ("docker.io", "team/app", None, None),
    "a/b/c/d": ("docker.io", "a/b/c/d", None, None),
    "library/app": ("docker.io", "library/app", None, None),
    "docker.io/app": ("docker.io", "library/app", None, None),
    "docker.io/team/app": ("docker.io", "team/app", None, None),
    "docker.io/library/app": ("docker.io", "library/app", None, None),
    "index.docker.io/app": ("docker.io", "library/app", None, None),
    "index.docker.io/team/app": ("docker.io", "team/app", None, None),
    "registry-1.docker.io/app": ("registry-1.docker.io", "app", None, None),
    "0": ("docker.io", "library/0", None, None),
    # registries
    "example.org/app": ("example.org", "app", None, None),
    "example.org:5000/app": ("example.org:5000", "app", None, None),
    "host:1/app": ("host:1", "app", None, None),
    "host:00080/app": ("host:00080", "app", None, None),
    "localhost/app": ("localhost", "app", None, None),
    "localhost:30000/app": ("localhost:30000", "app", None, None),
    "127.0.0.1:5000/a/b": ("127.0.0.1:5000", "a/b", None, None),
    "HOST/app": ("HOST", "app", None, None),
    "Team/app": ("Team", "app", None, None),
    "Example.ORG/app": ("Example.ORG", "app", None, None),
    "a-b--c.example/app": ("a-b--c.example", "app", None, None),
    "xn--bcher-kva.example/app": ("xn--bcher-kva.example", "app", None, None),
    "[::1]/app": ("[::1]", "app", None, None),
    "[::1]:5000/app:v1": ("[::1]:5000", "app", "v1", None),
    "[2001:DB8:0:1:2:3:4:5]/a/b": ("[2001:DB8:0:1:2:3:4:5]", "a/b", None, None),
    # without a slash there is no registry, however much it looks like one
    "localhost": ("docker.io", "library/localhost", None, None),
    "example.org": ("docker.io", "library/example.org", None, None),
    "example.org:5000": ("docker.io", "library/example.org", "5000", None),
    "localhost:5000": ("docker.io", "library/localhost", "5000", None),
    # separators
    "a_b__c-d---e/f": ("docker.io", "a_b__c-d---e/f", None, None),
    "x/a.b_c__d-e---f": ("docker.io", "x/a.b_c__d-e---f", None, None),
    "foo/foo_bar.com": ("docker.io", "foo/foo_bar.com", None, None),
    "foo_bar.com:8080": ("docker.io", "library/foo_bar.com", "8080", None),
    # tags
    "app:v1": ("docker.io", "library/app", "v1", None),
    "app:_": ("docker.io", "library/app", "_", None),
    "app:V1.2-rc_3": ("docker.io", "library/app", "V1.2-rc_3", None),
    "app:v1.yaml": ("docker.io", "library/app", "v1.yaml", None),
    "app:" + "t" * 128: ("docker.io", "library/app", "t" * 128, None),
    "h.example:1/app:2": ("h.example:1", "app", "2", None),
    # digests
    f"app@{SHA256}": ("docker.io", "library/app", None, SHA256),
    f"app@{SHA384}": ("docker.io", "library/app", None, SHA384),
    f"app@{SHA512}": ("docker.io", "library/app", None, SHA512),
    f"app:v1@{SHA256}": ("docker.io", "library/app", "v1", SHA256),
    f"localhost:5000/a/b:v1@{SHA256}": ("localhost:5000", "a/b", "v1", SHA256),
    # 64 hexadecimal digits are a name when they do not stand alone, or are not 64
    f"docker.io/{ID}": ("docker.io", f"library/{ID}", None, None),
    f"{ID}:v1": ("docker.io", f"library/{ID}", "v1", None),
    ID[1:]: ("docker.io", f"library/{ID[1:]}", None, None),
    ID + "a": ("docker.io", f"library/{ID}a", None, None),
    # lengths: 255 characters of repository, the registry and library/ apart and included
    "example.org/" + "a" * 255: ("example.org", "a" * 255, None, None),
    "a" * 247: ("docker.io", "library/" + "a" * 247, None, None),
}  # fmt: skip

# By identifier: the position of the first character that is wrong, and words of the reason.
BAD = {
    "": (0, "empty"),
    # spaces and characters of no identifier
    " app": (0, "a space"),
    "app ": (3, "a space"),
    "my app:v1": (2, "a space"),
    "app\n": (3, r"'\n'"),
    "app\0": (3, r"'\x00'"),
    "äpp": (0, "'ä'"),
    "app:v²": (5, "'²'"),
    "a/$b": (2, "'$'"),
    "app:v1+cu121": (6, "'+'"),
    "{{.image.default}}": (0, "'{'"),
    r"a\b": (1, r"'\\'"),
    "[fe80::1%eth0]/app": (8, "'%'"),
    # a scheme, a user
    "https://example.org/app:v1": (0, "scheme 'https://'"),
    "docker://app": (0, "scheme"),
    "user:secret@example.org/app": (0, "user name"),
    "https://user:secret@example.org": (0, "user name"),
    # an image's ID
    ID: (0, "ID of an image"),
    # digests
    "app@": (4, "digest is empty"),
    f"@{SHA256}": (0, "no repository"),
    "app@sha256": (4, "'sha256' is not"),
    "app@sha256:": (11, "0 digits"),
    "app@sha256:abc": (14, "3 digits, sha256 has 64"),
    f"app@{SHA256}0": (75, "65 digits"),
    f"app@{SHA384[:-1]}": (106, "95 digits, sha384 has 96"),
    f"app@{SHA256[:-1]}F": (74, "'F' is in the digest"),
    f"app@{SHA256[:-1]}g": (74, "'g' is in the digest"),
    "app@md5:" + "0" * 32: (4, "'md5' is not"),
    "app@SHA256:" + "0" * 64: (4, "'SHA256' is not"),
    f"app@{SHA256}@{SHA256}": (75, "'@' is in the digest"),
    f"app:@{SHA256}": (4, "tag is empty"),
    f"app@{SHA256}:v1": (75, "':' is in the digest"),
    # tags
    "app:": (4, "tag is empty"),
    ":v1": (0, "no repository"),
    "app:.v1": (4, "begins with '.'"),
    "app:-v1": (4, "begins with '-'"),
    "app:" + "t" * 129: (132, "129 characters"),
    "app:v1[2]": (6, "'[' is in the tag"),
    "a/b:v1/c": (3, "':' is in the repository"),
    "app:v1:v2": (3, "':' is in the repository"),
    # registries
    "example.org:/app": (11, "':' is not a port"),
    "example.org:http/app": (11, "':http' is not a port"),
    "example.org:80a/app": (11, "':80a' is not a port"),
    "a:1:2/app": (1, "more than one ':'"),
    "fc00::1:5000/app": (4, "more than one ':'"),
    "foo_bar.com/app": (3, "'_' is where none may be in the registry"),
    "-example.org/app": (0, "'-' is where none may be in the registry"),
    "example-.org/app": (7, "'-' is where none may be in the registry"),
    "example..org/app": (8, "a part is empty in the registry"),
    ".example.org/app": (0, "a part is empty in the registry"),
    "example.org./app": (12, "a part is empty in the registry"),
    ":5000/app": (0, "a part is empty in the registry"),
    "[]/app": (1, "IPv6"),
    "[::1/app": (4, "IPv6"),
    "[::g]/app": (3, "'g' is in the IPv6 address"),
    "[2001:db8::192.0.2.33]/app": (14, "'.' is in the IPv6 address"),
    "[::1]5000/app": (5, "'5000' is not a port"),
    "[::1]:/app": (5, "':' is not a port"),
    "[::1]": (5, "no repository"),
    "[::1]:5000": (10, "no repository"),
    # repositories
    "App": (0, "capital"),
    "App:v1": (0, "capital"),
    "team/App": (5, "capital"),
    "example.org/team/myApp:v1": (19, "capital"),
    "example.org/": (12, "no repository"),
    "docker.io/": (10, "no repository"),
    "/app": (0, "empty"),
    "//app": (0, "empty"),
    "team/": (5, "empty"),
    "team//app": (5, "empty"),
    "-app": (0, "'-' is where none may be"),
    "app-": (3, "'-' is where none may be"),
    "_app": (0, "'_' is where none may be"),
    "app_": (3, "'_' is where none may be"),
    "app.": (3, "'.' is where none may be"),
    "a..b": (1, "'.' is where none may be"),
    "a___b": (1, "'_' is where none may be"),
    "a._b": (1, "'.' is where none may be"),
    "x/a-.b": (3, "'-' is where none may be"),
    "x/[::1]": (6, "']' is in the tag"),
    "x/[": (2, "'[' is where none may be"),
    "example.org/" + "a" * 256: (267, "256 characters"),
    "a" * 248: (247, "256 characters"),
    "a" * (LONGEST_IDENTIFIER + 1): (LONGEST_IDENTIFIER, "1025 characters"),
}  # fmt: skip


@pytest.mark.parametrize("identifier", GOOD)
def test_good_identifiers_have_their_parts(identifier: str) -> None:
    """Every production of the grammar is read, and what is left out is filled in."""
    registry, repository, tag, digest = GOOD[identifier]
    want = Reference(registry, repository, tag, Digest.parse(digest) if digest else None)
    assert Reference.parse(identifier) == want


@pytest.mark.parametrize("identifier", BAD)
def test_bad_identifiers_are_shown_with_the_place_and_the_reason(identifier: str) -> None:
    """The error has the offset of what is wrong, and marks it under the identifier."""
    position, reason = BAD[identifier]
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(identifier)
    first, shown, mark, accepted = caught.value.message.split("\n")
    assert caught.value.position == position
    assert first.startswith("not an image identifier: ")
    assert reason in first
    place = mark.index("^")
    marked = caught.value.identifier[position : position + 1]
    assert shown[place:].startswith(repr(marked)[1:-1])
    assert accepted


def test_an_error_reads_well() -> None:
    """The place is marked, the reason given, and what would be accepted."""
    with pytest.raises(InvalidReference) as caught:
        Reference.parse("ghcr.io/Team/app:v1")
    assert str(caught.value) == (
        "not an image identifier: a capital is in the repository\n"
        "    ghcr.io/Team/app:v1\n"
        "            ^\n"
        "a repository is lower-case letters and digits, joined by '.', '_', '__', dashes or '/'\n"
        "hint: write 'ghcr.io/team/app:v1'"
    )


@pytest.mark.parametrize(
    "identifier",
    [
        *(
            "user:s3cret@example.org/app",
            "https://user:s3/cr@et@example.org/app",
            "https://s3cret@example.org",
        ),
        *("user:s3cret@sha.example:5000/app", "user:s3cret@example.org:5000"),
    ],
)
def test_credentials_are_never_shown(identifier: str) -> None:
    """A password in front of a host is in no part of the error."""
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(identifier)
    assert "s3" not in str(caught.value) + caught.value.identifier


def test_a_host_that_dns_has_not_is_refused() -> None:
    """Unlike distribution/reference, which reads foo_bar.com/app as a repository of no registry."""
    with pytest.raises(InvalidReference, match="registry"):
        Reference.parse("foo_bar.com/app")


@pytest.mark.parametrize("value", [None, 1, 1.5, b"app:v1", ["app:v1"], {"a": 1}, True, object()])
def test_what_is_not_text_is_a_type_error_of_ours(value: object) -> None:
    """Anything but a str is refused at the door."""
    with pytest.raises(WrongType):
        Reference.parse(value)  # type: ignore[arg-type]


def test_references_are_values() -> None:
    """They are immutable, hashable, picklable, and change by deriving."""
    one = Reference.parse(f"app:v1@{SHA256}")
    with pytest.raises(FrozenInstanceError):
        one.tag = "v2"  # type: ignore[misc]
    assert {one: 1}[Reference.parse(f"docker.io/library/app:v1@{SHA256}")] == 1
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes
    assert str(replace(one, digest=None)) == "docker.io/library/app:v1"
    assert one.name == "docker.io/library/app"


def test_references_are_ordered() -> None:
    """By registry, repository, tag and digest; what has none comes first."""
    ordered = ["a.io/z", "b.io/a", "b.io/a@" + SHA256, "b.io/a:1", f"b.io/a:1@{SHA256}", "b.io/a:2", "b.io/b"]
    references = [Reference.parse(text) for text in ordered]
    assert sorted({*references}) == references
    assert references[0] < references[1] <= references[1]
    with pytest.raises(TypeError):
        assert references[0] < "b.io/a"


@pytest.mark.parametrize(
    ("identifier", "familiar"),
    [
        ("docker.io/library/app:v1", "app:v1"),
        ("docker.io/team/app", "team/app"),
        ("index.docker.io/app", "app"),
        (f"docker.io/library/app@{SHA256}", f"app@{SHA256}"),
        ("example.org/library/app", "example.org/library/app"),
        ("docker.io/library/a/b", "library/a/b"),
        # distribution/reference shortens these three to what names another image, or none
        ("docker.io/localhost/app", "docker.io/localhost/app"),
        ("docker.io/a.b/app", "docker.io/a.b/app"),
        (f"docker.io/{ID}", f"library/{ID}"),
    ],
)
def test_the_familiar_form_is_the_shortest_that_leads_back(identifier: str, familiar: str) -> None:
    """docker.io and library/ are left out where nothing else is then meant."""
    reference = Reference.parse(identifier)
    assert reference.familiar == familiar
    assert Reference.parse(familiar) == reference


PIECES = st.sampled_from(
    [
        *("a", "B", "0", ".", "_", "-", "/", ":", "@", "[", "]", " ", "é", "a" * 60),
        *(
            "localhost",
            "index.",
            "docker.io",
            "library",
            "x.y:1",
            "https://",
            "sha256:",
            "ff" * 16,
            SHA256,
            ID,
        ),
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=40)))
def test_every_text_is_a_reference_that_prints_back_or_an_error_with_a_place(text: str) -> None:
    """parse(str(r)) == r and parse(r.familiar) == r, and what is no reference is explained."""
    try:
        reference = Reference.parse(text)
    except InvalidReference as caught:
        error = caught
    else:
        assert Reference.parse(str(reference)) == reference
        assert Reference.parse(reference.familiar) == reference
        assert len(reference.familiar) <= len(str(reference))
        return
    assert error.position is not None
    assert 0 <= error.position <= len(error.identifier)
    # The last reason is given when no other is found: it must then be true.
    counted = re.search("the repository has ([0-9]+) characters", error.message)
    assert counted is None or int(counted[1]) > 255


@pytest.mark.parametrize("unit", ["a", "a.", "a-", "a/", ":", "@", "-", "[", " ", "A", "sha256:0", "\0", "é"])
def test_ten_megabytes_are_refused_at_once(unit: str) -> None:
    """No text takes longer than its length, and none of it floods the error."""
    text = unit * (10_000_000 // len(unit))
    started = time.perf_counter()
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert time.perf_counter() - started < 5
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("unit", ["a", "a.", "a-", "a--", "a/", "a_", ":", "-", "A", "a:", "0", "a-."])
def test_the_longest_identifiers_take_no_time(unit: str) -> None:
    """Below the limit nothing is tried again and again."""
    text = (unit * LONGEST_IDENTIFIER)[: LONGEST_IDENTIFIER - 2]
    started = time.perf_counter()
    for identifier in (text, text + "/", "h.x/" + text, "x:" + text, text + "!"):
        try:
            Reference.parse(identifier)
        except InvalidReference:
            continue
    assert time.perf_counter() - started < 2
