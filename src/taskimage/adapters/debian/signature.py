"""OpenPGP signatures of an archive's index (RFC 9580, section 7: the cleartext signature framework)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.model.errors import BadInput, IntegrityError
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from pysequoia import Cert

__all__ = ["Keyring"]

SHIPPED = Path(__file__).parents[2] / "data" / "debian-archive-keyring.pgp"

_SETTING = "look at TASKIMAGE_DEBIAN_KEYRING; unset, the keys that come with taskimage are used"
_OWN = "if the archive is yours, or newer than this taskimage, set TASKIMAGE_DEBIAN_KEYRING to its keyring"
_DASHED = re.compile(rb"^-----[^\n]*", re.MULTILINE)
_ENVELOPE = [
    b"-----BEGIN PGP SIGNED MESSAGE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----END PGP SIGNATURE-----",
]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The certificates that may sign an index, by fingerprint; ``hint`` says what to do where they do not."""

    certificates: Mapping[str, Cert]
    hint: str = _OWN

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Keyring:
        """The certificates of the file at ``path``, binary or armored. Raises BadInput."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadInput(
                f"cannot read the keyring {str(path)!r}: {error.strerror}", hint=_SETTING
            ) from error
        return cls.parse(data, where=str(path), hint=_SETTING)

    @classmethod
    def parse(cls, data: bytes, *, where: str, hint: str | None = None) -> Keyring:
        """The certificates in ``data``, binary or armored. Raises BadInput, naming ``where``."""
        from pysequoia import Cert

        try:
            certificates = Cert.split_bytes(data)
        except RuntimeError as error:
            raise BadInput(f"not a keyring of OpenPGP certificates: {where!r}", hint=hint) from error
        if not certificates:
            raise BadInput(f"no OpenPGP certificate is in the keyring {where!r}", hint=hint)
        return cls({certificate.fingerprint: certificate for certificate in certificates})

    def signed_text(self, data: bytes, *, now: datetime, where: str) -> str:
        """What is signed in ``data``, an inline signed text, by a key that is good at ``now``.

        One good signature is enough: archives are signed with the keys of several releases at a time.
        Raises IntegrityError, naming ``where`` and the keys, for everything else.
        """
        from pysequoia import verify

        _check_envelope(data, where)
        wanted: list[str] = []

        def certificates(key_ids: list[str]) -> list[Cert]:
            wanted.extend(key_ids)
            return list(self.certificates.values())

        try:
            result = verify(data, certificates)
        except RuntimeError as error:
            raise self._refused("no good signature by a key of the keyring", wanted, where) from error
        signers = [self.certificates[signature.certificate] for signature in result.valid_sigs]
        if not any(_is_good(signer, now) for signer in signers):
            raise self._refused("only keys that have expired or were revoked signed it", wanted, where)
        try:
            return (result.bytes or b"").decode()
        except UnicodeDecodeError as error:
            raise IntegrityError("the signed text is not UTF-8", where=where) from error

    def _refused(self, what: str, key_ids: list[str], where: str) -> IntegrityError:
        keys = ", ".join(key_ids) or "no key at all"
        return IntegrityError(f"bad signature: {what}; it names {keys}", where=where, hint=self.hint)


def _is_good(certificate: Cert, now: datetime) -> bool:
    return not certificate.is_revoked and (certificate.expiration is None or certificate.expiration > now)


def _check_envelope(data: bytes, where: str) -> None:
    # Readers of OpenPGP skip what stands before and after a message; whoever reads the file as a whole would
    # take that for signed. So the file is one message and nothing else.
    lines = [line.rstrip() for line in _DASHED.findall(data)]
    if lines[:1] != _ENVELOPE[:1]:
        raise IntegrityError("not an inline signed text (it does not begin with one)", where=where)
    end = data.rfind(_ENVELOPE[2]) + len(_ENVELOPE[2])
    if lines != _ENVELOPE or not data.startswith(_ENVELOPE[0]) or data[end:].strip():
        raise IntegrityError("there is more in it than one signed text", where=where)
