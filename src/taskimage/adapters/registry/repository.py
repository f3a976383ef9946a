"""One repository of a registry: its manifests and blobs (distribution-spec, "Pull" and "Push").

Nothing is believed but by its digest: a manifest that was asked for by a tag has the digest of the bytes that
came, and where a header says another one, they are not taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO, Final
from urllib.parse import urlencode

from taskimage.adapters.http.answers import Transient
from taskimage.adapters.registry import referrers
from taskimage.adapters.registry.session import Answer, Request, Session
from taskimage.adapters.registry.uploads import Uploads
from taskimage.adapters.store import Pending
from taskimage.model.digest import Digest, verify
from taskimage.model.errors import BadInput, IntegrityError, NotAllowed, NotFound, Unreachable
from taskimage.model.oci import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX,
    MANIFEST,
    Descriptor,
    RawManifest,
    parse_json,
)
from taskimage.model.oci.document import Fields

__all__ = ["Repository"]

_MANIFESTS: Final = (INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
_ACCEPT: Final = {"Accept": ", ".join(_MANIFESTS)}
# What answers a HEAD where only GET is served: it has no body to say so.
_NO_HEAD: Final = (400, 405, 406, 415, 501)
_PAGE: Final = 1000
# Answers to a manifest that may mean that its tag is not moved.
_REFUSED: Final = (400, 403, 405, 409, 412)


class Repository:
    """The images of one repository. Safe to share between threads.

    Args:
        session: What talks to its registry.
        path: Its path in the registry.
        push: Whether the right to write is asked for along with the right to read.
    """

    def __init__(self, session: Session, path: str, *, push: bool = False) -> None:
        self.session = session
        self.path = path
        self.scope = (path, "pull,push" if push else "pull")
        self._uploads = Uploads(self)
        self._lacking: set[Digest] = set()

    @property
    def name(self) -> str:
        """Registry and path."""
        return f"{self.session.endpoint.registry}/{self.path}"

    # -- manifests -------------------------------------------------------------------------------------

    def head(self, version: str) -> Descriptor | None:
        """What names the manifest of a tag or digest, by one HEAD where the registry allows it; None for absent.

        Where HEAD tells no digest, the manifest is fetched and hashed. Raises as `Session.ask` does for whatever
        is neither here nor absent.
        """
        doing = f"look up {self._shown(version)}"
        try:
            answer = self.ask("HEAD", f"manifests/{version}", doing, headers=_ACCEPT, good=(200, *_NO_HEAD))
        except NotFound:
            return None
        described = _described(answer) if answer.status == 200 else None
        if described is not None and (":" not in version or version == str(described.digest)):
            return described
        raw = self.manifest(version)
        return None if raw is None else raw.descriptor

    def manifest(self, version: str) -> RawManifest | None:
        """The manifest of a tag or digest; None when the registry says that there is none."""
        doing = f"read {self._shown(version)}"
        try:
            answer = self.ask("GET", f"manifests/{version}", doing, headers=_ACCEPT)
        except NotFound:
            return None
        wanted = Digest.parse(version) if ":" in version else _told(answer)
        if wanted is not None:
            verify(answer.body, wanted, where=self._shown(version))
        media_type = _media_type(answer)
        if media_type not in _MANIFESTS:
            raise self._no_registry(
                f"cannot {doing}: {media_type or 'something'!r:.100} came, which is no image manifest"
            )
        return RawManifest(media_type, answer.body)

    def put_manifest(self, raw: RawManifest, version: str) -> bool:
        """Have the registry keep ``raw`` under a tag, or under its digest alone.

        True when the registry lists it, from now on, among what is attached to its subject.
        Raises BlobUnknown when the registry lacks what it names, IntegrityError when it kept something else,
        NotAllowed for a tag that it does not move.
        """
        request = self.request(
            "PUT", f"manifests/{version}", f"push {self._shown(version)}",
            headers={"Content-Type": raw.media_type}, body=raw.data, good=(201, *_REFUSED),
        )  # fmt: skip
        answer = self.session.ask(request)
        if answer.status != 201:
            refusal = self.session.refusal(request, answer)
            there = self.head(version) if refusal.keeps_tag else None
            if there is None:
                raise refusal.error()
            if there.digest != raw.digest:
                raise NotAllowed(
                    f"the tag exists and the registry keeps it: {self._shown(version)} is {there.digest}, not {raw.digest}"
                    f"\n{refusal.reason}",
                    hint="push under another tag, or have whoever runs the registry allow tags to move",
                )
        kept = answer.headers.get("Docker-Content-Digest", str(raw.digest))
        if answer.status == 201 and kept != str(raw.digest):
            raise IntegrityError(
                f"the registry kept {kept!r:.200}, wanted {raw.digest}", where=self._shown(version)
            )
        return "OCI-Subject" in answer.headers

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """What names the manifests that are attached to the image of ``digest``, of one type or of all."""
        return referrers.listed(self, digest, artifact_type)

    def attach(self, raw: RawManifest) -> None:
        """Have the registry keep ``raw``, by its digest, and list it among what is attached to its subject.

        Raises BadInput for a manifest without a subject.
        """
        referrers.attach(self, raw)

    def tags(self) -> Iterator[str]:
        """Every tag, in the registry's order (distribution-spec, "Listing Tags")."""
        path = f"tags/list?{urlencode({'n': _PAGE})}"
        for answer in self.session.pages(self.request("GET", path, f"list the tags of {self.name}")):
            yield from Fields(parse_json(answer.body, where=self.name), "tags").texts("tags")

    # -- blobs -----------------------------------------------------------------------------------------

    def has_blob(self, digest: Digest) -> bool:
        """Whether the repository has the blob of ``digest``."""
        doing = f"look up blob {digest.short} of {self.name}"
        try:
            answer = self.ask("HEAD", f"blobs/{digest}", doing)
        except NotFound:
            self._lacking.add(digest)
            return False
        if answer.media_type == "text/html":
            raise self._no_registry(f"cannot {doing}: a page came")
        return True

    def blob(self, descriptor: Descriptor) -> bytes:
        """A small blob, such as a configuration, checked."""
        answer = self.ask(
            "GET", f"blobs/{descriptor.digest}", f"read blob {descriptor.digest.short} of {self.name}"
        )
        return verify(answer.body, descriptor.digest, where=f"{self.name}@{descriptor.digest}")

    def presume_absent(self, digest: Digest) -> None:
        """The blob of ``digest`` was made a moment ago: `upload` sends it without asking."""
        self._lacking.add(digest)

    def upload(
        self,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        *,
        mount_from: Sequence[str] = (),
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        """The blob of ``descriptor`` is in the repository; what is there already is not sent.

        Args:
            descriptor: What names it.
            open_blob: Opens its bytes, as a stream that can seek.
            mount_from: Repositories of the same registry that may have it.
            moved: Hears how many bytes were sent, fewer than none when some are sent again; the sum is the size
                in the end, and nothing is heard of what is not sent.

        Raises:
            IntegrityError: The bytes are not what the descriptor says; the error names their file.
            TaskImageError: As `Session.ask` raises.
        """
        # Whoever has just asked need not ask again.
        if descriptor.digest in self._lacking or not self.has_blob(descriptor.digest):
            self._lacking.discard(descriptor.digest)
            self._uploads.put(descriptor, open_blob, mount_from=mount_from, moved=moved)

    def check_push(self) -> None:
        """Whether the registry takes uploads from here: one is begun and cancelled. Raises as `Session.ask` does."""
        self._uploads.check()

    def download(
        self, descriptor: Descriptor, pending: Pending, *, moved: Callable[[int], None] = lambda _: None
    ) -> None:
        """Write the blob of ``descriptor`` to ``pending``, and go on where a connection was lost.

        ``moved`` hears how many bytes came, fewer than none when it starts again. Raises IntegrityError for
        other bytes than the digest promises.
        """
        request = self.request(
            "GET", f"blobs/{descriptor.digest}", f"fetch blob {descriptor.digest.short} of {self.name}",
            headers={"Accept-Encoding": "identity"}, good=(200, 206),
        )  # fmt: skip
        self.session.patiently(partial(self._more, request, descriptor, pending, moved))
        where = f"{self.name}@{descriptor.digest}"
        if pending.size != descriptor.size or pending.digest != descriptor.digest:
            raise IntegrityError(
                f"got {pending.size} bytes with digest {pending.digest}, "
                f"wanted {descriptor.size} bytes with digest {descriptor.digest}",
                where=where,
            )

    def _more(
        self, request: Request, descriptor: Descriptor, pending: Pending, moved: Callable[[int], None]
    ) -> None:
        """One attempt at the bytes that ``pending`` still lacks."""
        if pending.size and pending.size == descriptor.size:
            return
        if pending.size:
            request = replace(request, headers={**request.headers, "Range": f"bytes={pending.size}-"})
        with self.session.once(request) as response:
            told = response.headers.get("Content-Range", "")
            if pending.size and not (response.status == 206 and told.startswith(f"bytes {pending.size}-")):
                moved(-pending.size)
                pending.restart()
                if response.status != 200:
                    raise Transient(
                        Unreachable(f"cannot {request.doing}: it does not go on where it stopped")
                    )
            for chunk in self.session.chunks(request, response):
                if pending.size + len(chunk) > descriptor.size:
                    raise IntegrityError(
                        f"more than the {descriptor.size} bytes that were expected",
                        where=self.session.shown(request),
                    )
                pending.write(chunk)
                moved(len(chunk))
        if pending.size < descriptor.size:
            raise Transient(
                Unreachable(
                    f"cannot {request.doing}: {pending.size} of {descriptor.size} bytes came",
                    hint="try again later",
                )
            )

    # -- requests --------------------------------------------------------------------------------------

    def request(self, method: str, path: str, doing: str, **more: Any) -> Request:
        """A request for something below this repository, or at an address that its registry gave."""
        if not path.startswith(("/", "https:", "http:")):
            path = f"/v2/{self.path}/{path}"
        return Request(method=method, path=path, doing=doing, **{"scopes": (self.scope,), **more})

    def ask(self, method: str, path: str, doing: str, **more: Any) -> Answer:
        """The answer to such a request; raises as `Session.ask` does."""
        return self.session.ask(self.request(method, path, doing, **more))

    def _no_registry(self, problem: str) -> Unreachable:
        host = self.session.endpoint.registry
        return Unreachable(
            problem, hint=f"look whether {host} is an image registry, and whether it is an image"
        )

    def _shown(self, version: str) -> str:
        return f"{self.name}{'@' if ':' in version else ':'}{version}"


def _media_type(answer: Answer) -> str:
    """What the header says the manifest is, else what it says itself."""
    if answer.media_type in _MANIFESTS:
        return answer.media_type
    try:
        told = json.loads(answer.body)["mediaType"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return answer.media_type
    return told if isinstance(told, str) else answer.media_type


def _described(answer: Answer) -> Descriptor | None:
    """What the headers of a HEAD tell of a manifest; None when that is not enough."""
    length, digest = answer.headers.get("Content-Length", ""), _told(answer)
    if answer.media_type not in _MANIFESTS or not length.isdecimal() or digest is None:
        return None
    return Descriptor(media_type=answer.media_type, digest=digest, size=int(length))


def _told(answer: Answer) -> Digest | None:
    """The digest that the registry says a manifest has."""
    try:
        return Digest.parse(answer.headers.get("Docker-Content-Digest", ""))
    except BadInput:
        return None
