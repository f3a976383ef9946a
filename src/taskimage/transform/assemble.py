"""Layers and a configuration become an image: two small documents, whose bytes depend on nothing else.

On a base image its layers stand below, with the digests that they have; images for several platforms stand in
an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import (
    CONFIG,
    INDEX,
    OCI_LAYERS,
    Config,
    Descriptor,
    ExecutionConfig,
    History,
    Index,
    Manifest,
    Platform,
    RawManifest,
    parse_json,
)
from taskimage.model.value import dataclass
from taskimage.transform.tarheader import MTIME

__all__ = [
    "BUILDER",
    "CONTENT",
    "CREATED",
    "FORMAT",
    "LAYER_KEY",
    "Assembled",
    "BuiltImage",
    "Layer",
    "assemble",
    "together",
]

FORMAT = 2
"""Moves whenever the same layers and configuration would give another manifest: part of every image's key."""

CREATED = "org.opencontainers.image.created"
BUILDER = "dev.taskimage.builder"
"""The annotation and label by which an image of ours is told from another builder's."""
CONTENT = "dev.taskimage.content"
"""The annotation and label with the digest of what the image was made of."""
LAYER_KEY = "dev.taskimage.layer.key"
"""The annotation of a layer's descriptor that holds the key of the layer's inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer that exists somewhere: ``origin`` says for people what it holds."""

    descriptor: Descriptor
    diff_id: Digest
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image's manifest and configuration, each with the bytes that its digest is of."""

    manifest_bytes: bytes
    config_bytes: bytes
    manifest: Manifest
    config: Config

    @classmethod
    def parse(cls, manifest_bytes: bytes, config_bytes: bytes) -> BuiltImage:
        """The image that two documents describe. Raises BadInput."""
        return cls(
            manifest_bytes=manifest_bytes,
            config_bytes=config_bytes,
            manifest=Manifest.from_dict(parse_json(manifest_bytes, where="manifest")),
            config=Config.from_dict(parse_json(config_bytes, where="config")),
        )

    @property
    def raw(self) -> RawManifest:
        """The manifest, as registries and layouts have it."""
        return RawManifest(self.manifest.media_type, self.manifest_bytes)

    @property
    def descriptor(self) -> Descriptor:
        """What names the image: the descriptor of its manifest."""
        return replace(self.raw.descriptor, platform=self.config.platform)

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return Digest.of(self.manifest_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """Images for one platform each, and ``root``: the one's manifest, or an index of all."""

    root: RawManifest
    images: tuple[BuiltImage, ...]


def assemble(
    layers: Sequence[Layer],
    execution: ExecutionConfig,
    *,
    platform: Platform,
    created: int = MTIME,
    annotations: Mapping[str, str] | None = None,
    base: BuiltImage | None = None,
) -> BuiltImage:
    """The image of ``layers``, the lowest first, on those of ``base``.

    Args:
        layers: They need not be anywhere near; their descriptors are enough.
        execution: How a container of the image starts.
        platform: What the image runs on.
        created: Seconds since 1970, which the image states as the time it was made.
        annotations: Further facts; they stand in the manifest and, as labels, in the configuration.
        base: What stands below. Its blobs are taken as they are, by OCI's names of their media types.

    Raises:
        BadInput: ``created`` is later than the year 9999, or the base's layers cannot be stood on.
    """
    moment = _moment(created)
    facts = {CREATED: moment, **(annotations or {})}
    below = _Below() if base is None else _Below.of(base)
    config = Config(
        platform=platform,
        diff_ids=(*below.diff_ids, *(layer.diff_id for layer in layers)),
        execution=replace(execution, labels={**facts, **execution.labels}),
        history=(*below.history, *(History(created=moment, created_by=layer.origin) for layer in layers)),
        created=moment,
    )
    config_bytes = config.to_json()
    manifest = Manifest(
        config=Descriptor(media_type=CONFIG, digest=Digest.of(config_bytes), size=len(config_bytes)),
        layers=(*below.layers, *(layer.descriptor for layer in layers)),
        annotations=facts,
    )
    return BuiltImage(
        manifest_bytes=manifest.to_json(), config_bytes=config_bytes, manifest=manifest, config=config
    )


def together(images: Sequence[BuiltImage], *, annotations: Mapping[str, str]) -> Assembled:
    """``images``, which are of different platforms, as one: in an index where there are several."""
    if len(images) == 1:
        return Assembled(root=images[0].raw, images=tuple(images))
    index = Index(manifests=tuple(image.descriptor for image in images), annotations=annotations)
    return Assembled(root=RawManifest(INDEX, index.to_json()), images=tuple(images))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Below:
    """What a base brings into the documents of an image."""

    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()

    @classmethod
    def of(cls, base: BuiltImage) -> _Below:
        for layer in base.manifest.layers:
            if layer.media_type not in OCI_LAYERS:
                raise BadInput(
                    f"the base has a layer of type {layer.media_type!r:.100}, which no image can be made on",
                    where=str(layer.digest),
                )
        if len(base.manifest.layers) != len(base.config.diff_ids):
            raise BadInput(
                f"the base has {len(base.manifest.layers)} layers and {len(base.config.diff_ids)} diff_ids",
                where=str(base.digest),
            )
        return cls(
            layers=tuple(
                Descriptor(media_type=OCI_LAYERS[layer.media_type], digest=layer.digest, size=layer.size)
                for layer in base.manifest.layers
            ),
            diff_ids=base.config.diff_ids,
            history=base.config.history,
        )


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError) as error:
        raise BadInput(
            f"not a time: {seconds!r} seconds since 1970; wanted one before the year 10000"
        ) from error
