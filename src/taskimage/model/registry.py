"""Registries by name: how people and files write them, and how references have them."""

from __future__ import annotations

import re
from typing import Final

from taskimage.model.errors import BadInput, InvalidReference
from taskimage.model.reference import Reference

__all__ = ["HUB", "HUB_NAMES", "canonical", "parse_registry", "split_address"]

HUB: Final = "docker.io"

HUB_NAMES: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""Docker Hub in references, in docker's own files, and as the host that serves the API."""

# What docker wrote behind a host before it wrote hosts alone.
_API_PATHS = {"v1", "v2"}
_SCHEME = re.compile("https?://", re.IGNORECASE)


def canonical(registry: str) -> str:
    """The one spelling of a registry: lower case, and ``docker.io`` for each name of Docker Hub."""
    lowered = registry.lower()
    return HUB if lowered in HUB_NAMES else lowered


def split_address(text: str) -> tuple[str, str]:
    """The registry that ``text``, a host or a URL, begins with, and the path behind; nothing is checked.

    >>> split_address("https://Example.org/v1/"), split_address("example.org:5000/team")
    (('example.org', ''), ('example.org:5000', 'team'))
    """
    host, _, path = _SCHEME.sub("", text, count=1).partition("/")
    path = path.rstrip("/")
    return canonical(host), "" if path in _API_PATHS else path


def parse_registry(text: str) -> str:
    """The registry that ``text`` names as ``host``, ``host:port`` or a URL of it.

    >>> parse_registry("https://index.docker.io/v1/"), parse_registry("[::1]:5000")
    ('docker.io', '[::1]:5000')

    Raises BadInput, also for a host that no identifier could name (see `taskimage.model.reference`).
    """
    registry, path = split_address(text)
    try:
        parsed = Reference.parse(f"{registry}/image").registry
    except InvalidReference:
        parsed = None
    if parsed != registry or path:
        # What stands before an @ may be a password.
        raise BadInput(
            f"not a registry: {text.rpartition('@')[2]!r:.200}; wanted host or host:port",
            hint="a host without a dot or a port is localhost alone",
        )
    return registry
