"""The folders of a person, as their environment names them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["caches", "config_path", "configuration", "home"]


def home(environ: Mapping[str, str]) -> Path:
    """What ``~`` means."""
    return Path(environ.get("HOME") or "~").expanduser()


def configuration(environ: Mapping[str, str]) -> Path:
    """Where programs keep their settings (XDG Base Directory Specification)."""
    folder = environ.get("XDG_CONFIG_HOME")
    return Path(folder) if folder else home(environ) / ".config"


def caches(environ: Mapping[str, str]) -> Path:
    """Where programs keep what they can make again (XDG Base Directory Specification)."""
    folder = (environ.get("XDG_CACHE_HOME") or "").strip()
    return Path(folder) if folder else home(environ) / ".cache"


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the settings of this program are, or would be."""
    # Spelled out for the usual case, since platformdirs takes a while to import.
    if sys.platform == "linux":
        base = configuration(environ) / "taskimage"
    else:
        import platformdirs

        base = Path(platformdirs.user_config_dir("taskimage", appauthor=False))
    return base / "config.toml"
