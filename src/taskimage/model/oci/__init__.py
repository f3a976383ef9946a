"""The documents of an image, and their canonical bytes (OCI image-spec v1.1)."""

from taskimage.model.oci.config import Config, ExecutionConfig, History
from taskimage.model.oci.descriptor import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    EMPTY,
    INDEX,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    MANIFEST,
    OCI_LAYERS,
    Descriptor,
)
from taskimage.model.oci.document import canonical_json, parse_json
from taskimage.model.oci.manifest import Index, Manifest, RawManifest
from taskimage.model.oci.platform import Platform

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
    "Config",
    "Descriptor",
    "ExecutionConfig",
    "History",
    "Index",
    "Manifest",
    "Platform",
    "RawManifest",
    "canonical_json",
    "parse_json",
]
