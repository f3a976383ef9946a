"""Manifests, which say what an image is made of, and indexes of manifests (manifest.md, image-index.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taskimage.model.oci.descriptor import INDEX, MANIFEST, Descriptor
from taskimage.model.oci.document import Fields, canonical_json

__all__ = ["Index", "Manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image for one platform: its configuration, and its layers from the lowest to the topmost."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON has it, empty parts left out."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config.to_dict(),
            "layers": [layer.to_dict() for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document

    def to_json(self) -> bytes:
        """The bytes whose digest names the image."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Manifest:
        """The manifest that ``document`` holds. Raises BadInput, which names the field."""
        fields = Fields(document, "manifest")
        fields.expect("schemaVersion", 2)
        fields.expect("mediaType", MANIFEST, None)
        return cls(
            config=Descriptor.from_fields(fields.section("config")),
            layers=tuple(map(Descriptor.from_fields, fields.sections("layers"))),
            annotations=fields.text_map("annotations"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Several manifests: one image for several platforms, or all that an image layout holds."""

    manifests: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def with_named(self, name: str, descriptor: Descriptor) -> Index:
        """This index with ``name`` meaning ``descriptor`` and nothing else, in the order of names."""
        others = [one for one in self.manifests if one.name != name]
        ordered = sorted([*others, descriptor.named(name)], key=lambda one: (one.name or "", one.digest))
        return replace(self, manifests=tuple(ordered))

    def to_dict(self) -> dict[str, Any]:
        """The index as JSON has it, empty parts left out."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [manifest.to_dict() for manifest in self.manifests],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document

    def to_json(self) -> bytes:
        """The bytes of the index."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Index:
        """The index that ``document`` holds. Raises BadInput, which names the field."""
        fields = Fields(document, "index")
        fields.expect("schemaVersion", 2)
        fields.expect("mediaType", INDEX, None)
        return cls(
            manifests=tuple(map(Descriptor.from_fields, fields.sections("manifests"))),
            annotations=fields.text_map("annotations"),
        )
