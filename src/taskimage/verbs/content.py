"""What a prepared image consists of: layers that are known somewhere, or made, and the documents on top.

A layer is known by the key of its inputs: to the store, which has its bytes, or to the registry that the image
goes to, which needs none. Bytes are had when somebody asks for them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.adapters.images.blob import Blob, FileBlob
from taskimage.adapters.images.store import StoreTarget
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotAllowed, NotFound
from taskimage.model.oci import Descriptor, Platform, RawManifest
from taskimage.model.reference import Reference
from taskimage.model.spec import ImageSpec
from taskimage.model.value import dataclass
from taskimage.transform.assemble import BUILDER, CONTENT, Assembled, BuiltImage, Layer, assemble, together
from taskimage.transform.plan import LayerPlan
from taskimage.transform.runtime import PREFIX
from taskimage.verbs.layers import known_layer
from taskimage.verbs.making import Making
from taskimage.verbs.prepare import Planned, Prepared
from taskimage.verbs.recipe import Recipe
from taskimage.verbs.tools import Tools
from taskimage.verbs.workshop import Workshop

if TYPE_CHECKING:
    from taskimage.adapters.specfiles.asked import Asked
    from taskimage.verbs.base import Base
    from taskimage.verbs.commands import Commands
    from taskimage.verbs.destination import Destination

__all__ = ["Content"]

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"


class Content:
    """The layers and documents of one image; as a place that images are read from, it has this one.

    Args:
        tools: The adapters of this run.
        prepared: What the image is to be.
        workshop: Where its layers are made.
        destination: Where the image goes, when it is published: it may have layers, and gets each that is made.
        anew: Make every layer, whether it is known or not.
        verify: Compare what is made with what is known.
    """

    def __init__(
        self,
        tools: Tools,
        prepared: Prepared,
        *,
        workshop: Workshop,
        destination: Destination | None,
        anew: bool = False,
        verify: bool = False,
    ) -> None:
        self._tools = tools
        self._prepared = prepared
        self._workshop = workshop
        self._destination = destination
        self._anew = anew
        self._verify = verify
        self._bases: dict[Platform, Base] = {}
        self._below: dict[Digest, Base] = {}
        self._restore: dict[Digest, Callable[[], None]] = {}
        self.made = 0
        """How many layers had to be made."""
        self.layers: dict[Digest, Layer] = {}
        """The layers by the keys of their inputs, once the image is assembled."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        return self._prepared.names[0]

    @property
    def bases(self) -> tuple[Reference, ...]:
        """The base images, whose layers are below."""
        return tuple(base.reference for base in self._bases.values())

    def assembled(self) -> Assembled:
        """The image; the store has its documents afterwards, and the layers that had to be made."""
        annotations = {BUILDER: "taskimage", CONTENT: str(self._prepared.identity)}
        with contextlib.ExitStack() as open_makers:
            begun = [self._begun(planned, open_makers) for planned in self._prepared.images]
            images = [self._image(one, annotations) for one in begun]
        whole = together(images, annotations=annotations)
        for image in images:
            self._tools.store.put_blob(image.config_bytes)
            self._tools.store.put_blob(image.manifest_bytes)
        self._tools.store.put_blob(whole.root.data)
        return whole

    def complete(self) -> None:
        """The store has every layer, those of the bases too."""
        for base in self._bases.values():
            base.fetch()
        for layer in self.layers.values():
            self._open(layer.descriptor).close()

    # -- a place to read from --------------------------------------------------------------------------

    def manifest(self, descriptor: Descriptor) -> RawManifest:
        """A manifest of the assembled image."""
        return RawManifest(descriptor.media_type, self._tools.store.read_blob(descriptor.digest))

    def blob(self, descriptor: Descriptor) -> Blob:
        """A blob of the assembled image, which is fetched or made when it is read and the store lacks it."""
        if (base := self._below.get(descriptor.digest)) is not None:
            return base.blob(descriptor)
        where = str(self._tools.store.blob_path(descriptor.digest))
        hint = "remove that file and build the image again"
        return FileBlob(descriptor, partial(self._open, descriptor), where, hint)

    def _open(self, descriptor: Descriptor) -> BinaryIO:
        path = self._tools.store.blob_path(descriptor.digest)
        restore = self._restore.get(descriptor.digest)
        if restore is not None and not path.exists() and not self._fetched(descriptor):
            restore()
        return cast("BinaryIO", path.open("rb"))

    def _fetched(self, descriptor: Descriptor) -> bool:
        """Whether a repository that is said to have a layer gives it, so that the store has it."""
        from taskimage.adapters.images.registry import RegistrySource

        store = self._tools.store
        for repository in self._workshop.whereabouts.of(descriptor.digest):
            with contextlib.suppress(NotFound, NotAllowed, IntegrityError):
                StoreTarget(store).put(RegistrySource([repository], store).blob(descriptor), lambda _: None)
                return True
        return False

    # -- layers ----------------------------------------------------------------------------------------

    def _begun(self, planned: Planned, open_makers: contextlib.ExitStack) -> _Begun:
        """What is missing is being made, the largest first, so that none is left over at the end."""
        remote = self._destination.layers if self._destination else {}
        known = {plan: known_layer(self._tools, plan) or remote.get(plan.key) for plan in planned.plans}
        missing = [plan for plan, layer in known.items() if layer is None or self._anew]
        if any(plan.is_run for plan in missing):
            # Asked first: on a host that cannot run them the rest is made in vain.
            self._commands(planned)
        self._rebuild(planned, missing)
        base = self._base(planned)
        order = sorted((plan for plan in missing if not plan.is_run), key=lambda plan: -plan.size)
        making = Making(
            tools=self._tools,
            workshop=self._workshop,
            recipe=self._recipe(planned),
            asked=partial(self._asked, planned.spec),
            source=self._prepared.order.files.source,
            destination=self._destination,
            anew=self._anew,
        )
        return _Begun(planned, base, known, making, open_makers.enter_context(making.begun(order)))

    def _image(self, begun: _Begun, annotations: Mapping[str, str]) -> BuiltImage:
        planned, base, known = begun.planned, begun.base, begun.known
        made = self._workshop.wait(begun.layers, begun.making.check)
        self._check_overlaps(planned, base, made)
        layers: list[Layer] = []
        for plan in planned.plans:
            make = partial(self._remade, planned, begun.making, plan)
            if plan.is_run:
                make = partial(self._run, planned, plan, tuple(layers), base)
                if known[plan] is None or self._anew:
                    made[plan] = make()
            layer = made.get(plan) or cast("Layer", known[plan])
            layers.append(layer)
            self.layers[plan.key] = layer
            self._restore[layer.descriptor.digest] = partial(_remake, make, plan, layer)
        if self._verify:
            for plan, layer in made.items():
                _compare(plan, known[plan], layer)
        self.made += len(made)
        if base is not None:
            annotations = {**annotations, **_named(base)}
        return assemble(
            layers,
            planned.execution(base.image.config.execution if base else None),
            platform=planned.lock.platform,
            created=self._prepared.created,
            annotations=annotations,
            base=base.image if base else None,
        )

    def _remade(self, planned: Planned, making: Making, plan: LayerPlan) -> Layer:
        self._rebuild(planned, [plan])
        return making.one(plan)

    def _rebuild(self, planned: Planned, plans: Iterable[LayerPlan]) -> None:
        if built := [pin for plan in plans for pin in plan.wheels if pin.sdist]:
            from taskimage.verbs.sdists import rebuild

            with self._workshop.preparing:
                rebuild(self._tools, planned.spec, self._asked(planned.spec), planned.lock, built)

    def _check_overlaps(self, planned: Planned, base: Base | None, made: Iterable[LayerPlan]) -> None:
        if not any(plan.conda or plan.wheels for plan in made):
            return
        from taskimage.verbs.inputs import Inputs
        from taskimage.verbs.overlap import check_overlaps

        lock, asked = planned.lock, self._asked(planned.spec)
        with Inputs(self._tools, asked=asked, python=lock.python.minor, prefix=PREFIX, base=base) as inputs:
            if any(plan.conda for plan in made):
                check_overlaps(self._tools, inputs, lock.conda)
            if any(plan.wheels for plan in made):
                check_overlaps(self._tools, inputs, lock.wheels)

    def _asked(self, spec: ImageSpec) -> Asked:
        from taskimage.adapters.specfiles.asked import Asked

        return Asked.of(spec, self._prepared.order.files.requirements)

    def _commands(self, planned: Planned) -> Commands:
        from taskimage.verbs.commands import Commands

        return Commands.ready(self._tools, planned.commanded, planned.lock.platform)

    def _run(self, planned: Planned, plan: LayerPlan, below: Sequence[Layer], base: Base | None) -> Layer:
        """The layer of commands, on ``below``, whose bytes are had where the store lacks them."""
        for layer in below:
            self._open(layer.descriptor).close()
        blobs = [*(base.blobs() if base else ())]
        blobs += [
            (self._tools.store.blob_path(one.descriptor.digest), one.descriptor.digest) for one in below
        ]
        return self._commands(planned).make(plan, blobs, base.image.config.execution if base else None)

    def _base(self, planned: Planned) -> Base | None:
        if planned.lock.image is None:
            return None
        from taskimage.verbs.base import Base

        base = Base(self._tools, planned.lock.image, planned.lock.platform)
        self._bases[planned.lock.platform] = base
        self._below |= dict.fromkeys((layer.digest for layer in base.image.manifest.layers), base)
        return base

    def _recipe(self, planned: Planned) -> Recipe:
        return Recipe.of(
            planned.spec,
            planned.lock,
            user=planned.conventions.user,
            others=(one.lock for one in self._prepared.images),
            certificates=self._prepared.order.files.certificates,
        )


@dataclass(frozen=True, slots=True)
class _Begun:
    """The image for one platform, while its layers are being made."""

    planned: Planned
    base: Base | None
    known: Mapping[LayerPlan, Layer | None]
    making: Making
    layers: Mapping[LayerPlan, Future[Layer]]


def _remake(make: Callable[[], Layer], plan: LayerPlan, known: Layer) -> None:
    _compare(plan, known, make())


def _named(base: Base) -> dict[str, str]:
    return {
        _BASE_NAME: str(dataclasses.replace(base.reference, digest=None)),
        _BASE_DIGEST: str(base.reference.digest),
    }


def _compare(plan: LayerPlan, known: Layer | None, made: Layer) -> None:
    if known is not None and known.descriptor.digest != made.descriptor.digest:
        raise IntegrityError(
            f"the layer {plan.origin!r} is known as {known.descriptor.digest}, and its inputs give "
            f"{made.descriptor.digest}",
            hint="do not believe what is there: build with --no-cache-from --force",
        )
