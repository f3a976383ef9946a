"""The layers of one image, being made: here or on a cluster, each sent to where the image goes as soon as it is there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from taskimage.adapters.crew import Crew
from taskimage.adapters.images.store import store_source
from taskimage.model.errors import TaskImageError
from taskimage.transform.assemble import Layer
from taskimage.transform.plan import LayerPlan
from taskimage.transform.source import SourceTree, source_entries
from taskimage.verbs.layers import placed, write
from taskimage.verbs.recipe import Recipe
from taskimage.verbs.tools import Tools
from taskimage.verbs.workshop import Workshop

if TYPE_CHECKING:
    from taskimage.adapters.specfiles.asked import Asked
    from taskimage.verbs.destination import Destination
    from taskimage.verbs.job import Done, PackedJob
    from taskimage.verbs.make import Maker

__all__ = ["Making"]


class Making:
    """Makes what is missing of one image.

    Args:
        tools: The adapters of this run.
        workshop: Where layers are made, each once for all images.
        recipe: What they depend on beside their plans.
        asked: Says where packages are.
        source: What is copied into the image.
        destination: What gets each layer; None for the store alone.
        anew: Compile again what is kept compiled.
    """

    def __init__(
        self,
        *,
        tools: Tools,
        workshop: Workshop,
        recipe: Recipe,
        asked: Callable[[], Asked],
        source: SourceTree,
        destination: Destination | None,
        anew: bool,
    ) -> None:
        self._tools = tools
        self._workshop = workshop
        self._recipe = recipe
        self._asked = asked
        self._source = source
        self._destination = destination
        self._anew = anew
        self._refused: TaskImageError | None = None

    def check(self) -> None:
        """Raises what kept a layer from being sent: that is this image's affair, and others may want the layer too."""
        if self._refused is not None:
            raise self._refused

    @contextlib.contextmanager
    def begun(self, plans: Sequence[LayerPlan]) -> Iterator[Mapping[LayerPlan, Future[Layer]]]:
        """The layers of ``plans`` while they are made, in this order; what several need stays open for the block."""
        # What is copied needs no maker, and is what changes most.
        needed = any(plan.kind != "files" for plan in plans)
        with self._maker() if needed else contextlib.nullcontext() as maker:
            yield self._workshop.layers(plans, partial(self._begin, maker))

    def one(self, plan: LayerPlan) -> Layer:
        """The layer of ``plan``, made here, once more if need be."""
        if plan.kind == "files":
            return write(self._tools, plan, placed([source_entries(self._source)], self._recipe.lock.image))
        with self._maker() as maker:
            return maker.make(plan, self._asked())

    def _maker(self) -> contextlib.AbstractContextManager[Maker]:
        return self._workshop.maker(self._tools, self._recipe, self._asked(), anew=self._anew)

    def _is_sent(self, plan: LayerPlan) -> bool:
        if self._workshop.cluster is None:
            return False
        from taskimage.verbs.job import is_portable

        return is_portable(plan)

    def _begin(self, maker: Maker | None, plans: Sequence[LayerPlan]) -> Sequence[Future[Layer]]:
        here = [plan for plan in plans if not self._is_sent(plan)]
        jobs = {plan: self._job(plan) for plan in plans if plan not in here}
        self._tools.making.expect({plan.key: plan.size for plan in plans})
        if maker is not None:
            maker.expect(here)
        if self._destination:
            self._tools.sending.expect({plan.key: plan.size for plan in here})
        return [
            self._send(plan, jobs[plan]) if plan in jobs else self._workshop.here(partial(self._made, plan))
            for plan in plans
        ]

    # -- here ------------------------------------------------------------------------------------------

    def _made(self, plan: LayerPlan) -> Layer:
        try:
            layer = self.one(plan)
            self._tools.making.came({plan.key: layer.descriptor.size})
            # What is copied is made when all else is known: where it is small, it goes with the configuration.
            later = (
                plan.kind == "files" and self._destination and self._destination.is_later(layer.descriptor)
            )
            if self._destination and not later and self._refused is None:
                self._put(plan, layer, self._destination)
            return layer
        finally:
            self._tools.fetching.failed(pin.digest for pin in plan.pins)
            self._tools.making.failed([plan.key])
            self._tools.sending.failed([plan.key])

    def _put(self, plan: LayerPlan, layer: Layer, destination: Destination) -> None:
        sent: list[int] = []
        blob = store_source(self._tools.store).blob(layer.descriptor)
        try:
            # By a crew's thread, which is left behind when it hangs.
            Crew.run(lambda blob: destination.put(blob, sent.append), [blob])
        except TaskImageError as error:
            self._refused = error
        if sent:
            self._tools.sending.came({plan.key: sum(sent)})

    # -- elsewhere -------------------------------------------------------------------------------------

    def _job(self, plan: LayerPlan) -> PackedJob:
        from taskimage.verbs.job import Job

        assert self._destination is not None  # noqa: S101 - what is built on a cluster is published
        return Job(
            recipe=self._recipe, plan=plan, asked=self._asked(), fqn=self._destination.fqn, anew=self._anew,
            expired_indexes=self._tools.expired_indexes,
        ).packed()  # fmt: skip

    def _send(self, plan: LayerPlan, job: PackedJob) -> Future[Layer]:
        from taskimage.verbs.job import done

        cluster, destination = self._workshop.cluster, self._destination
        assert cluster is not None  # noqa: S101 - who sends has a cluster
        assert destination is not None  # noqa: S101 - as above
        return self._workshop.after(cluster.submit(done, *job), partial(self._came, plan, destination))

    def _came(self, plan: LayerPlan, destination: Destination, ended: Future[Done]) -> Layer:
        """What a worker has made is in the registry, and known here like one's own."""
        try:
            told = ended.result()
            destination.note([told.layer.descriptor.digest])
            for warning in told.warnings:
                self._tools.listener(warning)
            for key, record in told.names.items():
                self._tools.store.keep_record("files", key, record)
            self._tools.making.came({plan.key: told.layer.descriptor.size})
            return told.layer
        finally:
            self._tools.making.failed([plan.key])
