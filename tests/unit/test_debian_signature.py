"""An index is believed for what a good key signed, and for nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pysequoia import SignatureMode, Tsk, sign

from taskimage.adapters.debian.signature import SHIPPED, Keyring
from taskimage.model.errors import BadInput, IntegrityError

NOW = datetime.now(timezone.utc)
TEXT = "Codename: bookworm\nSHA256:\n - \n"


@pytest.fixture(scope="module")
def key() -> Tsk:
    return Tsk.generate("Archive <archive@example.org>", validity_seconds=3600)


@pytest.fixture(scope="module")
def keyring(key: Tsk) -> Keyring:
    certificate = key.extract_certificate()
    return Keyring({certificate.fingerprint: certificate})


def signed(key: Tsk, text: str = TEXT, mode: SignatureMode = SignatureMode.CLEAR) -> bytes:
    return sign(key.signer(), text.encode(), mode=mode)


def test_the_signed_text_is_given_back(key: Tsk, keyring: Keyring) -> None:
    """Without the dashes that escape lines; the last line end belongs to the signature, not to the text."""
    assert keyring.signed_text(signed(key), now=NOW, where="x").strip() == TEXT.strip()


def attacks(data: bytes) -> dict[str, bytes]:
    other = Tsk.generate("Nobody <nobody@example.org>")
    return {
        "nothing": b"",
        "unsigned": TEXT.encode(),
        "changed": data.replace(b"bookworm", b"evilworm"),
        "text before": b"Codename: evil\n" + data,
        "text after": data + b"Codename: evil\n",
        "blank line before": b"\n" + data,
        "two messages": data + data,
        "another's message before": signed(other) + data,
        "another's message after": data + signed(other),
        "signature cut off": data[: data.index(b"-----BEGIN PGP SIGNATURE")],
        "signature cut short": data[:-60] + b"\n-----END PGP SIGNATURE-----\n",
        "another key": signed(other),
        "a bare signature": data[data.index(b"-----BEGIN PGP SIGNATURE") :],
        "garbage": bytes(range(256)),
    }


@pytest.mark.parametrize("name", attacks(b"-----BEGIN PGP SIGNATURE"))
def test_everything_else_is_refused(name: str, key: Tsk, keyring: Keyring) -> None:
    with pytest.raises(IntegrityError) as caught:
        keyring.signed_text(attacks(signed(key))[name], now=NOW, where="suite 'bookworm'")
    assert caught.value.where == "suite 'bookworm'"


def test_an_inline_message_that_is_not_cleartext_is_refused(key: Tsk, keyring: Keyring) -> None:
    with pytest.raises(IntegrityError, match="not an inline signed text"):
        keyring.signed_text(signed(key, mode=SignatureMode.INLINE), now=NOW, where="x")


def test_headers_of_the_message_are_not_taken_for_text(key: Tsk, keyring: Keyring) -> None:
    """RFC 9580 puts them outside of what is signed."""
    data = signed(key).replace(b"\n\n", b"\nCodename: evil\n\n", 1)
    try:
        text = keyring.signed_text(data, now=NOW, where="x")
    except IntegrityError:
        return
    assert "evil" not in text


def test_the_error_names_the_keys_that_the_signature_names(keyring: Keyring) -> None:
    other = Tsk.generate("Nobody <nobody@example.org>")
    with pytest.raises(IntegrityError, match=r"it names [0-9a-f]{16,40}"):
        keyring.signed_text(signed(other), now=NOW, where="x")


def test_a_key_that_has_expired_is_refused(key: Tsk, keyring: Keyring) -> None:
    with pytest.raises(IntegrityError, match="expired"):
        keyring.signed_text(signed(key), now=NOW + timedelta(hours=2), where="x")


def test_a_text_that_is_not_utf8_is_refused(key: Tsk, keyring: Keyring) -> None:
    data = sign(key.signer(), b"Origin: \xff\n", mode=SignatureMode.CLEAR)
    with pytest.raises(IntegrityError):
        keyring.signed_text(data, now=NOW, where="x")


def test_the_shipped_keys_are_those_that_the_documentation_lists() -> None:
    readme = (SHIPPED.parent / "README.md").read_text()
    fingerprints = {fingerprint.upper() for fingerprint in Keyring.load().certificates}
    listed = {line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")}
    assert fingerprints == listed


def test_a_keyring_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.pgp"):
        Keyring.load(tmp_path / "none.pgp")


@pytest.mark.parametrize("data", [b"", b"not a keyring"])
def test_a_file_that_is_no_keyring_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ring.pgp").write_bytes(data)
    with pytest.raises(BadInput, match="keyring"):
        Keyring.load(tmp_path / "ring.pgp")
