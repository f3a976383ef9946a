"""Certificate authorities of one's own, trusted beside those of the image: as `update-ca-certificates` would.

On a system of Debian's kind the bundle, the links and Java's keystore are made anew, with them. On another one the
bundles that there are get them at their end.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from taskimage.model.errors import BadInput, IntegrityError
from taskimage.transform.effects.certificates import FOLDER, LOCAL, java_keystore, trusted_certificates
from taskimage.transform.effects.tree import Tree
from taskimage.transform.effects.x509 import certificates, subject_hash
from taskimage.transform.entry import Entry

__all__ = ["authority_files", "trusted_authorities"]

_BUNDLE = f"{FOLDER}/ca-certificates.crt"
# Of Debian, Fedora and its kin, SUSE, and OpenSSL itself.
_BUNDLES = (
    _BUNDLE,
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
_ANCHORS = "etc/pki/ca-trust/source/anchors"
_KEYSTORE = f"{FOLDER}/java/cacerts"


def authority_files(files: Iterable[tuple[str, bytes]]) -> tuple[Entry, ...]:
    """A file for each certificate in the PEM ``files``, given by path and bytes; whatever else they hold is left out.

    Raises BadInput, naming the file, for one that has no certificate, or a damaged one.
    """
    found: dict[str, Entry] = {}
    for name, data in files:
        stem = posixpath.splitext(posixpath.basename(name))[0]
        for der in _certificates(name, data):
            # Named by content too: a file may hold several, and several files have one name.
            path = f"{LOCAL}/{stem}-{hashlib.sha256(der).hexdigest()}.crt"
            found[path] = Entry.file(path, _pem(der))
    return tuple(found[path] for path in sorted(found))


def trusted_authorities(tree: Tree, authorities: Sequence[Entry]) -> Iterator[Entry]:
    """What makes programs trust ``authorities``, which `authority_files` gave and ``tree`` has already."""
    entries = trusted_certificates(tree)
    if entries:
        yield from entries
        if _KEYSTORE in tree:
            yield from java_keystore(tree)
        return
    pems = b"".join(tree.read(entry.path) or b"" for entry in authorities)
    bundles = {entry.path: entry for path in _BUNDLES if (entry := tree.file(path)) is not None}
    known = next((tree.read(path) or b"" for path in bundles), b"")
    for path in bundles:
        yield tree.rewritten(path, _lines(tree.read(path) or b"") + pems)
    if tree.file(_BUNDLE) is None:
        yield tree.rewritten(_BUNDLE, _lines(known) + pems)
    folder = tree.real_path(FOLDER) or FOLDER
    for entry in authorities:
        name = posixpath.basename(entry.path)
        pem = tree.read(entry.path) or b""
        if tree.is_directory(_ANCHORS):
            yield Entry.file(f"{tree.real_path(_ANCHORS)}/{name}", pem)
        key = subject_hash(certificates(pem, where=name)[0], where=name)
        number = sum(other.startswith(f"{key}.") for other in tree.names(FOLDER))
        yield Entry.symlink(f"{folder}/{key}.{number}", f"/{entry.path}")


def _certificates(name: str, data: bytes) -> list[bytes]:
    try:
        ders = certificates(data, where=name)
        for der in ders:
            subject_hash(der, where=name)
    except IntegrityError as error:
        raise BadInput(f"not a certificate: {error.message}", where=name) from error
    if not ders:
        raise BadInput("no certificate in it; wanted PEM: -----BEGIN CERTIFICATE-----", where=name)
    return ders


def _pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])


def _lines(data: bytes) -> bytes:
    return data if data.endswith(b"\n") or not data else data + b"\n"
