"""The repository that an image is published to: what it has, and sending what it lacks.

Its layers are known by the keys of their inputs from the artifact ``buildcache`` beside its images, and everything
else is asked for by digest. The artifact is believed for what it says exists, never for bytes; and when the registry
turns out to have lost a layer, that is made and sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from taskimage.model.digest import Digest
from taskimage.model.errors import Unreachable
from taskimage.model.events import Notice, Warned
from taskimage.model.oci import Descriptor, Platform, RawManifest
from taskimage.model.reference import Reference
from taskimage.transform.assemble import BUILDER, CONTENT, Assembled, Layer
from taskimage.verbs.existence import Existing, look_up
from taskimage.verbs.tools import Tools
from taskimage.verbs.whereabouts import SharedTarget, Whereabouts

if TYPE_CHECKING:
    from taskimage.adapters.images.blob import Blob, MovedBytes
    from taskimage.adapters.registry import Repository
    from taskimage.verbs.content import Content

__all__ = ["Destination"]

# Bytes: what is smaller is sent in the time that it takes to ask.
_SMALL: Final = 1 << 16


class Destination:
    """The repository ``fqn`` that an image is published to.

    Args:
        tools: The adapters of this run.
        fqn: Registry and repository.
        cached: Whether its ``buildcache`` is read, and kept up.
        whereabouts: What is known of blobs in it and elsewhere.
    """

    def __init__(
        self, tools: Tools, fqn: str, *, cached: bool = True, whereabouts: Whereabouts | None = None
    ) -> None:
        self._tools = tools
        self._reference = Reference.parse(fqn)
        self._whereabouts = whereabouts or Whereabouts()
        self._cached = cached
        self._later: set[Digest] = set()

    @property
    def fqn(self) -> str:
        """Registry and repository."""
        return self._reference.name

    @cached_property
    def _repository(self) -> Repository:
        return self._tools.registries.repository(self._reference, push=True)

    # -- what is there ---------------------------------------------------------------------------------

    def existing(
        self, tag: str, platforms: Iterable[Platform], *, identity: Digest | None = None
    ) -> Existing | None:
        """The image that ``tag`` names there, when that is what is wanted; told when it is something else.

        ``identity`` says what it is to be; None takes whatever the tag names, as flytekit does.
        """
        named = f"{self._reference.name}:{tag}"
        try:
            found = look_up(self._tools.registries, dataclasses.replace(self._reference, tag=tag))
        except Unreachable as error:
            advice = "build with --no-push to keep the image in the store"
            error.hint = f"{error.hint}; or {advice}" if error.hint else advice
            raise
        if found is None:
            return None
        facts = found.document.annotations
        if identity is not None and facts.get(CONTENT) == str(identity):
            return found  # which says for what platforms, too
        if identity is not None:
            self._tools.listener(
                Warned(
                    f"{named} is there with other content ({found.digest}): building it, and moving the tag"
                )
            )
            return None
        if lacking := found.lacks(platforms):
            missing = ", ".join(map(str, lacking))
            self._tools.listener(Notice(f"{named} is there, and not for {missing}: building it"))
            return None
        if BUILDER not in facts:
            self._tools.listener(
                Warned(
                    f"{named} is there, and another builder made it: it is taken as it is",
                    hint="--force builds it, and in flytekit FLYTE_FORCE_PUSH_IMAGE_SPEC=1",
                )
            )
        return found

    @cached_property
    def layers(self) -> Mapping[Digest, Layer]:
        """The layers that the repository says it has, by the keys of their inputs."""
        if not self._cached:
            return {}
        from taskimage.adapters.registry.buildcache import read_cache

        layers = read_cache(self._repository, listener=self._tools.listener)
        self.note(layer.descriptor.digest for layer in layers.values())
        return layers

    # -- what is sent ----------------------------------------------------------------------------------

    def name(self, root: RawManifest, tags: Sequence[str]) -> None:
        """Every one of ``tags`` means ``root``, which is there; a tag that does already is left alone."""
        # Where there is nothing to do, the right to push is not needed.
        reading = self._tools.registries.repository(self._reference)
        for tag in tags:
            known = reading.head(tag)
            if known is None or known.digest != root.digest:
                self._repository.put_manifest(root, tag)

    def fetch(self, root: RawManifest) -> None:
        """The store has all of the image ``root``, which is there."""
        from taskimage.adapters.images.registry import RegistrySource
        from taskimage.verbs.pull import fetch

        fetch(self._tools, RegistrySource([self._repository], self._tools.store), root)

    def is_later(self, made: Descriptor) -> bool:
        """Whether a blob that was made a moment ago is so small that it can go with the configuration, unasked."""
        small = made.size < _SMALL
        if small:
            self._repository.presume_absent(made.digest)
            self._later.add(made.digest)
        return small

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Have a blob of an image that is going to be published."""
        SharedTarget(self._repository, self._whereabouts).put(blob, moved)

    def note(self, digests: Iterable[Digest]) -> None:
        """It has the blobs of ``digests``: somebody else sent them."""
        self._whereabouts.note(self._repository, digests)

    def publish(self, image: Assembled, *, tags: Sequence[str], content: Content) -> None:
        """Send what the repository lacks of ``image``, then its manifests, and let ``tags`` mean it, in order."""
        from taskimage.verbs.transfer import transfer

        # The registry has the base's layers where the base is one of its own.
        bases = [one.repository for one in content.bases if one.registry == self._reference.registry]
        for one in image.images:
            # The image is published because it is not there, and nothing else has its configuration.
            self._repository.presume_absent(one.manifest.config.digest)
        target = SharedTarget(self._repository, self._whereabouts, mount_from=bases)
        transfer(content, target, image.root, names=tags, listener=self._tools.listener)
        # What is made sooner than asked about is not worth a place in the list.
        layers = {key: one for key, one in content.layers.items() if one.descriptor.digest not in self._later}
        if self._cached and not self.layers.items() >= layers.items():
            from taskimage.adapters.registry.buildcache import write_cache

            with self._whereabouts.turn(self._repository.name):
                write_cache(self._repository, layers, listener=self._tools.listener)
