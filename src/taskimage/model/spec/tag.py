"""flytekit's id, tag and name of an image, computed from a spec's values and the digests of its files.

The same values give the same text as flytekit 1.15.4 to 1.16 (``ImageSpec.id``, ``tag``, ``image_name``), so
that a pod, where flytekit computes it again, names the image that was built here.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from taskimage.model.spec import FIELDS, ImageSpec
from taskimage.model.spec.copymode import CopyFileDetection
from taskimage.model.spec.frozen import thaw
from taskimage.model.value import dataclass

__all__ = ["FileDigests", "image_name", "spec_id", "spec_tag"]

# Fields that flytekit leaves out, since they do not change the image.
_NOT_HASHED = frozenset({"pip_secret_mounts", "builder", "runtime_packages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigests:
    """What stands for files in a tag, in hexadecimal; None where the spec names none.

    ``requirements`` is the sha1 of the stripped file; ``copy`` and ``source_root`` are md5 digests over
    contents and paths, in flytekit's order; ``base_image`` is the name of a base that is itself a spec.
    """

    requirements: str | None = None
    copy: str | None = None
    source_root: str | None = None
    base_image: str | None = None


def spec_id(spec: ImageSpec, *, machine: str) -> str:
    """The id: a digest of the fields that are set, as YAML read them, in their order."""
    return _digest(_hashed(spec, machine=machine))


def spec_tag(spec: ImageSpec, digests: FileDigests, *, machine: str) -> str:
    """The tag: the id with ``digests`` in place of the files' names, in the spec's ``tag_format``."""
    values = _hashed(spec, machine=machine)
    for name in ("base_image", "source_root", "copy", "requirements"):
        if (digest := getattr(digests, name)) is not None and not _is_read(spec, name):
            values[name] = digest
    values.pop("registry_config", None)
    tag = _digest(values).replace("-", "_")
    return spec.tag_format.format(spec_hash=tag) if spec.tag_format else tag


def image_name(spec: ImageSpec, tag: str) -> str:
    """``[registry/]name:tag``."""
    return f"{spec.registry}/{spec.name}:{tag}" if spec.registry else f"{spec.name}:{tag}"


def _is_read(spec: ImageSpec, name: str) -> bool:
    """Whether YAML gave something else than is meant: for a base that is a spec, a mapping, which is hashed as it is."""
    meaning, _ = spec.origin.read.get(name, (None, None)) if spec.origin else (None, None)
    return meaning is not None and getattr(spec, name) == meaning


def _hashed(spec: ImageSpec, *, machine: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(spec, name)
        # A field that was replaced since it was read no longer is what YAML said.
        if spec.origin and _is_read(spec, name):
            _, value = spec.origin.read[name]
        if name == "platform":
            value = spec.platform_text(machine=machine)
        elif name == "source_copy_mode" and value is None and spec.source_root is not None:
            value = CopyFileDetection.LOADED_MODULES  # which flytekit sets then
        elif isinstance(value, ImageSpec):
            value = _hashed(value, machine=machine)
        if value is not None and name not in _NOT_HASHED:
            values[name] = thaw(value)
    return values


def _digest(values: dict[str, Any]) -> str:
    md5 = hashlib.md5(str(values).encode(), usedforsecurity=False)
    return base64.urlsafe_b64encode(md5.digest()).decode("ascii").rstrip("=")
