"""How this machine reaches other hosts: its proxies, its certificate authorities, its netrc.

Everything comes from the environment that is handed in, by the names that curl, pip and uv know.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from taskimage.model.errors import BadInput

if TYPE_CHECKING:
    import ssl

    from taskimage.adapters.http.connections import Trust

__all__ = ["basic", "ca_file", "is_loopback", "netrc_login", "origin", "proxy", "tls"]

# Where systems keep their certificate authorities, for interpreters that were built with other paths.
_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what two addresses share when credentials may go to both (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or ""), parts.port or _PORTS.get(parts.scheme)


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address without its port, is this machine and no other."""
    if host == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def basic(user: str, password: str) -> dict[str, str]:
    """The header of basic authentication (RFC 7617), in UTF-8."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy for ``url``: ``https_proxy``, ``http_proxy``, ``all_proxy`` and ``no_proxy``, in either case.

    Raises BadInput for a proxy that is not spoken to by http or https.
    """
    scheme, host, _ = origin(url)
    address = _variable(environ, f"{scheme}_proxy") or _variable(environ, "all_proxy")
    if not address or _is_direct(url, _variable(environ, "no_proxy") or ""):
        return None
    address = address if "://" in address else f"http://{address}"
    if urlsplit(address).scheme not in _PORTS:
        raise BadInput(
            f"the proxy for {host} is a {urlsplit(address).scheme!r} one; wanted http:// or https://",
            hint=f"set {scheme.upper()}_PROXY to an HTTP proxy, or name {host} in NO_PROXY",
        )
    return address


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


def netrc_login(host: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password for ``host`` from ``NETRC`` or ``~/.netrc``; its ``default`` entry is never used."""
    path = Path(environ.get("NETRC") or Path(environ.get("HOME", "~")).expanduser() / ".netrc")
    if not path.is_file():
        return None
    import netrc

    try:
        found = netrc.netrc(path).hosts.get(host)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The parser's own words quote what it does not know, which may be the password.
        problem = f"line {error.lineno}" if isinstance(error, netrc.NetrcParseError) else type(error).__name__
        raise BadInput(f"cannot read the netrc file: {problem}", where=str(path)) from None
    return (found[0], found[2] or "") if found else None


def _is_direct(url: str, no_proxy: str) -> bool:
    """Whether ``no_proxy`` names the host of ``url``: itself, a domain above it, with its port, or ``*``."""
    _, host, port = origin(url)
    for name in no_proxy.replace(",", " ").lower().split():
        domain = name.removesuffix(f":{port}").removeprefix("*").removeprefix(".")
        if name == "*" or host == domain or host.endswith(f".{domain}"):
            return True
    return False


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name) or environ.get(name.upper())
