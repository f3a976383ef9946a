"""Layers and a configuration become an image: two small documents, whose bytes depend on nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import (
    CONFIG,
    MANIFEST,
    Config,
    Descriptor,
    ExecutionConfig,
    History,
    Manifest,
    Platform,
    parse_json,
)
from taskimage.transform.tarheader import MTIME

__all__ = ["CREATED", "FORMAT", "LAYER_KEY", "BuiltImage", "Layer", "assemble"]

FORMAT = 1
"""Moves whenever the same layers and configuration would give another manifest: part of every image's key."""

CREATED = "org.opencontainers.image.created"
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
    def descriptor(self) -> Descriptor:
        """What names the image: the descriptor of its manifest."""
        return Descriptor(
            media_type=MANIFEST,
            digest=Digest.of(self.manifest_bytes),
            size=len(self.manifest_bytes),
            platform=self.config.platform,
        )

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return Digest.of(self.manifest_bytes)


def assemble(
    layers: Sequence[Layer],
    execution: ExecutionConfig,
    *,
    platform: Platform,
    created: int = MTIME,
    annotations: Mapping[str, str] | None = None,
) -> BuiltImage:
    """The image of ``layers``, the lowest first.

    Args:
        layers: They need not be anywhere near; their descriptors are enough.
        execution: How a container of the image starts.
        platform: What the image runs on.
        created: Seconds since 1970, which the image states as the time it was made.
        annotations: Further facts; they stand in the manifest and, as labels, in the configuration.

    Raises:
        BadInput: ``created`` is later than the year 9999.
    """
    moment = _moment(created)
    facts = {CREATED: moment, **(annotations or {})}
    config = Config(
        platform=platform,
        diff_ids=tuple(layer.diff_id for layer in layers),
        execution=replace(execution, labels={**facts, **execution.labels}),
        history=tuple(History(created=moment, created_by=layer.origin) for layer in layers),
        created=moment,
    )
    config_bytes = config.to_json()
    manifest = Manifest(
        config=Descriptor(media_type=CONFIG, digest=Digest.of(config_bytes), size=len(config_bytes)),
        layers=tuple(layer.descriptor for layer in layers),
        annotations=facts,
    )
    return BuiltImage(
        manifest_bytes=manifest.to_json(), config_bytes=config_bytes, manifest=manifest, config=config
    )


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError) as error:
        raise BadInput(
            f"not a time: {seconds!r} seconds since 1970; wanted one before the year 10000"
        ) from error
