"""Manifests, which say what an image is made of, and indexes of manifests (manifest.md, image-index.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.oci.descriptor import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor
from taskimage.model.oci.document import Fields, canonical_json, parse_json
from taskimage.model.oci.platform import Platform
from taskimage.model.value import dataclass

__all__ = ["Index", "Manifest", "RawManifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image for one platform: its configuration, and its layers from the lowest to the topmost.

    With an ``artifact_type`` it is no image but something else that a registry keeps; ``subject`` is the
    manifest that it is about.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str | None = None
    subject: Descriptor | None = None
    media_type: str = MANIFEST

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON has it, empty parts left out."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.to_dict(),
            "layers": [layer.to_dict() for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.artifact_type is not None:
            document["artifactType"] = self.artifact_type
        if self.subject is not None:
            document["subject"] = self.subject.to_dict()
        return document

    def to_json(self) -> bytes:
        """The bytes whose digest names the image."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Manifest:
        """The manifest that ``document`` holds. Raises BadInput, which names the field."""
        fields = Fields(document, "manifest")
        fields.expect("schemaVersion", 2)
        fields.expect("mediaType", MANIFEST, DOCKER_MANIFEST, None)
        subject = fields.optional_section("subject")
        return cls(
            config=Descriptor.from_fields(fields.section("config")),
            layers=tuple(map(Descriptor.from_fields, fields.sections("layers"))),
            annotations=fields.text_map("annotations"),
            artifact_type=fields.optional_text("artifactType"),
            media_type=fields.optional_text("mediaType") or MANIFEST,
            subject=None if subject is None else Descriptor.from_fields(subject),
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

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """What there is an image for; what BuildKit attaches for "unknown" platforms is none."""
        found = (one.platform for one in self.manifests)
        return tuple(one for one in found if one is not None and one.architecture != "unknown")

    def choose(self, platform: Platform, *, where: str) -> Descriptor:
        """The manifest for ``platform``, the first where several serve (image-index.md).

        Raises NotFound, which names the platforms that there are and ``where`` the index is.
        """
        for one in self.manifests:
            if one.platform is not None and one.platform.serves(platform):
                return one
        there = ", ".join(dict.fromkeys(map(str, self.platforms))) or "none"
        raise NotFound(f"there is no image for {platform}; its platforms: {there}", where=where)

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
        fields.expect("mediaType", INDEX, DOCKER_INDEX, None)
        return cls(
            manifests=tuple(map(Descriptor.from_fields, fields.sections("manifests"))),
            annotations=fields.text_map("annotations"),
        )


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest or index as some registry or layout has it: the digest is of these bytes, and of no others."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return Digest.of(self.data)

    @property
    def descriptor(self) -> Descriptor:
        """What names it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.data))

    def read(self, *, where: str) -> Manifest | Index:
        """What it says. Raises BadInput, naming ``where``, for what is neither or of another kind than stated."""
        kinds: dict[str, type[Manifest | Index]] = {
            MANIFEST: Manifest, DOCKER_MANIFEST: Manifest, INDEX: Index, DOCKER_INDEX: Index,
        }  # fmt: skip
        if self.media_type not in kinds:
            raise BadInput(
                f"not a manifest that is read: {self.media_type!r:.100}; wanted one of OCI or of Docker's schema 2",
                where=where,
                hint="have whoever made the image push it again with a newer tool",
            )
        document = parse_json(self.data, where=where)
        try:
            return kinds[self.media_type].from_dict(document)
        except BadInput as error:
            error.where = error.where or where
            raise
