"""Rules for manifests and configurations (image-spec: manifest.md, config.md, descriptor.md)."""

from __future__ import annotations

import re
from typing import Any

from taskimage.transform.validate.finding import Say

__all__ = ["check_config", "check_manifest", "is_descriptor"]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_USER = re.compile(r"\d+(:\d+)?\Z")
_VARIABLE = re.compile(r"([^=\0]+)=[^\0]*\Z")
_MOST_LAYERS = 127  # what Docker's overlay driver can stack


def is_descriptor(value: object) -> bool:
    """Whether a blob can be looked for by ``value``."""
    return isinstance(value, dict) and _is_digest(value.get("digest")) and _is_size(value.get("size"))


def check_manifest(manifest: dict[str, Any], say: Say) -> None:
    """Say what is wrong with a manifest."""
    if manifest.get("schemaVersion") != 2:
        say(f"schemaVersion is {manifest.get('schemaVersion')!r}; wanted 2")
    if manifest.get("mediaType") != _MANIFEST:
        say(f"mediaType is {manifest.get('mediaType')!r}; wanted {_MANIFEST!r}")
    _check_descriptor("config", manifest.get("config"), _CONFIG, say)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers:
        say("layers is no list, or an empty one")
    else:
        for number, layer in enumerate(layers):
            _check_descriptor(f"layers[{number}]", layer, _LAYER, say)
        if len(layers) > _MOST_LAYERS:
            say(f"has {len(layers)} layers; runtimes stack at most {_MOST_LAYERS}")
    _check_texts("annotations", manifest.get("annotations", {}), say)


def check_config(config: dict[str, Any], layers: int, say: Say) -> list[Any]:
    """Say what is wrong with a configuration for so many ``layers``; gives its diff_ids."""
    for name in ("architecture", "os"):
        if not isinstance(config.get(name), str) or not config[name]:
            say(f"{name} is {config.get(name)!r}; wanted a name")
    if not _matches(_TIME, config.get("created")):
        say(f"created is {config.get('created')!r}; wanted a time such as '2000-01-01T00:00:00Z'")
    _check_history(config.get("history"), layers, say)
    _check_execution(config.get("config"), say)
    rootfs = config.get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("type") != "layers":
        say("rootfs.type is not 'layers'")
        return []
    diff_ids = rootfs.get("diff_ids")
    if not isinstance(diff_ids, list) or not all(map(_is_digest, diff_ids)):
        say("rootfs.diff_ids is no list of digests")
        return []
    if len(diff_ids) != layers:
        say(f"rootfs has {len(diff_ids)} diff_ids; the manifest has {layers} layers")
    return diff_ids


def _check_descriptor(name: str, value: object, media_type: str, say: Say) -> None:
    if not isinstance(value, dict):
        say(f"{name} is {value!r:.60}; wanted a descriptor")
        return
    if value.get("mediaType") != media_type:
        say(f"{name}.mediaType is {value.get('mediaType')!r}; wanted {media_type!r}")
    if not _is_digest(value.get("digest")):
        say(f"{name}.digest is {value.get('digest')!r}; wanted sha256: and 64 hexadecimal digits")
    if not _is_size(value.get("size")):
        say(f"{name}.size is {value.get('size')!r}; wanted a whole number")
    _check_texts(f"{name}.annotations", value.get("annotations", {}), say)


def _check_history(history: object, layers: int, say: Say) -> None:
    if not isinstance(history, list) or not all(isinstance(record, dict) for record in history):
        say("history is no list of objects")
        return
    filled = sum(record.get("empty_layer") is not True for record in history)
    if filled != layers:
        say(f"history tells of {filled} layers; the manifest has {layers}")


def _check_execution(execution: object, say: Say) -> None:
    if not isinstance(execution, dict):
        say("config is not an object")
        return
    for name in ("Env", "Entrypoint", "Cmd"):
        value = execution.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(item, str) and "\0" not in item for item in value
        ):
            say(f"config.{name} is no list of strings")
    _check_environment(execution.get("Env", []), say)
    if not _matches(_USER, execution.get("User")):
        say(f"config.User is {execution.get('User')!r}; wanted numbers, uid or uid:gid, for runAsNonRoot")
    if not str(execution.get("WorkingDir", "")).startswith("/"):
        say(f"config.WorkingDir is {execution.get('WorkingDir')!r}; wanted an absolute path")
    _check_texts("config.Labels", execution.get("Labels", {}), say)


def _check_environment(env: object, say: Say) -> None:
    names: set[str] = set()
    for text in env if isinstance(env, list) else ():
        match = _VARIABLE.match(text) if isinstance(text, str) else None
        if match is None:
            say(f"config.Env has {text!r:.60}; wanted NAME=value")
        elif match[1] in names:
            say(f"config.Env has {match[1]!r} twice")
        else:
            names.add(match[1])


def _check_texts(name: str, value: object, say: Say) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        say(f"{name} is no object of strings")


def _is_digest(value: object) -> bool:
    return _matches(_DIGEST, value)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.match(value) is not None
