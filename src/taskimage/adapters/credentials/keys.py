"""The keys under which credentials are kept: how files and helpers spell registries.

A key is a host, ``host:port``, a URL of it, or ``host/path`` for the repositories below
(containers-auth.json(5)); Docker Hub goes by several names.
"""

from __future__ import annotations

from collections.abc import Iterable

from taskimage.model.registry import HUB, split_address

__all__ = ["matching", "servers"]


def servers(registry: str) -> tuple[str, ...]:
    """The keys under which ``registry`` is kept: docker's first, then that of containers' tools."""
    return ("https://index.docker.io/v1/", HUB) if registry == HUB else (registry,)


def matching(keys: Iterable[str], registry: str, repository: str = "") -> list[str]:
    """Which of ``keys`` are for ``repository`` of ``registry``, the most specific first."""
    ranked = []
    for key in keys:
        host, path = _parts(key)
        if host == registry and f"{repository}/".startswith(f"{path}/" if path else ""):
            ranked.append((-len(path), key != registry, key))
    return [key for _, _, key in sorted(ranked, key=lambda rank: rank[:2])]


def _parts(key: str) -> tuple[str, str]:
    """The registry that a key is for, and the path below it."""
    registry, path = split_address(key)
    # In a URL the path is none of a repository (docker's ConvertToHostname).
    return registry, "" if "://" in key else path
