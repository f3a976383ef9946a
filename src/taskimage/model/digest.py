"""Content digests (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re

from taskimage.model.errors import BadInput, IntegrityError
from taskimage.model.value import dataclass

__all__ = ["LENGTHS", "Digest", "verify"]

# OCI's registered algorithms, and the third that every client reads; the length is in hexadecimal digits.
LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and the hexadecimal value of some bytes: ``sha256:2c26…``.

    >>> Digest.of(b"foo").short
    '2c26b46b68ff'
    """

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest that ``text`` writes as ``algorithm:hex``, in lower case. Raises BadInput."""
        algorithm, _, value = text.partition(":")
        if len(value) != LENGTHS.get(algorithm) or not _HEX.match(value):
            raise BadInput(
                f"not a digest: {text[:200]!r}; wanted sha256: and 64 hexadecimal digits (sha384: and 96, sha512: and 128)"
            )
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> Digest:
        """The sha256 digest of ``data``."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first twelve digits, for people."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def verify(data: bytes, want: Digest, *, where: str) -> bytes:
    """``data`` itself when its digest is ``want``; IntegrityError, naming ``where``, when not."""
    got = hashlib.new(want.algorithm, data).hexdigest()
    if got != want.hex:
        raise IntegrityError(f"digest is {want.algorithm}:{got}, wanted {want}", where=where)
    return data
