"""Where settings come from: environment, then ``config.toml``, then defaults. Read once, passed as a value."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskimage.model.errors import BadInput

__all__ = ["Settings"]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a person or a machine decided, apart from any one image.

    ``debian_mirrors`` empty means: the host's own apt sources.
    """

    home: Path
    registry: str | None = None
    debian_mirrors: tuple[str, ...] = ()
    debian_keyring: Path | None = None
    strict: bool = False
    locked: bool = False
    source_date_epoch: int | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process. Raises BadInput for a value that cannot be understood."""
        env = os.environ if environ is None else environ
        config = _config_file(env)
        home = env.get("TASKIMAGE_HOME") or config.get("home")
        mirrors = env.get("TASKIMAGE_DEBIAN_MIRROR")
        keyring = env.get("TASKIMAGE_DEBIAN_KEYRING") or config.get("debian_keyring")
        epoch = env.get("SOURCE_DATE_EPOCH", "")
        if epoch and not epoch.isdecimal():
            raise BadInput(f"SOURCE_DATE_EPOCH is {epoch!r}; wanted seconds since 1970 as a whole number")
        return cls(
            home=Path(home).expanduser() if home else _default_home(),
            registry=env.get("TASKIMAGE_REGISTRY") or config.get("registry"),
            debian_mirrors=tuple(mirrors.replace(",", " ").split())
            if mirrors is not None
            else tuple(config.get("debian_mirror", ())),
            debian_keyring=Path(keyring).expanduser() if keyring else None,
            strict=_flag(env, "TASKIMAGE_STRICT", default=bool(config.get("strict", False))),
            locked=_flag(env, "TASKIMAGE_LOCKED", default=bool(config.get("locked", False))),
            source_date_epoch=int(epoch) if epoch else None,
        )


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    raise BadInput(f"{name} is {value!r}; wanted 1 or 0")


def _default_home() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("taskimage", appauthor=False))


def _config_file(env: Mapping[str, str]) -> Mapping[str, Any]:
    # Spelled out for the usual case, since platformdirs takes a while to import.
    if sys.platform == "linux":
        base = Path(env.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "taskimage"
    else:
        import platformdirs

        base = Path(platformdirs.user_config_dir("taskimage", appauthor=False))
    path = base / "config.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"cannot read the settings: {error}", where=str(path)) from error
