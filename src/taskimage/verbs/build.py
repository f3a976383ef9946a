"""`build_ordered`: an order, of a spec and its lock, becomes an image, in its registry or in the store.

What the registry has is neither fetched nor made nor sent; what the store knows by its key is not made again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from taskimage.adapters import layout
from taskimage.adapters.crew import Crew
from taskimage.adapters.store import Store
from taskimage.model.errors import BadInput
from taskimage.model.image import Image
from taskimage.model.oci import RawManifest
from taskimage.model.value import dataclass
from taskimage.verbs.prepare import Order, Prepared, check_base, prepare
from taskimage.verbs.tools import Tools
from taskimage.verbs.workshop import Workshop

if TYPE_CHECKING:
    from taskimage.verbs.content import Content
    from taskimage.verbs.destination import Destination

__all__ = ["Built", "build_ordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that exists.

    Attributes:
        image: What tasks are registered with.
        reference: ``name:tag@digest``.
        names: ``name:tag`` for each of its tags.
        root: Its manifest, or the index of its platforms.
        made: How many layers had to be made.
        fresh: Whether there was nothing to do at all.
        published: Whether it is in its registry; otherwise, or when that was asked for, all of it is in the store.
    """

    image: Image
    reference: str
    names: tuple[str, ...]
    root: RawManifest
    made: int
    fresh: bool
    published: bool


def build_ordered(
    tools: Tools,
    wanted: Order,
    *,
    force: bool = False,
    push: bool | None = None,
    keep: bool = False,
    cached: bool = True,
    verify: bool = False,
    workshop: Workshop | None = None,
) -> Built:
    """The image that is ``wanted``; where its base image is a spec, that is built first when it is needed.

    Images that are built at one time share a ``workshop``.
    """
    force = force or wanted.loaded.spec.forced
    build = partial(build_ordered, tools, force=force, push=push, cached=cached, verify=verify)
    if workshop is None:
        made: list[Built] = []
        with Workshop() as own:
            # A crew stops all that is done for it.
            Crew.run(lambda order: made.append(build(order, keep=keep, workshop=own)), [wanted])
        return made[0]
    destination = _destination(tools, wanted, workshop, push=push, cached=cached)
    asked = None if force or verify else destination

    def based(order: Order) -> Order:
        if order.base is None:
            return order
        base = build(order.base, keep=True, workshop=workshop)
        return replace(order, made=f"{order.base.fqn}@{base.root.digest}")

    # The tag that flytekit gives is known before anything is resolved, and means whatever it names there.
    if asked and wanted.is_named_by_flytekit and (found := asked.existing(wanted.tag, wanted.platforms)):
        return _there(asked, wanted, (wanted.tag,), found.raw, keep=keep)
    if wanted.lock is None:
        wanted = based(wanted)
    with workshop.preparing:
        prepared = prepare(tools, wanted, force=force, meanwhile=partial(_make_ready, tools))
    if asked and not wanted.is_named_by_flytekit:
        tags = prepared.tags
        if found := asked.existing(tags[0], wanted.platforms, identity=prepared.identity):
            return _there(asked, wanted, tags, found.raw, keep=keep)
    if wanted.lock is not None:
        check_base(based(wanted))
    from taskimage.verbs.content import Content

    content = Content(
        tools, prepared, workshop=workshop, destination=destination, anew=force or verify, verify=verify
    )
    return _made(tools, prepared, content, destination, keep=keep)


def _there(
    destination: Destination, wanted: Order, tags: tuple[str, ...], root: RawManifest, *, keep: bool
) -> Built:
    """The image ``root`` that the first of ``tags`` names there, under all of them."""
    destination.name(root, tags[1:])
    if keep:
        destination.fetch(root)
    return _built(wanted, tags, root, fresh=True, published=True)


def _made(
    tools: Tools, prepared: Prepared, content: Content, destination: Destination | None, *, keep: bool
) -> Built:
    """The image, of layers that are known or made, in its registry or in the store."""
    wanted = prepared.order
    image = content.assembled()
    if destination:
        destination.publish(image, tags=prepared.tags, content=content)
        if keep:
            destination.fetch(image.root)
        return _built(wanted, prepared.tags, image.root, made=content.made, published=True)
    content.complete()
    new = [name for name in prepared.names if not _means(tools.store, name, image.root)]
    for name in new:
        layout.tag(tools.store, name, image.root.descriptor)
    return _built(wanted, prepared.tags, image.root, made=content.made, fresh=not (content.made or new))


def _means(store: Store, name: str, root: RawManifest) -> bool:
    known = layout.find(store, name)
    return known is not None and known.digest == root.digest


def _destination(
    tools: Tools, wanted: Order, workshop: Workshop, *, push: bool | None, cached: bool
) -> Destination | None:
    """Where the image is published to; None for nowhere."""
    registry = wanted.loaded.registry
    if push and not registry:
        raise BadInput(
            f"cannot push {wanted.fqn!r}: it has no registry",
            hint="name one: `registry:` in the spec, --registry, or TASKIMAGE_REGISTRY",
        )
    if push and tools.offline:
        raise BadInput("cannot push offline", hint="leave out --push, or --offline")
    if push is False or tools.offline or not registry:
        if workshop.cluster is not None:
            raise BadInput(
                f"cannot build {wanted.fqn!r} on a cluster: its workers share nothing but a registry, and it goes to none",
                hint="name one: `registry:` in the spec, --registry, or TASKIMAGE_REGISTRY; or build it here",
            )
        return None
    from taskimage.verbs.destination import Destination

    return Destination(tools, wanted.fqn, cached=cached, whereabouts=workshop.whereabouts)


def _built(
    wanted: Order, tags: tuple[str, ...], root: RawManifest, *, made: int = 0, fresh: bool = False,
    published: bool = False,
) -> Built:  # fmt: skip
    names = tuple(f"{wanted.fqn}:{tag}" for tag in tags)
    return Built(
        image=Image(name=wanted.loaded.spec.name, fqn=wanted.fqn, digest=str(root.digest)),
        reference=f"{names[0]}@{root.digest}",
        names=names,
        root=root,
        made=made,
        fresh=fresh,
        published=published,
    )


def _make_ready(tools: Tools) -> None:
    """Load what fetches wheels and makes layers of them."""
    import installer  # noqa: F401 - whoever reads wheels imports it

    import taskimage.adapters.bytecode
    import taskimage.adapters.pypi.fetching
    import taskimage.transform.wheel
    import taskimage.verbs.content
    import taskimage.verbs.make  # noqa: F401 - as above

    tools.http.make_ready()
