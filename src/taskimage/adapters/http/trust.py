"""Whom TLS connections believe: the system's certificate authorities, and what was decided for one host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    import ssl

__all__ = ["DEFAULT", "Trust", "ca_file", "tls"]

# Where systems keep their certificate authorities, for interpreters that were built with other paths.
_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a TLS connection believes.

    Attributes:
        ca: Files of authorities that are trusted beside the system's.
        verified: Whether certificates are checked at all.
        certificate: A file with the certificate that this side shows.
        key: The file of its key; None when that is in the certificate's file.
    """

    ca: tuple[str, ...] = ()
    verified: bool = True
    certificate: str | None = None
    key: str | None = None


DEFAULT = Trust()
"""What holds where nothing was decided: the system's authorities."""


def ca_file(environ: Mapping[str, str]) -> str | None:
    """The file of trusted authorities: the environment's, else the system's; None when none is known.

    Raises BadInput when the environment names a file that is not there.
    """
    for name in _CA_VARIABLES:
        if value := environ.get(name):
            if not Path(value).exists():
                raise BadInput(
                    f"{name} is {value!r}, and there is no such file", hint=f"correct {name} or unset it"
                )
            return value
    return next((path for path in _CA_FILES if Path(path).exists()), None)


def tls(environ: Mapping[str, str], trust: Trust) -> ssl.SSLContext:
    """The settings of TLS connections: certificates and host names are checked, unless ``trust`` says otherwise."""
    import ssl

    path = ca_file(environ)
    with _readable(path):
        folder = path is not None and Path(path).is_dir()
        context = ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    for authorities in trust.ca:
        with _readable(authorities):
            context.load_verify_locations(authorities)
    with _readable(trust.certificate):
        if trust.certificate is not None:
            context.load_cert_chain(trust.certificate, trust.key)
    if not trust.verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def _readable(path: str | None) -> Iterator[None]:
    """In the block, certificates that cannot be read are BadInput."""
    import ssl

    try:
        yield
    except (ssl.SSLError, OSError) as error:
        raise BadInput(f"cannot read the certificates in {path!r}: {error}") from error
