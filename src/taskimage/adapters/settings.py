"""Where settings come from: environment, then ``config.toml``, then defaults. Read once, passed as a value."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

from taskimage.adapters.userfolders import caches, config_path
from taskimage.adapters.witness import saw
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

__all__ = ["RegistrySettings", "Settings", "flag"]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}

_Kinds = Mapping[str, tuple[type, ...]]
_KEYS: Final[_Kinds] = {
    "home": (str,), "registry": (str,), "debian_mirror": (str, list), "debian_keyring": (str,),
    "debian_snapshot": (str,),
    "strict": (bool,), "locked": (bool,), "registries": (dict,),
    "flytekit": (str,),  # read by `taskimage.flyte.plugin`
}  # fmt: skip
_REGISTRY_KEYS: Final[_Kinds] = {"insecure": (bool,), "ca": (str,), "mirror": (str, list)}
_WORDS: Final = {str: "text", list: "a list of texts", bool: "true or false", dict: "a table"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """How one registry is reached.

    Attributes:
        insecure: True: certificates are not checked, and HTTP is spoken where there is no TLS. False: TLS even
            on loopback. None: TLS everywhere but on loopback.
        ca: A PEM file of authorities that are trusted beside the system's.
        mirrors: ``host[:port][/path]`` each, asked first when an image is pulled.
    """

    insecure: bool | None = None
    ca: Path | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a person or a machine decided, apart from any one image.

    ``debian_mirrors`` empty means: the host's own apt sources; ``debian_snapshot`` is asked for what these no longer
    have. ``registries`` are under their canonical names.
    """

    home: Path
    registry: str | None = None
    debian_mirrors: tuple[str, ...] = ()
    debian_keyring: Path | None = None
    debian_snapshot: str | None = None
    strict: bool = False
    locked: bool = False
    source_date_epoch: int | None = None
    registries: Mapping[str, RegistrySettings] = field(default_factory=dict, hash=False)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process. Raises BadInput for a value that cannot be understood."""
        env = os.environ if environ is None else environ
        path = config_path(env)
        config = _config_file(path)
        home = env.get("TASKIMAGE_HOME") or config.get("home")
        mirrors = env.get("TASKIMAGE_DEBIAN_MIRROR")
        keyring = env.get("TASKIMAGE_DEBIAN_KEYRING") or config.get("debian_keyring")
        epoch = env.get("SOURCE_DATE_EPOCH", "")
        if epoch and not epoch.isdecimal():
            raise BadInput(f"SOURCE_DATE_EPOCH is {epoch!r}; wanted seconds since 1970 as a whole number")
        return cls(
            home=Path(home).expanduser() if home else _default_home(env),
            registry=env.get("TASKIMAGE_REGISTRY") or config.get("registry"),
            debian_mirrors=tuple(mirrors.replace(",", " ").split())
            if mirrors is not None
            else _texts(config.get("debian_mirror", ())),
            debian_keyring=Path(keyring).expanduser() if keyring else None,
            debian_snapshot=env.get("TASKIMAGE_DEBIAN_SNAPSHOT") or config.get("debian_snapshot"),
            strict=flag(env, "TASKIMAGE_STRICT", default=bool(config.get("strict", False))),
            locked=flag(env, "TASKIMAGE_LOCKED", default=bool(config.get("locked", False))),
            source_date_epoch=int(epoch) if epoch else None,
            registries=_registries(
                config.get("registries", {}), env.get("TASKIMAGE_INSECURE_REGISTRIES", ""), path
            ),
        )


def flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Whether the variable ``name`` says yes. Raises BadInput where it says neither yes nor no."""
    value = env.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    raise BadInput(f"{name} is {value!r}; wanted 1 or 0")


def _default_home(env: Mapping[str, str]) -> Path:
    # Spelled out for the usual case, since platformdirs takes a while to import.
    if sys.platform == "linux":
        return caches(env) / "taskimage"
    import platformdirs

    return Path(platformdirs.user_cache_dir("taskimage", appauthor=False))


def _registries(tables: Mapping[str, Any], insecure: str, path: Path) -> Mapping[str, RegistrySettings]:
    """The registries of the file ``path``, with those that the environment names as insecure."""
    if not tables and not insecure:
        return {}
    from taskimage.model.registry import parse_registry

    found: dict[str, RegistrySettings] = {}
    for name, table in tables.items():
        key = f"registries.{name}"
        try:
            registry = parse_registry(name)
        except BadInput as error:
            raise BadInput(
                f"{key}: {error.message}", where=str(path), hint='in quotes: [registries."example.org:5000"]'
            ) from error
        _check({key: table}, {key: (dict,)}, path)
        _check(table, _REGISTRY_KEYS, path, below=f"{key}.")
        found[registry] = RegistrySettings(
            insecure=table.get("insecure"),
            ca=Path(table["ca"]).expanduser() if "ca" in table else None,
            mirrors=tuple(_mirror(text, key, path) for text in _texts(table.get("mirror", ()))),
        )
    for name in insecure.replace(",", " ").split():
        try:
            registry = parse_registry(name)
        except BadInput as error:
            raise BadInput(f"TASKIMAGE_INSECURE_REGISTRIES: {error.message}", hint=error.hint) from error
        found[registry] = replace(found.get(registry, RegistrySettings()), insecure=True)
    return found


def _mirror(text: str, key: str, path: Path) -> str:
    from taskimage.model.reference import Reference
    from taskimage.model.registry import parse_registry

    host, _, below = text.rstrip("/").partition("/")
    try:
        name = "/".join(filter(None, (parse_registry(host), below)))
        Reference.parse(f"{name}/image")
    except BadInput as error:
        raise BadInput(
            f"{key}.mirror is {text.rpartition('@')[2]!r}; wanted host, host:port or host/path",
            where=str(path),
            hint="without https://; for a mirror that speaks HTTP, set insecure = true in a table of its own",
        ) from error
    return name


def _texts(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _check(table: Mapping[str, Any], kinds: _Kinds, path: Path, *, below: str = "") -> None:
    """Every key of ``table`` is among ``kinds``, with a value of such a kind."""
    for key, value in table.items():
        if key not in kinds:
            raise BadInput(
                f"unknown key {below + key!r}", where=str(path), hint=f"known are: {', '.join(kinds)}"
            )
        texts = not isinstance(value, list) or all(isinstance(item, str) for item in value)
        if not isinstance(value, kinds[key]) or not texts:
            from taskimage.model.shown import shown

            wanted = " or ".join(_WORDS[kind] for kind in kinds[key])
            raise BadInput(f"{below}{key} is {shown(value)}; wanted {wanted}", where=str(path))


def _config_file(path: Path) -> Mapping[str, Any]:
    saw(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        config = dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"cannot read the settings: {error}", where=str(path)) from error
    _check(config, _KEYS, path)
    return config
