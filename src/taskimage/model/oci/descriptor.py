"""Descriptors: what is known of a blob before it is fetched (image-spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taskimage.model.digest import Digest
from taskimage.model.oci.document import Fields
from taskimage.model.oci.platform import Platform

__all__ = ["CONFIG", "INDEX", "LAYER_GZIP", "MANIFEST", "REF_NAME", "Descriptor"]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"

# The annotation that names what an image layout holds (annotations.md); it means something in index.json only.
REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What is known of a blob before it is fetched; ``size`` is in bytes."""

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
        )
