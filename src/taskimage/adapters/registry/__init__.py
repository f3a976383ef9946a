"""Image registries, by the OCI distribution API (distribution-spec v1.1).

Read in the order in which a request goes: `endpoint` (where a registry is), `session` (one request: authorised,
patient, judged), `challenge`, `authorization` and `tokens` (what lets it in), `failures` (what a refusal means), and
`repository` (manifests and blobs; `uploads` and `blobsource` send them). `referrers` and `buildcache` are what is
kept beside images.
"""

from taskimage.adapters.registry.failures import BlobUnknown
from taskimage.adapters.registry.registries import Registries
from taskimage.adapters.registry.repository import Repository

__all__ = ["BlobUnknown", "Registries", "Repository"]
