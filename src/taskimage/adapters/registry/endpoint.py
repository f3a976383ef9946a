"""Where a registry is reached: its addresses, whom its TLS connections believe, and its mirrors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from taskimage.adapters.http.network import is_loopback
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.settings import RegistrySettings, Settings
from taskimage.adapters.userfolders import configuration
from taskimage.model.registry import HUB, canonical
from taskimage.model.value import dataclass

__all__ = ["Endpoint", "endpoint", "mirrors"]

_HUB_HOST: Final = "registry-1.docker.io"

# Where the other tools keep certificates by registry (containers-certs.d(5), and docker's own), after the user's.
_CERTIFICATES: Final = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry is reached.

    Attributes:
        registry: Its name, as references and credentials have it.
        roots: Its addresses, without a slash behind; the first that speaks the protocol is the one.
        trust: Whom its TLS connections believe.
    """

    registry: str
    roots: tuple[str, ...]
    trust: Trust


def endpoint(registry: str, settings: Settings, environ: Mapping[str, str]) -> Endpoint:
    """How ``registry`` is reached: by TLS, on loopback by HTTP, or as the settings say.

    ``environ`` says where the user's certificates are.
    """
    name = canonical(registry)
    chosen = settings.registries.get(name, RegistrySettings())
    host = _HUB_HOST if name == HUB else name
    trust = _trust(chosen, _certificates(sorted({name, host}), environ))
    return Endpoint(name, tuple(f"{scheme}://{host}" for scheme in _schemes(host, chosen, trust)), trust)


def mirrors(
    registry: str, repository: str, settings: Settings, environ: Mapping[str, str]
) -> tuple[tuple[Endpoint, str], ...]:
    """What is asked for ``repository`` before ``registry`` itself, each with the repository's name there.

    For pulling only: what is pushed to a mirror is not in the registry.
    """
    chosen = settings.registries.get(canonical(registry), RegistrySettings())
    found = []
    for mirror in chosen.mirrors:
        host, _, below = mirror.partition("/")
        found.append((endpoint(host, settings, environ), f"{below}/{repository}" if below else repository))
    return tuple(found)


def _schemes(host: str, chosen: RegistrySettings, trust: Trust) -> tuple[str, ...]:
    if chosen.insecure:
        return "https", "http"
    # Who has a certificate for a registry on loopback means to speak TLS with it.
    plain = chosen.insecure is None and trust == Trust() and is_loopback(urlsplit(f"//{host}").hostname or "")
    return ("http",) if plain else ("https",)


def _trust(chosen: RegistrySettings, certificates: Trust) -> Trust:
    return Trust(
        ca=(str(chosen.ca), *certificates.ca) if chosen.ca else certificates.ca,
        verified=not chosen.insecure,
        certificate=certificates.certificate,
        key=certificates.key,
    )


def _certificates(names: Iterable[str], environ: Mapping[str, str]) -> Trust:
    """What the first folder ``certs.d/NAME`` holds: ``*.crt`` authorities, and ``X.cert`` with ``X.key``."""
    own = configuration(environ) / "containers" / "certs.d"
    for folder in (certs / name for certs in (own, *_CERTIFICATES) for name in names):
        # What may not be read is as good as not there.
        if os.access(folder, os.R_OK | os.X_OK):
            certificate = next(iter(sorted(folder.glob("*.cert"))), None)
            key = certificate and certificate.with_suffix(".key")
            return Trust(
                ca=tuple(str(path) for path in sorted(folder.glob("*.crt"))),
                certificate=str(certificate) if certificate else None,
                key=str(key) if key and key.exists() else None,
            )
    return Trust()
