"""The registry that tests start: what it can do, what is in it, what it was asked, and what shall go wrong."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from taskimage.model.digest import Digest
from taskimage.model.errors import NotFound
from taskimage.testing.access import ALL, Access
from taskimage.testing.blobs import Blobs
from taskimage.testing.certificates import Certificates
from taskimage.testing.endpoints import Endpoints
from taskimage.testing.exchanges import Exchange, Exchanges
from taskimage.testing.faults import Fault, Faults
from taskimage.testing.images import MadeImage
from taskimage.testing.manifests import Manifests
from taskimage.testing.server import Server
from taskimage.testing.storage import Storage, StoredManifest
from taskimage.testing.uploads import Uploads

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Registry"]


class Registry:
    """A registry on loopback, at a free port that it keeps, while the context lasts.

    Args:
        address: Where it listens: ``127.0.0.1``, or ``::1`` for IPv6.
        auth: How clients say who they are: with Basic credentials (the default where there is a user), or with a
            token from the token server, which is the registry's own ``/token``. Nobody is asked without.
        username: The one user. Without one, the token server gives everybody what they ask for.
        password: The user's.
        actions: What the user may do.
        public: Whether everybody may pull.
        token_lifetime: Seconds that a token is good for.
        tls: Serve HTTPS with this certificate and key.
        client_certificates: Turn clients away whose certificate ``tls``'s authority did not sign.
        mount: Whether blobs of other repositories can be mounted.
        chunked: Whether blobs may come in pieces (PATCH).
        resumable: Whether an upload can go on after a chunk that was lost in its middle; in Docker's registry
            it cannot.
        ranges: Whether a part of a blob can be asked for; else it is given whole.
        referrers: Whether it keeps referrers; else clients have to keep tags for that.
        delete: Whether manifests, tags and blobs can be deleted.
        immutable_tags: Whether a tag names for ever what it named first.
        page: The most tags that are listed at once.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        auth: Literal["basic", "bearer"] | None = None,
        username: str = "",
        password: str = "",
        actions: Iterable[str] = ALL,
        public: bool = False,
        token_lifetime: float = 300,
        tls: Certificates | None = None,
        client_certificates: bool = False,
        mount: bool = True,
        chunked: bool = True,
        resumable: bool = True,
        ranges: bool = True,
        referrers: bool = True,
        delete: bool = True,
        immutable_tags: bool = False,
        page: int = 1000,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="registry-")
        blobs, uploads = Path(self._folder.name, "blobs"), Path(self._folder.name, "uploads")
        blobs.mkdir()
        uploads.mkdir()
        self._storage = Storage(blobs)
        self._uploads = Uploads(self._storage, uploads, mount=mount, chunked=chunked, resumable=resumable)
        self._access = Access(
            auth or ("basic" if username else None),
            username=username,
            password=password,
            actions=actions,
            public=public,
            lifetime=token_lifetime,
            secure=tls is not None,
        )
        self._endpoints = Endpoints(
            self._access,
            manifests=Manifests(
                self._storage, referrers=referrers, delete=delete, immutable_tags=immutable_tags, page=page
            ),
            blobs=Blobs(self._storage, ranges=ranges, delete=delete),
            uploads=self._uploads,
        )
        self._tls = _context(tls, client_certificates=client_certificates) if tls else None
        self._faults = Faults()
        self._exchanges = Exchanges()
        self._server: Server | None = None
        self._address = address
        self._port = 0

    # -- its life --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen, at the port of the last time when there was one."""
        self._server = Server(
            (self._address, self._port),
            self._endpoints.answer,
            faults=self._faults,
            exchanges=self._exchanges,
            tls=self._tls,
        )
        self._port = self._server.port

    def stop(self) -> None:
        """Listen no more, and end all connections, whatever goes on in them. What is in it stays."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def restart(self, *, keep_uploads: bool = False) -> None:
        """Stop and start again, as after a crash; uploads that were under way are lost unless they are kept."""
        self.stop()
        if not keep_uploads:
            self.forget_uploads()
        self.start()

    def close(self) -> None:
        """Stop for good; nothing of it is left."""
        self.stop()
        self._folder.cleanup()

    @property
    def host(self) -> str:
        """What references to its images begin with: its address and port."""
        return f"[{self._address}]:{self._port}" if ":" in self._address else f"{self._address}:{self._port}"

    @property
    def url(self) -> str:
        """The address of the registry, without a path."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    # -- what it was asked -----------------------------------------------------------------------------

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """Every request since the start or since `clear_requests`, in the order of the answers."""
        return self._exchanges.all()

    def clear_requests(self) -> None:
        """Forget what was asked."""
        self._exchanges.clear()

    # -- what goes wrong -------------------------------------------------------------------------------

    def fail(self, *faults: Fault) -> None:
        """Let requests go wrong. Of several faults that are due for a request the first counts."""
        for fault in faults:
            self._faults.add(fault)

    def heal(self) -> None:
        """Let no request go wrong any more."""
        self._faults.clear()

    def forget_uploads(self) -> None:
        """Uploads that are under way are unknown from now on."""
        self._uploads.forget()

    def expire_tokens(self) -> None:
        """Tokens that were given out are good for nothing from now on; the identity token stays."""
        self._access.expire()

    # -- tokens ----------------------------------------------------------------------------------------

    @property
    def identity_token(self) -> str:
        """What the user can get tokens with (OAuth 2.0's refresh token); it does not expire."""
        return self._access.identity_token

    def issue_token(self, *scopes: str) -> str:
        """A token for ``scopes``, such as ``repository:team/app:pull,push``."""
        return self._access.issue(scopes)

    # -- what is in it ---------------------------------------------------------------------------------

    @property
    def blobs(self) -> Mapping[Digest, Path]:
        """Every blob, and the file that it is in."""
        return self._storage.blobs()

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository, sorted."""
        return self._storage.tags(repository)

    def manifest(self, repository: str, reference: str | Digest) -> StoredManifest:
        """What a tag or digest names. Raises NotFound."""
        manifest = self._storage.manifest(repository, str(reference))
        if manifest is None:
            raise NotFound(f"no manifest {str(reference)!r} in {repository!r}")
        return manifest

    def put_blob(self, repository: str, data: bytes) -> Digest:
        """Add a blob to a repository."""
        return self._storage.put_blob(repository, data)

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> Digest:
        """Add a manifest to a repository, unchecked, under a tag, or under none when ``reference`` is empty."""
        manifest = StoredManifest(media_type, data)
        self._storage.put_manifest(repository, reference, manifest)
        return manifest.digest

    def put_image(self, name: str, image: MadeImage) -> Digest:
        """Add an image, or an index with all its images: ``team/app:v1``, or ``team/app`` for no tag."""
        repository, _, tag = name.partition(":")
        for part in image.parts:
            self.put_image(repository, part)
        for blob in image.blobs:
            self.put_blob(repository, blob)
        return self.put_manifest(repository, tag, image.media_type, image.manifest)


def _context(certificates: Certificates, *, client_certificates: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.ca)
    return context
