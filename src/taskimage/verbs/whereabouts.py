"""Which repositories have which blobs, as far as a run has seen: a blob goes to a registry once, and is mounted there."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from taskimage.adapters.images.blob import Blob, MovedBytes
from taskimage.model.digest import Digest
from taskimage.model.oci import RawManifest

if TYPE_CHECKING:
    from taskimage.adapters.images.registry import RegistryTarget
    from taskimage.adapters.registry import Repository

__all__ = ["SharedTarget", "Whereabouts"]


class Whereabouts:
    """What all images of a run learn from each other. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[Digest, dict[str, Repository]] = {}
        self._turns: dict[tuple[str, ...], threading.Lock] = {}
        self._noting = threading.Lock()

    def note(self, repository: Repository, digests: Iterable[Digest]) -> None:
        """``repository`` has the blobs of ``digests``."""
        with self._noting:
            for digest in digests:
                self._known.setdefault(digest, {})[repository.name] = repository

    def of(self, digest: Digest) -> Sequence[Repository]:
        """The repositories that have a blob."""
        with self._noting:
            return tuple(self._known.get(digest, {}).values())

    def turn(self, *what: str) -> threading.Lock:
        """What a thread holds while it does what one is to do at a time."""
        return self._turns.setdefault(what, threading.Lock())


class SharedTarget:
    """A repository to push to, which others of the same registry share blobs with.

    Args:
        repository: It.
        whereabouts: Who has what; knows more with each blob that is put.
        mount_from: Further repositories of the registry that may have blobs.
    """

    def __init__(
        self, repository: Repository, whereabouts: Whereabouts, *, mount_from: Sequence[str] = ()
    ) -> None:
        self._repository = repository
        self._whereabouts = whereabouts
        self._mount_from = mount_from
        self._doubted = False

    @property
    def name(self) -> str:
        """Registry and repository."""
        return self._repository.name

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Have ``blob`` in the repository: it is there already, or is mounted, or uploaded."""
        digest, registry = blob.descriptor.digest, self._repository.session.endpoint.registry
        # What one sends is mounted by those who wanted to send it too.
        with self._whereabouts.turn(registry, str(digest)):
            there = self._whereabouts.of(digest)
            if any(one.name == self.name for one in there) and not self._doubted:
                return
            others = [one.path for one in there if one.session is self._repository.session]
            mount_from = [path for path in (*others, *self._mount_from) if path != self._repository.path]
            self._target(mount_from=mount_from).put(blob, moved)
            self._whereabouts.note(self._repository, [digest])

    def finish(self, manifests: Sequence[RawManifest], names: Sequence[str]) -> None:
        """Put ``manifests``, the last of them under the tags ``names``, or by its digest where there are none."""
        # Should it turn out that something is missing, everything is asked about.
        self._doubted = True
        self._target().finish(manifests, names)

    def _target(self, *, mount_from: Sequence[str] = ()) -> RegistryTarget:
        from taskimage.adapters.images.registry import RegistryTarget

        return RegistryTarget(self._repository, mount_from=mount_from)
