"""Certificates for a registry behind TLS: a private authority, made with the program ``openssl``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from taskimage.model.value import dataclass

__all__ = ["Certificates", "make_certificates"]


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: ``ca`` signed ``certificate``, which is for 127.0.0.1, localhost and ::1 and goes with ``key``.

    ``certificate`` and ``key`` serve a client as well, where a registry asks for one (`Registry`,
    ``client_certificates``).
    """

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """A private authority and a certificate that it signed, in ``folder``, good for a few days.

    Raises OSError where there is no ``openssl``, and subprocess.CalledProcessError when it fails.
    """
    made = Certificates(folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")
    ca_key, request, names = folder / "ca-key.pem", folder / "request.pem", folder / "names"
    # With all that RFC 5280 asks for: from 3.13 on Python verifies it.
    names.write_text(
        "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nkeyUsage=critical,digitalSignature\n"
    )
    may_sign = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _openssl(
        *new, "-x509", *may_sign, "-days", "3", "-subj", "/CN=private", "-keyout", ca_key, "-out", made.ca
    )
    _openssl(*new, "-subj", "/CN=localhost", "-keyout", made.key, "-out", request)
    _openssl(
        "x509", "-req", "-days", "3", "-in", request, "-extfile", names, "-CA", made.ca, "-CAkey", ca_key,
        "-CAcreateserial", "-out", made.certificate,
    )  # fmt: skip
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
