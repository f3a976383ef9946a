"""Base images: pinned by digest, their documents and facts read once for each, their layers fetched when needed."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.adapters import layout
from taskimage.adapters.crew import Crew
from taskimage.adapters.images.blob import Blob
from taskimage.adapters.images.store import StoreTarget
from taskimage.adapters.store import Store
from taskimage.model.base import BaseFacts
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, NotFound
from taskimage.model.events import Done, Moved, Started, counted
from taskimage.model.lock import BasePin
from taskimage.model.oci import Descriptor, Index, Platform, RawManifest, parse_json
from taskimage.model.reference import Reference
from taskimage.transform.assemble import BuiltImage
from taskimage.transform.runtime import PREFIX
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.images.registry import RegistrySource
    from taskimage.transform.base import BaseTree

__all__ = ["Base", "pin_base"]


def pin_base(tools: Tools, identifier: str, platform: Platform, *, keep: Sequence[BasePin] = ()) -> BasePin:
    """The base image that ``identifier`` names now, or that it named for ``keep``, with no facts yet.

    Raises InvalidReference, NotFound (no such image, or none for ``platform``), NotAllowed, Unreachable.
    """
    reference = Reference.parse(identifier)
    name = str(dataclasses.replace(reference, digest=None))
    for pin in keep:
        if pin.name == name and reference.digest in (None, pin.digest):
            return BasePin(name=name, digest=pin.digest, manifest=pin.manifest)
    root = _kept(tools.store, reference.digest)
    if root is None:
        root = _source(tools, reference).find(str(reference.digest or reference.tag or "latest"))
    manifest = root.digest
    document = root.read(where=str(reference))
    if isinstance(document, Index):
        manifest = document.choose(platform, where=str(reference)).digest
    pin = BasePin(name=name, digest=root.digest, manifest=manifest)
    made_for = Base(tools, pin, platform).image.config.platform
    if not made_for.serves(platform):
        raise NotFound(f"the base image is for {made_for}, and {platform} is wanted", where=str(reference))
    return pin


def _source(tools: Tools, reference: Reference) -> RegistrySource:
    """Where the images of ``reference`` are read."""
    from taskimage.adapters.images.registry import RegistrySource

    return RegistrySource(tools.registries.sources(reference), tools.store)


def _kept(store: Store, digest: Digest | None) -> RawManifest | None:
    """The manifest or index that the store has, as it has those of images that were built here."""
    if digest is None or not store.blob_path(digest).exists():
        return None
    data = store.read_blob(digest)
    document = parse_json(data, where=str(digest))
    media_type = document.get("mediaType") if isinstance(document, dict) else None
    return RawManifest(media_type, data) if isinstance(media_type, str) else None


class Base:
    """One base image for one platform. Safe to share between threads."""

    def __init__(self, tools: Tools, pin: BasePin, platform: Platform) -> None:
        self._tools = tools
        self._pin = pin
        self._platform = platform
        self._reading = threading.Lock()

    @property
    def reference(self) -> Reference:
        """Where it is."""
        return dataclasses.replace(Reference.parse(self._pin.name), digest=self._pin.digest)

    @property
    def manifest(self) -> Digest:
        """The digest of its manifest for this platform."""
        return self._pin.manifest

    @cached_property
    def _source(self) -> RegistrySource:
        return _source(self._tools, self.reference)

    @cached_property
    def image(self) -> BuiltImage:
        """Its manifest and configuration: the store's, else fetched and kept."""
        store = self._tools.store
        with contextlib.suppress(NotFound):
            return layout.load(store, self._pin.manifest)
        raw = self._source.find(str(self._pin.manifest))
        manifest = raw.read(where=str(self.reference))
        if isinstance(manifest, Index):
            raise BadInput("an index, and no image", where=f"{self._pin.name}@{self._pin.manifest}")
        StoreTarget(store).put(self._source.blob(manifest.config), lambda _: None)
        store.put_blob(raw.data)
        return layout.load(store, self._pin.manifest)

    @cached_property
    def facts(self) -> BaseFacts:
        """What its files say: the store's record, else read from its layers and kept."""
        record = self._tools.store.record("bases", self._pin.manifest)
        with contextlib.suppress(BadInput):
            if record is not None:
                return BaseFacts.from_dict(record)
        from taskimage.transform.base import facts_of

        env = self.image.config.execution.environment
        facts = facts_of(self.tree, platform=self._platform, env=env, prefix=PREFIX.strip("/"))
        self._tools.store.keep_record("bases", self._pin.manifest, facts.to_dict())
        return facts

    @property
    def tree(self) -> BaseTree:
        """Its files: read once for all who ask with the same tools, and readable for as long as those are there."""
        return self._tools.base_trees.get(self._pin.manifest, self._read)

    def _read(self) -> BaseTree:
        import tempfile
        import weakref

        from taskimage.transform.base import BaseLayer, read_base

        layers = [
            BaseLayer(partial(_opened, path), path.stat().st_size, str(digest))
            for path, digest in self.blobs()
        ]
        store = self._tools.store
        with store.explained(), store.temporary_directory() as folder:
            spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is closed when the tree is wanted no more
            try:
                tree = read_base(layers, cast("BinaryIO", spool))
            except BaseException:
                spool.close()
                raise
        weakref.finalize(tree, spool.close)
        return tree

    def blobs(self) -> list[tuple[Path, Digest]]:
        """The files of its layers in the store, fetched, and their digests, the lowest first."""
        self.fetch()
        store = self._tools.store
        return [(store.blob_path(layer.digest), layer.digest) for layer in self.image.manifest.layers]

    def blob(self, descriptor: Descriptor) -> Blob:
        """One of its layers: the store's, else as it comes from its registry."""
        return self._source.blob(descriptor)

    def fetch(self) -> None:
        """The store has all of its layers."""
        store, tell = self._tools.store, self._tools.listener
        with self._reading:
            missing = [one for one in self.image.manifest.layers if not store.blob_path(one.digest).exists()]
            if not missing:
                return
            what = f"{counted(len(missing), 'layer')} of {self._pin.name}"
            total = sum(one.size for one in missing)
            tell(Started("base", f"Fetching {what}", total))
            target = StoreTarget(store)
            Crew.run(
                lambda one: target.put(self.blob(one), lambda amount: tell(Moved("base", amount))),
                sorted(missing, key=lambda one: -one.size),
            )
            tell(Done("base", f"Fetched {what}, {total / 1e6:.1f} MB"))


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", path.open("rb"))
