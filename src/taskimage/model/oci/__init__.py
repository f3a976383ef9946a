"""The documents of an image, and their canonical bytes (OCI image-spec v1.1)."""

from taskimage.model.oci.config import Config, ExecutionConfig, History
from taskimage.model.oci.descriptor import CONFIG, INDEX, LAYER_GZIP, MANIFEST, Descriptor
from taskimage.model.oci.document import canonical_json, parse_json
from taskimage.model.oci.manifest import Index, Manifest
from taskimage.model.oci.platform import Platform

__all__ = [
    "CONFIG",
    "INDEX",
    "LAYER_GZIP",
    "MANIFEST",
    "Config",
    "Descriptor",
    "ExecutionConfig",
    "History",
    "Index",
    "Manifest",
    "Platform",
    "canonical_json",
    "parse_json",
]
