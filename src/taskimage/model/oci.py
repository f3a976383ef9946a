"""The documents of an image, and their canonical bytes (OCI image-spec v1.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput

__all__ = [
    "CONFIG",
    "INDEX",
    "LAYER_GZIP",
    "MANIFEST",
    "Descriptor",
    "Platform",
    "canonical_json",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """The one way in which a document is written: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# The architectures that Debian, PyPI and OCI all know, by OCI's name (Go's GOARCH).
_DEBIAN = {
    "amd64": "amd64", "arm64": "arm64", "arm": "armhf", "386": "i386", "ppc64le": "ppc64el",
    "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
_MACHINE = {
    "amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686", "ppc64le": "ppc64le",
    "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
_ALIASES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and a processor architecture, with OCI's names.

    >>> str(Platform.parse("linux/aarch64"))
    'linux/arm64'
    """

    os: str
    architecture: str

    @classmethod
    def parse(cls, text: str) -> Platform:
        """The platform that ``text`` writes as ``os/architecture``. Raises BadInput."""
        os, _, architecture = text.strip().lower().partition("/")
        architecture = _ALIASES.get(architecture, architecture)
        if os != "linux" or architecture not in _DEBIAN:
            raise BadInput(
                f"not a platform that images are built for: {text!r}; wanted one of "
                + ", ".join(f"linux/{name}" for name in _DEBIAN)
            )
        return cls(os, architecture)

    @property
    def debian(self) -> str:
        """Debian's name of the architecture."""
        return _DEBIAN[self.architecture]

    @property
    def machine(self) -> str:
        """The kernel's name of the architecture (``uname -m``), which wheel tags use."""
        return _MACHINE[self.architecture]

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What is known of a blob before it is fetched (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    def to_dict(self) -> dict[str, Any]:
        """The descriptor as JSON has it, empty parts left out."""
        document: dict[str, Any] = {
            "mediaType": self.media_type, "digest": str(self.digest), "size": self.size,
        }  # fmt: skip
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform is not None:
            document["platform"] = {"os": self.platform.os, "architecture": self.platform.architecture}
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Descriptor:
        """The descriptor that ``document`` holds. Raises BadInput."""
        try:
            platform = document.get("platform")
            return cls(
                media_type=str(document["mediaType"]),
                digest=Digest.parse(str(document["digest"])),
                size=int(document["size"]),
                annotations=dict(document.get("annotations") or {}),
                platform=Platform(platform["os"], platform["architecture"]) if platform else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"not a descriptor: {document!r:.200}") from error
