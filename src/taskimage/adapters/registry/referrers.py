"""What is attached to an image: manifests whose ``subject`` it is (distribution-spec, "Listing Referrers").

A registry that keeps no such list gets it from its clients, as an index under a tag that is spelled like the
digest of the image ("Referrers Tag Schema"). Clients that change that index at the same moment can undo each
other's work: the specification has nothing against it that registries must offer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import INDEX, Descriptor, Index, Manifest, RawManifest, parse_json

if TYPE_CHECKING:
    from taskimage.adapters.registry.repository import Repository

__all__ = ["attach", "listed"]

# Registries older than the list say in these ways that there is none.
_NO_LIST: Final = (400, 404, 405, 406)


def listed(repository: Repository, digest: Digest, artifact_type: str | None) -> tuple[Descriptor, ...]:
    """See `Repository.referrers`."""
    found = _from_registry(repository, digest, artifact_type)
    if found is None:
        index = _from_tag(repository, digest)
        found = () if index is None else index.manifests
    # Registries need not filter, though they were asked to.
    return tuple(one for one in found if artifact_type in (None, one.artifact_type))


def attach(repository: Repository, raw: RawManifest) -> None:
    """See `Repository.attach`."""
    where = f"{repository.name}@{raw.digest}"
    manifest = raw.read(where=where)
    if not isinstance(manifest, Manifest) or manifest.subject is None:
        raise BadInput("a manifest without a subject is attached to nothing", where=where)
    if repository.put_manifest(raw, str(raw.digest)):
        return
    subject = manifest.subject.digest
    index = _from_tag(repository, subject) or Index()
    if raw.digest in {one.digest for one in index.manifests}:
        return
    entry = Descriptor(
        media_type=raw.media_type,
        digest=raw.digest,
        size=len(raw.data),
        artifact_type=manifest.artifact_type or manifest.config.media_type,
        annotations=manifest.annotations,
    )
    longer = Index(manifests=(*index.manifests, entry), annotations=index.annotations)
    repository.put_manifest(RawManifest(INDEX, longer.to_json()), _tag(subject))


def _from_registry(
    repository: Repository, digest: Digest, artifact_type: str | None
) -> tuple[Descriptor, ...] | None:
    """The registry's own list; None when it keeps none."""
    where = f"{repository.name}@{digest}"
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    request = repository.request(
        "GET", f"referrers/{digest}{query}", f"list what is attached to {where}",
        headers={"Accept": INDEX}, good=(200, *_NO_LIST),
    )  # fmt: skip
    found: list[Descriptor] = []
    for answer in repository.session.pages(request):
        if answer.status != 200 or answer.media_type != INDEX:
            return None
        found += Index.from_dict(parse_json(answer.body, where=where)).manifests
    return tuple(found)


def _from_tag(repository: Repository, digest: Digest) -> Index | None:
    """The index that clients keep; None for none. Raises BadInput when the tag names something else."""
    raw = repository.manifest(_tag(digest))
    if raw is None:
        return None
    where = f"{repository.name}:{_tag(digest)}"
    index = raw.read(where=where)
    if not isinstance(index, Index):
        raise BadInput(
            "the tag should name an index of what is attached, and names something else", where=where
        )
    return index


def _tag(digest: Digest) -> str:
    return f"{digest.algorithm[:32]}-{digest.hex[:64]}"
