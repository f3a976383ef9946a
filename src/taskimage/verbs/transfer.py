"""`transfer`: an image goes from one place to another, bit for bit the same.

Blobs go first, several at a time; then manifests, each behind what it names; and names last of all. So an image
that can be found at the target is whole, and a transfer that is interrupted changes nothing there that anybody sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from taskimage.adapters.crew import Crew
from taskimage.adapters.images.blob import Blob, MovedBytes, small
from taskimage.adapters.registry import BlobUnknown
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.events import Done, Listener, Moved, Notice, Started, counted, ignore
from taskimage.model.oci import Config, Descriptor, Index, Manifest, Platform, RawManifest

__all__ = ["Source", "Target", "chosen", "transfer"]

# Layers that may be had only from where their manifest says, and are not handed on (layer.md, "Non-Distributable
# Layers"; Docker calls them foreign).
_ELSEWHERE: Final = (".layer.nondistributable.", ".rootfs.foreign.")
# An index in an index in an index: more is seen nowhere.
_DEEPEST: Final = 4


class Source(Protocol):
    """A place that images are read from."""

    @property
    def name(self) -> str:
        """The place, for people."""

    def manifest(self, descriptor: Descriptor) -> RawManifest:
        """The manifest that ``descriptor`` names, checked. Raises NotFound."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """The blob that ``descriptor`` names; whether it is there shows when it is read."""


class Target(Protocol):
    """A place that images are written to."""

    @property
    def name(self) -> str:
        """The place, for people."""

    def put(self, blob: Blob, moved: MovedBytes) -> None:
        """Have ``blob``; ``moved`` hears of its bytes, and of none when it is there already. For any thread."""

    def finish(self, manifests: Sequence[RawManifest], names: Sequence[str]) -> None:
        """Have ``manifests``, whose blobs are there, in this order; ``names`` mean the last from then on."""


def transfer(
    source: Source,
    target: Target,
    root: RawManifest,
    *,
    names: Sequence[str] = (),
    listener: Listener = ignore,
) -> None:
    """The image ``root`` of ``source``, for all of its platforms, is at ``target`` too.

    Args:
        source: Where its manifests and blobs are.
        target: Where they go; what is there already is not moved.
        root: A manifest or an index (see `chosen` for one platform of it).
        names: What it is called at the target, as the target understands names.
        listener: Hears how many bytes arrived.

    Raises:
        IntegrityError: Something at the source is not what its digest says.
        NotFound: Something that a manifest names is not at the source.
        TaskImageError: As the two places raise.
    """
    manifests = _family(source, root)
    blobs = _blobs(manifests, source, listener)
    _move(source, target, blobs, listener)
    try:
        target.finish(manifests, names)
    except BlobUnknown:
        # A registry's garbage collection may take what was there a moment ago.
        _move(source, target, blobs, listener)
        target.finish(manifests, names)


def chosen(source: Source, root: RawManifest, platform: Platform) -> RawManifest:
    """The manifest for ``platform`` among those of ``root``, which may be it. Raises NotFound."""
    indexed = False
    while isinstance(document := root.read(where=source.name), Index):
        root = source.manifest(document.choose(platform, where=source.name))
        indexed = True
    if not indexed:
        config = Config.from_json(small(source.blob(document.config)), where=source.name)
        if not config.platform.serves(platform):
            raise NotFound(f"the image is for {config.platform}, and {platform} is wanted", where=source.name)
    return root


def _family(source: Source, root: RawManifest) -> list[RawManifest]:
    """``root`` and all manifests below it, children first."""
    found: dict[Digest, RawManifest] = {root.digest: root}
    generation = [root]
    for _ in range(_DEEPEST):
        children: dict[Digest, Descriptor] = {}
        for raw in generation:
            if isinstance(index := raw.read(where=source.name), Index):
                children |= {one.digest: one for one in index.manifests}
        read: dict[Digest, RawManifest] = {}

        def fetch(child: Descriptor, read: dict[Digest, RawManifest] = read) -> None:
            read[child.digest] = source.manifest(child)

        Crew.run(fetch, children.values())
        # One that is below two others goes behind both.
        found = {digest: raw for digest, raw in found.items() if digest not in children}
        found |= {digest: read[digest] for digest in children}
        generation = list(read.values())
        if not generation:
            return list(reversed(found.values()))
    raise BadInput(f"indexes within indexes, more than {_DEEPEST} deep", where=source.name)


def _blobs(manifests: Sequence[RawManifest], source: Source, listener: Listener) -> list[Descriptor]:
    """What the manifests name, each once, the largest first so that none is left to run alone at the end."""
    found: dict[Digest, Descriptor] = {}
    for raw in manifests:
        manifest = raw.read(where=source.name)
        if isinstance(manifest, Manifest):
            found |= {one.digest: one for one in (manifest.config, *manifest.layers)}
    elsewhere = [one for one in found.values() if any(mark in one.media_type for mark in _ELSEWHERE)]
    if elsewhere:
        listener(
            Notice(
                f"not copied, as their makers want it: {counted(len(elsewhere), 'layer')} to be had elsewhere"
            )
        )
    return sorted((one for one in found.values() if one not in elsewhere), key=lambda one: -one.size)


def _move(source: Source, target: Target, blobs: Sequence[Descriptor], listener: Listener) -> None:
    # Several images may be on their way at once.
    moved: dict[Digest, int] = {}
    step = f"transfer to {target.name}"

    def move(descriptor: Descriptor) -> None:
        def tell(amount: int) -> None:
            moved[descriptor.digest] = moved.get(descriptor.digest, 0) + amount
            listener(Moved(step, amount))

        target.put(source.blob(descriptor), tell)
        # What was there already is done, too.
        listener(Moved(step, descriptor.size - moved.get(descriptor.digest, 0)))

    listener(Started(step, f"Moving to {target.name}", sum(blob.size for blob in blobs)))
    Crew.run(move, blobs)
    size = sum(moved.values()) / 1e6
    done = f"Moved {counted(len(moved), 'blob')}, {size:.1f} MB, to {target.name}"
    listener(Done(step, done if moved else f"All blobs are at {target.name} already"))
