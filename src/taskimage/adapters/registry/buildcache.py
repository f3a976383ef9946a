"""The tag ``buildcache`` of a repository: which layers it has, by the keys of their inputs.

It names an artifact (image-spec, manifest.md, "Guidelines for Artifact Usage") whose layers are the layers that
images of the repository are made of, each annotated with its key, so that one request tells all, and so that the
registry keeps their blobs. It is a hint and no more: whoever may push to the repository can write anything into
it, so it is believed for what exists, and bytes are compared with their digests. That it cannot be read or
written is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Final

from taskimage.adapters.registry.failures import BlobUnknown
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, TaskImageError
from taskimage.model.events import Listener, Warned, ignore
from taskimage.model.oci import EMPTY, MANIFEST, OCI_LAYERS, Descriptor, Manifest, RawManifest
from taskimage.transform.assemble import LAYER_KEY, Layer

if TYPE_CHECKING:
    from taskimage.adapters.registry.repository import Repository

__all__ = ["read_cache", "write_cache"]

_TAG: Final = "buildcache"
_TYPE: Final = "application/vnd.dev.taskimage.buildcache.v1+json"
_DIFF_ID: Final = "dev.taskimage.layer.diff-id"
_ORIGIN: Final = "dev.taskimage.layer.origin"

_EMPTY: Final = b"{}"
_CONFIG: Final = Descriptor(media_type=EMPTY, digest=Digest.of(_EMPTY), size=len(_EMPTY))
# Of some 600 bytes each: registries take manifests of 4 MiB.
_MOST: Final = 1000


def read_cache(repository: Repository, *, listener: Listener = ignore) -> Mapping[Digest, Layer]:
    """The layers that ``repository`` says it has, by their keys, the newest last; none where it says nothing."""
    try:
        found = _found(repository)
        return {} if found is None else _layers(found, where=_name(repository))
    except TaskImageError as error:
        listener(Warned(f"what {repository.name} has is not known, and layers are made anew: {error}"))
        return {}


def write_cache(
    repository: Repository, layers: Mapping[Digest, Layer], *, listener: Listener = ignore
) -> None:
    """Add ``layers``, by their keys, to what ``repository`` says it has; written only when something is new."""
    try:
        there = _found(repository)
        known = _known(repository, there)
        if known.items() >= layers.items():
            return
        if there is None:
            repository.upload(_CONFIG, lambda: BytesIO(_EMPTY))
        others = {key: layer for key, layer in known.items() if key not in layers}
        try:
            _put(repository, {**others, **layers})
        except BlobUnknown:
            # Some of the others are gone, or what is there is without its configuration.
            repository.upload(_CONFIG, lambda: BytesIO(_EMPTY))
            _put(repository, layers)
    except TaskImageError as error:
        listener(Warned(f"cannot keep in {repository.name} what it has, for later builds: {error}"))


def _known(repository: Repository, found: Manifest | None) -> Mapping[Digest, Layer]:
    """What is there to add to; what is damaged is not kept."""
    try:
        return {} if found is None else _layers(found, where=_name(repository))
    except BadInput:
        return {}


def _found(repository: Repository) -> Manifest | None:
    """The artifact, None for none. Raises BadInput when the tag names something else, which is left alone."""
    raw = repository.manifest(_TAG)
    if raw is None:
        return None
    manifest = raw.read(where=_name(repository))
    if not isinstance(manifest, Manifest) or manifest.artifact_type != _TYPE:
        raise BadInput(
            f"there is something else than a build cache of type {_TYPE!r}", where=_name(repository)
        )
    return manifest


def _put(repository: Repository, layers: Mapping[Digest, Layer]) -> None:
    newest = list(layers.items())[-_MOST:]
    descriptors = tuple(_described(key, layer) for key, layer in newest)
    manifest = Manifest(config=_CONFIG, layers=descriptors, artifact_type=_TYPE)
    repository.put_manifest(RawManifest(MANIFEST, manifest.to_json()), _TAG)


def _described(key: Digest, layer: Layer) -> Descriptor:
    facts = {LAYER_KEY: str(key), _DIFF_ID: str(layer.diff_id), _ORIGIN: layer.origin}
    return replace(layer.descriptor, annotations={**layer.descriptor.annotations, **facts})


def _layers(manifest: Manifest, *, where: str) -> Mapping[Digest, Layer]:
    return dict(_layer(descriptor, where) for descriptor in manifest.layers)


def _layer(descriptor: Descriptor, where: str) -> tuple[Digest, Layer]:
    facts = dict(descriptor.annotations)
    try:
        key, diff_id = Digest.parse(facts[LAYER_KEY]), Digest.parse(facts.pop(_DIFF_ID))
        origin = facts.pop(_ORIGIN)
    except KeyError as missing:
        raise BadInput(f"layer {descriptor.digest} has no annotation {missing}", where=where) from missing
    if descriptor.media_type not in OCI_LAYERS.values():
        raise BadInput(
            f"layer {descriptor.digest} is {descriptor.media_type!r:.100}, which is no layer", where=where
        )
    return key, Layer(descriptor=replace(descriptor, annotations=facts), diff_id=diff_id, origin=origin)


def _name(repository: Repository) -> str:
    return f"{repository.name}:{_TAG}"
