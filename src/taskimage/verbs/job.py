"""One layer made elsewhere: what is sent to a worker, and what comes back.

A worker shares nothing with this machine but the registry: it has a store, mirrors and credentials of its own, and no
credential travels. What it is sent is a few pins; what it sends back is the descriptor of a layer that the registry has.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.events import Event, Warned
from taskimage.model.lock import CondaPin, WheelPin
from taskimage.model.value import dataclass
from taskimage.transform.assemble import Layer
from taskimage.transform.layer import FORMAT
from taskimage.transform.plan import LayerPlan
from taskimage.verbs.recipe import Recipe

__all__ = ["Done", "Job", "PackedJob", "done", "is_portable"]

PackedJob: TypeAlias = tuple[tuple[str, int], bytes]
"""A job as it travels: the edition of whoever asks, and bytes that the same edition understands."""

# They run scripts, or read files of this machine.
_HERE: Final = frozenset({"commands", "effects", "files"})
_LOGIN: Final = re.compile(r"://[^/\s@]+@")


def is_portable(plan: LayerPlan) -> bool:
    """Whether any machine makes the layer of ``plan`` from its packages alone."""
    return plan.kind not in _HERE and not any(pin.sdist for pin in plan.wheels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Make the layer of ``plan``, and have it in the repository ``fqn``.

    ``anew``: whether the worker has made it before or not. ``expired_indexes``: whether old indexes of Debian serve.
    """

    recipe: Recipe
    plan: LayerPlan
    asked: Asked
    fqn: str
    anew: bool
    expired_indexes: bool

    def packed(self) -> PackedJob:
        """This, to be sent. Raises BadInput for what nobody else may see."""
        asked = self.asked
        texts: Iterable[str] = (
            *asked.packages,
            *(file.data.decode(errors="replace") for file in asked.requirements),
            *(asked.index or "", *asked.extra_indexes, *asked.channels),
            *(asked.options.index or "", *asked.options.extra_indexes),
        )
        if any(_LOGIN.search(text) for text in texts):
            raise BadInput(
                "an address of an index in the spec has a login in it, which is not sent to a cluster",
                hint="leave it out of the address, and give each worker a netrc or UV_INDEX_NAME_USERNAME and _PASSWORD",
            )
        return _edition(), pickle.dumps(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a job: the layer, which is in the registry, what there is to say, and the files of its packages."""

    layer: Layer
    warnings: Sequence[Warned]
    names: Mapping[Digest, Mapping[str, object]]


def done(edition: tuple[str, int], packed: bytes) -> Done:
    """What a worker does, with the settings and the store of its own process.

    Raises BadInput where it is of another version than who asks, and as making and sending a layer does.
    """
    if edition != (here := _edition()):
        raise BadInput(
            f"a worker has taskimage {here[0]} with layers of format {here[1]}, and this is "
            f"{edition[0]} with format {edition[1]}",
            hint="install the same version on all machines",
        )
    job = pickle.loads(packed)  # noqa: S301 - Dask's own messages are pickles as well
    return _made(job)


def _made(job: Job) -> Done:
    from taskimage.adapters.images.store import store_source
    from taskimage.adapters.settings import Settings
    from taskimage.verbs.destination import Destination
    from taskimage.verbs.layers import known_layer
    from taskimage.verbs.make import Maker
    from taskimage.verbs.overlap import names_key
    from taskimage.verbs.tools import Tools

    warnings: list[Warned] = []

    def listener(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event)

    tools = Tools(Settings.load(), listener, expired_indexes=job.expired_indexes)
    plan, store = job.plan, tools.store
    layer = None if job.anew else known_layer(tools, plan)
    if layer is None:
        with Maker(tools, job.recipe, job.asked, anew=job.anew) as maker:
            layer = maker.make(plan)
    Destination(tools, job.fqn).put(store_source(store).blob(layer.descriptor), lambda _: None)
    read: tuple[WheelPin | CondaPin, ...] = (*plan.wheels, *plan.conda)
    keys = [names_key(pin, job.recipe.lock.python.minor) for pin in read]
    names = {key: record for key in keys if (record := store.record("files", key))}
    return Done(layer=layer, warnings=warnings, names=names)


def _edition() -> tuple[str, int]:
    from importlib.metadata import version

    return version("taskimage"), FORMAT
