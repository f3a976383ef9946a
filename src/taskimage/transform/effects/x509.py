"""Certificates as far as a folder of them needs: PEM to DER, and the hash of a subject (RFC 5280, X.690)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

from taskimage.model.errors import IntegrityError

__all__ = ["certificates", "subject_hash"]

SEQUENCE, VERSION = 0x30, 0xA0
UTF8STRING = 0x0C
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", re.DOTALL)
# The types of text that OpenSSL brings into one form, and how each is encoded.
_TEXT = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SPACE = b" \t\n\v\f\r"


def certificates(pem: bytes, *, where: str) -> list[bytes]:
    """The certificates in ``pem``, as DER. Raises IntegrityError for base64 that is none."""
    try:
        return [base64.b64decode(match, validate=False) for match in _PEM.findall(pem)]
    except binascii.Error as error:
        raise IntegrityError("a certificate is not base64", where=where) from error


def subject_hash(certificate: bytes, *, where: str) -> str:
    """The eight hex digits under which OpenSSL looks for ``certificate`` (DER) in a folder.

    They are from the SHA-1 of the subject in a canonical form: text as UTF-8, in lower case, with single
    spaces. Raises IntegrityError for what is not a certificate.
    """
    try:
        [(_, body)] = _elements(certificate)
        fields = [(tag, value) for tag, value in _elements(next(_elements(body))[1]) if tag != VERSION]
        # serialNumber, signature, issuer, validity, subject (RFC 5280, 4.1)
        subject = b"".join(_canonical_name(names) for _, names in _elements(fields[4][1]))
    except (IndexError, ValueError, StopIteration) as error:
        raise IntegrityError("a certificate is damaged", where=where) from error
    return hashlib.sha1(subject, usedforsecurity=False).digest()[3::-1].hex()


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, contents) of each DER element of ``data``."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[position : position + count], "big")
            position += count
        if position + length > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[position : position + length]
        position += length


def _element(tag: int, data: bytes) -> bytes:
    length = bytes([len(data)])
    if len(data) >= 0x80:
        size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(size)]) + size
    return bytes([tag]) + length + data


def _canonical_name(names: bytes) -> bytes:
    attributes = []
    for _, attribute in _elements(names):
        (oid_tag, oid), (tag, value) = _elements(attribute)
        if tag in _TEXT:
            text = value.decode(_TEXT[tag]).encode().strip(_SPACE).lower()
            tag, value = UTF8STRING, re.sub(rb"[ \t\n\v\f\r]+", b" ", text)
        attributes.append(_element(SEQUENCE, _element(oid_tag, oid) + _element(tag, value)))
    return _element(0x31, b"".join(sorted(attributes)))
