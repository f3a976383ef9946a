"""Layers of the store: what it knows by the keys of their inputs, and what is written to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from taskimage.adapters.crew import Crew
from taskimage.adapters.processors import COMPUTING
from taskimage.model.digest import Digest
from taskimage.model.oci import LAYER_GZIP, Descriptor
from taskimage.transform.assemble import LAYER_KEY, Layer
from taskimage.transform.plan import LayerPlan
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.model.lock import BasePin
    from taskimage.transform.entry import Entry

__all__ = ["known_layer", "placed", "write"]


def known_layer(tools: Tools, plan: LayerPlan) -> Layer | None:
    """The layer of ``plan``, when the store has it."""
    record = tools.store.record("layers", plan.key)
    if record is None:
        return None
    descriptor = Descriptor.from_dict(record["descriptor"])
    if not tools.store.blob_path(descriptor.digest).exists():
        return None
    return Layer(descriptor=descriptor, diff_id=Digest.parse(record["diff_id"]), origin=plan.origin)


def write(tools: Tools, plan: LayerPlan, fragments: Iterable[Sequence[Entry]]) -> Layer:
    """The layer of ``plan``, made of ``fragments``, which the store knows from now on."""
    from taskimage.transform.layer import write_layer

    store, crew = tools.store, Crew.current()
    gathered = list(fragments)  # which may have to wait for something
    with store.pending_blob() as pending, COMPUTING.turn(plan.size):

        def put(data: bytes) -> None:
            crew.check()
            pending.write(data)

        diff_id = write_layer(gathered, put)
    descriptor = Descriptor(
        media_type=LAYER_GZIP,
        digest=pending.digest,
        size=pending.size,
        annotations={LAYER_KEY: str(plan.key)},
    )
    store.keep_record("layers", plan.key, {"descriptor": descriptor.to_dict(), "diff_id": str(diff_id)})
    return Layer(descriptor=descriptor, diff_id=diff_id, origin=plan.origin)


def placed(fragments: Iterable[Sequence[Entry]], image: BasePin | None) -> Iterable[Sequence[Entry]]:
    """``fragments`` where the links of the base ``image`` lead; what is no folder itself takes the place of a link."""
    if image is None or not image.links:
        return fragments
    from taskimage.transform.deb.layout import Layout

    layout = Layout(dict(link.split(" ", 1) for link in image.links))

    def place(entry: Entry) -> Entry:
        lead = layout.folder if entry.kind == "dir" else layout.place
        return replace(entry, path=lead(entry.path))

    return (list(map(place, fragment)) for fragment in fragments)
