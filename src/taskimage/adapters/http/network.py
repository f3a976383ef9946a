"""How this machine reaches other hosts: its proxies and its netrc.

Everything comes from the environment that is handed in, by the names that curl, pip and uv know.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from taskimage.model.errors import BadInput

__all__ = ["basic", "is_loopback", "netrc_login", "origin", "proxy"]

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
