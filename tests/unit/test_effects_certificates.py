"""Trusted certificates and Java's keystore, from certificates made here."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest

from taskimage.model.errors import IntegrityError
from taskimage.transform.effects.certificates import java_keystore, trusted_certificates
from taskimage.transform.effects.keystore import jks
from taskimage.transform.effects.tree import Tree
from taskimage.transform.effects.x509 import certificates, subject_hash
from taskimage.transform.entry import BytesBody, Entry

COMMON_NAME = b"\x55\x04\x03"


def der(tag: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    length = bytes([len(data)]) if len(data) < 128 else b"\x82" + struct.pack(">H", len(data))
    return bytes([tag]) + length + data


def certificate(name: bytes, *, tag: int = 0x0C, serial: int = 1, version: bool = True) -> bytes:
    """The part of a certificate up to its subject, which is all that is looked at."""
    subject = der(0x30, der(0x31, der(0x30, der(0x06, COMMON_NAME), der(tag, name))))
    empty = der(0x30)
    fields = [der(0xA0, der(0x02, b"\2"))] if version else []
    fields += [der(0x02, bytes([serial])), empty, empty, empty, subject, der(0x04, bytes(300))]
    return der(0x30, der(0x30, *fields), empty, der(0x03, b"\0"))


def pem(data: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"


def data_of(entries: dict[str, Entry], path: str) -> bytes:
    body = entries[path].body
    assert isinstance(body, BytesBody)
    return body.data


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        (b"Some Root", 0x13),
        (b"  some \t root ", 0x0C),
        ("Some Root".encode("utf-16-be"), 0x1E),
        ("SOME ROOT".encode("utf-32-be"), 0x1C),
        (b"some root", 0x14),
        (b"some root", 0x16),
    ],
)
def test_names_that_say_the_same_have_the_same_hash(name: bytes, tag: int) -> None:
    expected = subject_hash(certificate(b"some root"), where="x")
    assert subject_hash(certificate(name, tag=tag), where="x") == expected


def test_the_hash_is_of_the_canonical_name() -> None:
    canonical = der(0x31, der(0x30, der(0x06, COMMON_NAME), der(0x0C, b"some root")))
    digest = hashlib.sha1(canonical).digest()  # noqa: S324 - OpenSSL's choice
    assert (
        subject_hash(certificate(b"Some Root"), where="x")
        == struct.pack(">I", *struct.unpack("<I", digest[:4])).hex()
    )
    assert subject_hash(certificate(b"Some Root", version=False), where="x") == digest[3::-1].hex()


@pytest.mark.parametrize("data", [b"", b"\x30\x05abc", certificate(b"x")[:30], der(0x30, der(0x30))])
def test_a_damaged_certificate_is_an_error(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="damaged"):
        subject_hash(data, where="x.crt")


def test_every_certificate_of_a_file_is_found() -> None:
    assert certificates(pem(b"one") + b"text\n" + pem(b"two"), where="x") == [b"one", b"two"]


def test_shipped_certificates_are_trusted_by_name_by_hash_and_in_one_file() -> None:
    root, twin, copy = certificate(b"root"), certificate(b"root", serial=2), certificate(b"root")
    shipped = {"mozilla/A_(1),_x.crt": root, "mozilla/B.crt": twin, "mozilla/C.crt": copy}
    tree = Tree(
        Entry.file(f"usr/share/ca-certificates/{path}", pem(data).rstrip()) for path, data in shipped.items()
    )
    entries = {entry.path: entry for entry in (*trusted_certificates(tree), *java_keystore(tree))}
    links = {
        path.rpartition("/")[2]: entry.target for path, entry in entries.items() if entry.kind == "symlink"
    }
    key = subject_hash(root, where="x")
    assert links == {
        "A_=1=__x.pem": "/usr/share/ca-certificates/mozilla/A_(1),_x.crt",
        "B.pem": "/usr/share/ca-certificates/mozilla/B.crt",
        "C.pem": "/usr/share/ca-certificates/mozilla/C.crt",
        f"{key}.0": "A_=1=__x.pem",
        f"{key}.1": "B.pem",
    }
    assert data_of(entries, "etc/ssl/certs/ca-certificates.crt") == pem(root) + pem(twin) + pem(copy)
    config = data_of(entries, "etc/ca-certificates.conf").decode().splitlines()
    assert [line for line in config if not line.startswith("#")] == sorted(shipped)
    assert data_of(entries, "etc/ssl/certs/java/cacerts").startswith(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\3")


def test_without_certificates_there_is_nothing() -> None:
    assert trusted_certificates(Tree([])) == java_keystore(Tree([])) == ()


def test_a_keystore_is_sealed_with_javas_default_password() -> None:
    store = jks({"debian:a.pem": b"DER"})
    data, seal = store[:-20], store[-20:]
    expected = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + data).digest()  # noqa: S324
    assert seal == expected
    assert data.endswith(b"\0\5X.509\0\0\0\3DER")
