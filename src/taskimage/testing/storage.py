"""What a registry holds: blobs in files, manifests and tags in memory, each repository for itself."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from taskimage.model.digest import Digest
from taskimage.model.oci import parse_json
from taskimage.model.value import dataclass
from taskimage.testing.messages import PIECE

__all__ = ["Storage", "StoredManifest", "digest_of"]


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or index: the bytes that were pushed, and the media type that they were pushed with."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> Digest:
        """The sha256 digest, which names it wherever no other was given."""
        return Digest.of(self.data)

    @property
    def document(self) -> dict[str, Any]:
        """What it says."""
        document: dict[str, Any] = parse_json(self.data, where="manifest")
        return document


@dataclass(frozen=True, slots=True)
class _Repository:
    blobs: set[Digest] = field(default_factory=set)
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)


def digest_of(path: Path, algorithm: str) -> Digest:
    """The digest of a file."""
    hasher = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return Digest(algorithm, hasher.hexdigest())


class Storage:
    """Blobs, manifests and tags; safe for threads. A blob is stored once, and seen where it was pushed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._repositories: dict[str, _Repository] = {}

    def knows(self, name: str) -> bool:
        """Whether anything was ever pushed to the repository."""
        with self._lock:
            return name in self._repositories

    # -- blobs -----------------------------------------------------------------------------------------

    def blobs(self) -> dict[Digest, Path]:
        """Every blob that some repository has, and the file that it is in."""
        with self._lock:
            every = set[Digest]().union(*(repository.blobs for repository in self._repositories.values()))
            return {digest: self._path(digest) for digest in sorted(every)}

    def blob(self, name: str, digest: Digest) -> Path | None:
        """The file of a blob that the repository has."""
        with self._lock:
            return self._path(digest) if digest in self._repository(name).blobs else None

    def take_blob(self, name: str, digest: Digest, file: Path) -> None:
        """Move ``file``, whose digest is known, to the blobs of the repository."""
        with self._lock:
            file.replace(self._path(digest))
            self._made(name).blobs.add(digest)

    def put_blob(self, name: str, data: bytes) -> Digest:
        """Add ``data`` to the blobs of the repository."""
        digest = Digest.of(data)
        with self._lock:
            if not self._path(digest).exists():
                self._path(digest).write_bytes(data)
            self._made(name).blobs.add(digest)
        return digest

    def mount(self, name: str, digest: Digest, source: str) -> bool:
        """Let the repository have a blob of another one, when that has it."""
        with self._lock:
            if source not in self._repositories or digest not in self._repositories[source].blobs:
                return False
            self._made(name).blobs.add(digest)
            return True

    def remove_blob(self, name: str, digest: Digest) -> bool:
        """Take a blob from the repository; whether it was there."""
        with self._lock:
            there = digest in self._repository(name).blobs
            self._repository(name).blobs.discard(digest)
            return there

    # -- manifests -------------------------------------------------------------------------------------

    def manifest(self, name: str, reference: str) -> StoredManifest | None:
        """What a tag or digest of the repository names."""
        with self._lock:
            repository = self._repository(name)
            digest = Digest.parse(reference) if ":" in reference else repository.tags.get(reference)
            return None if digest is None else repository.manifests.get(digest)

    def put_manifest(self, name: str, reference: str, manifest: StoredManifest) -> None:
        """Keep a manifest under a tag or a digest, which must be its own; under neither when it is empty."""
        with self._lock:
            repository = self._made(name)
            digest = Digest.parse(reference) if ":" in reference else manifest.digest
            repository.manifests[digest] = manifest
            if reference and ":" not in reference:
                repository.tags[reference] = digest

    def remove_manifest(self, name: str, reference: str) -> bool:
        """Take a tag, or a manifest and all tags that name it; whether it was there."""
        with self._lock:
            repository = self._repository(name)
            if ":" not in reference:
                return repository.tags.pop(reference, None) is not None
            digest = Digest.parse(reference)
            for tag in [tag for tag, named in repository.tags.items() if named == digest]:
                del repository.tags[tag]
            return repository.manifests.pop(digest, None) is not None

    def manifests(self, name: str) -> Mapping[Digest, StoredManifest]:
        """All manifests of the repository."""
        with self._lock:
            return dict(self._repository(name).manifests)

    def tags(self, name: str) -> list[str]:
        """The tags of the repository, in the order of the specification."""
        with self._lock:
            return sorted(self._repository(name).tags)

    # -- inside ----------------------------------------------------------------------------------------

    def _repository(self, name: str) -> _Repository:
        return self._repositories.get(name) or _Repository()

    def _made(self, name: str) -> _Repository:
        return self._repositories.setdefault(name, _Repository())

    def _path(self, digest: Digest) -> Path:
        return self._folder / str(digest).replace(":", "-")
