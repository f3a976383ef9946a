"""Java's own keystore format, JKS version 2, with trusted certificates alone."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

__all__ = ["jks"]

MAGIC, VERSION, TRUSTED = 0xFEEDFEED, 2, 2
# Java's default. It guards against accidents only: the certificates are public, and so is the password.
PASSWORD = "changeit"  # noqa: S105
# When each was added, in milliseconds since 1970: the time of every file in a layer.
ADDED = 946_684_800_000


def jks(certificates: Mapping[str, bytes]) -> bytes:
    """A keystore that trusts ``certificates`` (DER, by alias), in their order."""
    parts = [struct.pack(">III", MAGIC, VERSION, len(certificates))]
    for alias, certificate in certificates.items():
        name = alias.encode()
        parts.append(
            struct.pack(
                f">IH{len(name)}sQH5sI", TRUSTED, len(name), name, ADDED, 5, b"X.509", len(certificate)
            )
        )
        parts.append(certificate)
    data = b"".join(parts)
    seal = PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + data
    return data + hashlib.sha1(seal, usedforsecurity=False).digest()
