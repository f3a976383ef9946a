"""Manifests, tags and referrers (distribution-spec, "Pulling manifests", "Pushing manifests", "Content Discovery")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import INDEX, parse_json
from taskimage.testing.messages import Answer, Refusal, Request, parse_digest
from taskimage.testing.storage import Storage, StoredManifest

__all__ = ["Manifests"]

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_LIMIT = 4 << 20


class Manifests:
    """What names images.

    Args:
        storage: Where they are.
        referrers: Whether it is told which manifests have a subject; else clients keep tags for that.
        delete: Whether manifests can be taken away.
        immutable_tags: Whether a tag names for ever what it named first.
        page: The most tags that are listed at once.
    """

    def __init__(
        self, storage: Storage, *, referrers: bool, delete: bool, immutable_tags: bool, page: int
    ) -> None:
        self._storage = storage
        self._referrers = referrers
        self._delete = delete
        self._immutable_tags = immutable_tags
        self._page = page

    def get(self, _: Request, name: str, reference: str) -> Answer:
        """GET and HEAD: the bytes that were pushed, with their media type."""
        manifest = self._storage.manifest(name, _checked(reference))
        if manifest is None:
            raise Refusal("MANIFEST_UNKNOWN", "manifest unknown", {"reference": reference})
        digest = reference if ":" in reference else str(manifest.digest)
        headers = {
            "Content-Type": manifest.media_type, "Docker-Content-Digest": digest, "ETag": f'"{digest}"',
        }  # fmt: skip
        return Answer(200, headers, manifest.data)

    def put(self, request: Request, name: str, reference: str) -> Answer:
        """PUT: keep a manifest, all of whose parts are there, under a tag or its digest."""
        _checked(reference)
        data = _whole(request)
        manifest = StoredManifest(request.headers.get("content-type", ""), data)
        document = _document(manifest)
        digest = Digest.of(data)
        if ":" in reference:
            digest = parse_digest(reference)
            _verify(data, digest)
        elif self._immutable_tags:
            self._check_unmoved(name, reference, digest)
        self._look_for_parts(name, document)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": str(digest)}
        if self._referrers and "subject" in document:
            headers["OCI-Subject"] = str(_digest(document["subject"]))
        self._storage.put_manifest(name, reference, manifest)
        return Answer(201, headers)

    def delete(self, _: Request, name: str, reference: str) -> Answer:
        """DELETE: a tag, or a manifest with all of its tags."""
        if not self._delete:
            raise Refusal("UNSUPPORTED", "The operation is unsupported.")
        if not self._storage.remove_manifest(name, _checked(reference)):
            raise Refusal("MANIFEST_UNKNOWN", "manifest unknown", {"reference": reference})
        return Answer(202)

    def list_tags(self, request: Request, name: str) -> Answer:
        """GET: tags in order, some at a time."""
        if not self._storage.knows(name):
            raise Refusal("NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        asked = request.query.get("n", "")
        count = min(int(asked), self._page) if asked.isdigit() else self._page
        rest = [tag for tag in self._storage.tags(name) if tag > request.query.get("last", "")]
        tags = rest[:count]
        headers = {}
        if tags and len(rest) > count:
            following = urlencode({"n": count, "last": tags[-1]})
            headers["Link"] = f'</v2/{name}/tags/list?{following}>; rel="next"'
        return Answer.json({"name": name, "tags": tags}, headers)

    def list_referrers(self, request: Request, name: str, digest: str) -> Answer:
        """GET: an index of the manifests that have ``digest`` as their subject."""
        if not self._referrers:
            raise Refusal("UNSUPPORTED", "no referrers here", status=404)
        subject, kind = str(parse_digest(digest)), request.query.get("artifactType")
        found = [
            descriptor
            for stored in self._storage.manifests(name).values()
            if stored.document.get("subject", {}).get("digest") == subject
            and (descriptor := _referrer(stored))
            and kind in (None, descriptor.get("artifactType"))
        ]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        filters = {"OCI-Filters-Applied": "artifactType"} if kind is not None else {}
        return Answer.json(document, {"Content-Type": INDEX, **filters})

    def _check_unmoved(self, name: str, tag: str, digest: Digest) -> None:
        named = self._storage.manifest(name, tag)
        if named is not None and named.digest != digest:
            raise Refusal("TAG_INVALID", f"tag {tag} is immutable and names {named.digest}")

    def _look_for_parts(self, name: str, document: Mapping[str, Any]) -> None:
        missing = [str(digest) for kind, digest in _parts(document) if not self._has(name, kind, digest)]
        if missing:
            details = [{"digest": digest} for digest in missing]
            raise Refusal("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", *details)

    def _has(self, name: str, kind: str, digest: Digest) -> bool:
        if kind == "manifests":
            return self._storage.manifest(name, str(digest)) is not None
        return self._storage.blob(name, digest) is not None


def _checked(reference: str) -> str:
    if ":" in reference:
        return str(parse_digest(reference))
    if not _TAG.fullmatch(reference):
        raise Refusal("TAG_INVALID", f"not a tag: {reference}")
    return reference


def _whole(request: Request) -> bytes:
    data = bytearray()
    for piece in request.body:
        data += piece
        if len(data) > _LIMIT:
            raise Refusal("MANIFEST_INVALID", "the manifest is larger than 4 MiB", status=413)
    return bytes(data)


def _document(manifest: StoredManifest) -> dict[str, Any]:
    try:
        document = parse_json(manifest.data, where="manifest")
    except BadInput as error:
        raise Refusal("MANIFEST_INVALID", error.message) from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise Refusal("MANIFEST_INVALID", "not a manifest of schemaVersion 2")
    if not manifest.media_type or document.get("mediaType", manifest.media_type) != manifest.media_type:
        raise Refusal("MANIFEST_INVALID", "Content-Type is not the mediaType of the manifest")
    return document


def _verify(data: bytes, digest: Digest) -> None:
    import hashlib

    if hashlib.new(digest.algorithm, data).hexdigest() != digest.hex:
        raise Refusal(
            "DIGEST_INVALID", "provided digest did not match uploaded content", {"digest": str(digest)}
        )


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Digest]]:
    """What must be there before the manifest: the kind and the digest of each part."""
    if "config" in document:
        yield "config", _digest(document["config"])
    for kind in ("layers", "manifests"):
        parts = document.get(kind) or []
        if not isinstance(parts, list):
            raise Refusal("MANIFEST_INVALID", f"{kind} is not a list")
        for part in parts:
            digest = _digest(part)
            # Foreign layers are fetched from their own addresses.
            if "urls" not in part:
                yield kind, digest


def _digest(descriptor: Any) -> Digest:
    try:
        return Digest.parse(descriptor["digest"])
    except (BadInput, KeyError, TypeError, AttributeError) as error:
        raise Refusal("MANIFEST_INVALID", "a descriptor has no digest") from error


def _referrer(manifest: StoredManifest) -> dict[str, Any]:
    """The descriptor of a manifest in the list of referrers of its subject."""
    document = manifest.document
    more = {
        "artifactType": document.get("artifactType") or document.get("config", {}).get("mediaType"),
        "annotations": document.get("annotations"),
    }
    return {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.data),
        **{name: value for name, value in more.items() if value},
    }
