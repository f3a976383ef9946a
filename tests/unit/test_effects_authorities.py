"""Certificate authorities of one's own, trusted on systems of several kinds."""

from __future__ import annotations

from typing import Final

import pytest
from tests.unit.test_effects_certificates import certificate, pem

from taskimage.model.errors import BadInput
from taskimage.transform.effects.authorities import authority_files, trusted_authorities
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

OURS: Final = pem(certificate(b"Corp Root"))
BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"


def trusting(*entries: Entry) -> tuple[Tree, tuple[Entry, ...]]:
    """A system of ``entries`` that trusts ours."""
    tree = Tree(entries)
    files = authority_files([("corp.pem", OURS)])
    for entry in (*files, *trusted_authorities(Tree([*entries, *files]), files)):
        tree.add(entry)
    return tree, files


def text(tree: Tree, path: str) -> bytes:
    return (tree.read(path) or b"").replace(b"\n", b"")


def bare(data: bytes) -> bytes:
    return data.replace(b"\n", b"")


def test_each_certificate_of_a_file_has_a_file_of_its_own_and_keys_have_none() -> None:
    secret = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    found = authority_files([("a/corp.pem", OURS + secret + pem(certificate(b"Other"))), ("corp.pem", OURS)])
    assert len(found) == 2
    assert all(entry.path.startswith("usr/local/share/ca-certificates/corp-") for entry in found)
    assert not any(b"PRIVATE" in entry.body.open().read() for entry in found if entry.body)


@pytest.mark.parametrize("data", [b"", b"text", pem(b"\x30\x05abc")])
def test_a_file_without_a_certificate_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"corp\.pem"):
        authority_files([("corp.pem", data)])


def test_on_debian_the_bundle_has_all_and_links_lead_to_ours() -> None:
    shipped = Entry.file("usr/share/ca-certificates/mozilla/Root.crt", pem(certificate(b"Root")))
    java = Entry.file("etc/ssl/certs/java/cacerts", b"old")
    tree, files = trusting(shipped, java)
    assert text(tree, BUNDLE).count(b"BEGIN") == 2
    hashed = [name for name in tree.names("etc/ssl/certs") if name.endswith(".0")]
    assert len(hashed) == 2
    assert files[0].path in {(tree.real_path(f"etc/ssl/certs/{name}") or "") for name in hashed}
    assert (tree.read("etc/ssl/certs/java/cacerts") or b"").startswith(b"\xfe\xed\xfe\xed")


@pytest.mark.parametrize(
    "bundle", [BUNDLE, "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "etc/ssl/cert.pem"]
)
def test_elsewhere_the_bundles_that_are_there_get_ours_at_their_end(bundle: str) -> None:
    tree, _ = trusting(Entry.file(bundle, b"theirs"), Entry.directory("etc/pki/ca-trust/source/anchors"))
    assert text(tree, bundle) == b"theirs" + bare(OURS)
    assert text(tree, BUNDLE) == b"theirs" + bare(OURS)
    assert tree.names("etc/pki/ca-trust/source/anchors")


def test_where_nothing_was_trusted_ours_is() -> None:
    tree, _ = trusting()
    assert text(tree, BUNDLE) == bare(OURS)
    assert [name for name in tree.names("etc/ssl/certs") if name.endswith(".0")]
