"""An independent check of an image: every document, digest, gzip member and tar header is read anew.

Nothing is shared with the code that makes images; what the two agree on is in the specifications, and in the
rules of ours that are written down here a second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, BinaryIO

from taskimage.transform.validate.documents import check_config, check_manifest, is_descriptor
from taskimage.transform.validate.finding import Finding, Findings, Say
from taskimage.transform.validate.layer import Tree, check_layer

__all__ = ["Finding", "OpenBlob", "validate"]

OpenBlob = Callable[[str], BinaryIO]

_MOST = 4 << 20  # of a manifest or configuration, in bytes; registries take no larger ones


def validate(digest: str, open_blob: OpenBlob) -> tuple[Finding, ...]:
    """Everything that is wrong with the image whose manifest has ``digest``; nothing, when it is sound.

    Args:
        digest: As text, ``sha256:…``.
        open_blob: Gives a new stream over the blob of a digest; OSError when there is none.
    """
    findings = Findings()
    manifest = _document({"digest": digest}, open_blob, findings.at("manifest"))
    if manifest is None:
        return findings.all
    check_manifest(manifest, findings.at("manifest"))
    descriptors = manifest.get("layers")
    layers = descriptors if isinstance(descriptors, list) else []
    diff_ids: list[Any] = []
    if is_descriptor(manifest.get("config")):
        config = _document(manifest["config"], open_blob, findings.at("config"))
        if config is not None:
            diff_ids = check_config(config, len(layers), findings.at("config"))
    tree = Tree()
    for number, layer in enumerate(layers):
        if is_descriptor(layer):
            diff_id = diff_ids[number] if number < len(diff_ids) else None
            _layer(layer, diff_id, open_blob, tree, findings.at(f"layer {number}"))
    return findings.all


def _document(descriptor: dict[str, Any], open_blob: OpenBlob, say: Say) -> dict[str, Any] | None:
    """The JSON object of a blob, when there is one."""
    want = descriptor["digest"]
    try:
        with open_blob(want) as stream:
            data = stream.read(_MOST + 1)
    except OSError as error:
        say(f"cannot read the blob {want}: {error}")
        return None
    if len(data) > _MOST:
        say(f"has more than {_MOST} bytes")
        return None
    if descriptor.get("size", len(data)) != len(data):
        say(f"has {len(data)} bytes; its descriptor says {descriptor['size']}")
    algorithm = want.partition(":")[0]
    got = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    if got != want:
        say(f"has the digest {got}; wanted {want}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        say("is not JSON")
        return None
    if not isinstance(document, dict):
        say("is not a JSON object")
        return None
    return document


def _layer(descriptor: dict[str, Any], diff_id: object, open_blob: OpenBlob, tree: Tree, say: Say) -> None:
    try:
        with open_blob(descriptor["digest"]) as stream:
            check_layer(descriptor, diff_id, stream, tree, say)
    except OSError as error:
        say(f"cannot read the blob {descriptor['digest']}: {error}")
