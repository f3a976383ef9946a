"""Descriptors: what is known of a blob before it is fetched (image-spec, descriptor.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from taskimage.model.digest import Digest
from taskimage.model.oci.document import Fields
from taskimage.model.oci.platform import Platform
from taskimage.model.value import dataclass

__all__ = [
    "CONFIG",
    "DOCKER_CONFIG",
    "DOCKER_INDEX",
    "DOCKER_MANIFEST",
    "EMPTY",
    "INDEX",
    "LAYER",
    "LAYER_GZIP",
    "LAYER_ZSTD",
    "MANIFEST",
    "OCI_LAYERS",
    "Descriptor",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"

# Docker's image manifest, version 2, schema 2: the same documents by other names.
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_LAYERS: Mapping[str, str] = {
    LAYER: LAYER,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER_ZSTD,
}
"""The media types of layers, each with the one that says the same in an OCI manifest."""

# Two annotations name what an image layout holds, in its index.json only. The specification's own
# (annotations.md) has a grammar that excludes some tags (one that ends in "_", say), and programs that hold an
# index to it open nothing of a layout where one name breaks it; containerd's takes every name.
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
_REF_NAME = re.compile(
    r"[A-Za-z0-9]+(([-._:@+]|--)[A-Za-z0-9]+)*(/[A-Za-z0-9]+(([-._:@+]|--)[A-Za-z0-9]+)*)*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What is known of a blob before it is fetched; ``size`` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str | None = None

    @property
    def name(self) -> str | None:
        """What an image layout calls it."""
        return next(iter(self.names), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that an image layout calls it: the names that it goes by with several programs."""
        return tuple(self.annotations[key] for key in (IMAGE_NAME, REF_NAME) if self.annotations.get(key))

    def named(self, name: str) -> Descriptor:
        """The same, called ``name``."""
        others = {key: value for key, value in self.annotations.items() if key not in (IMAGE_NAME, REF_NAME)}
        names = {IMAGE_NAME: name}
        if _REF_NAME.fullmatch(name):
            names[REF_NAME] = name
        return replace(self, annotations={**others, **names})

    def to_dict(self) -> dict[str, Any]:
        """The descriptor as JSON has it, empty parts left out."""
        document: dict[str, Any] = {
            "mediaType": self.media_type, "digest": str(self.digest), "size": self.size,
        }  # fmt: skip
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform is not None:
            document["platform"] = self.platform.to_dict()
        if self.artifact_type is not None:
            document["artifactType"] = self.artifact_type
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Descriptor:
        """The descriptor that ``document`` holds. Raises BadInput, which names the field."""
        return cls.from_fields(Fields(document, "descriptor"))

    @classmethod
    def from_fields(cls, fields: Fields) -> Descriptor:
        """The descriptor that is a part of some document. Raises BadInput, which names the field."""
        platform = fields.optional_section("platform")
        return cls(
            media_type=fields.text("mediaType"),
            digest=fields.digest("digest"),
            size=fields.whole("size"),
            annotations=fields.text_map("annotations"),
            platform=None if platform is None else Platform.from_fields(platform),
            artifact_type=fields.optional_text("artifactType"),
        )
