"""`build`: a spec, and its lock, become an image, in its registry or in the store.

What the registry has is neither fetched nor made nor sent; what the store knows by its key is not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters import layout
from taskimage.adapters.settings import Settings
from taskimage.adapters.store import Store
from taskimage.adapters.witness import lost_sight
from taskimage.model.errors import BadInput
from taskimage.model.events import Listener, ignore
from taskimage.model.image import Image
from taskimage.model.oci import RawManifest
from taskimage.model.spec import ImageSpec
from taskimage.verbs.prepare import Order, Prepared, check_base, load_spec, order, prepare
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.verbs.destination import Destination

__all__ = ["Built", "build", "build_ordered"]


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


def build(
    path: Path | ImageSpec,
    *,
    root: Path | None = None,
    locked: bool = False,
    offline: bool = False,
    force: bool = False,
    platform: str | None = None,
    registry: str | None = None,
    tag: str | None = None,
    push: bool | None = None,
    keep: bool = False,
    cached: bool = True,
    verify: bool = False,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Built:
    """The image of a spec: in its registry when it has one, else in the store.

    Args:
        path: The YAML file, or a spec.
        root: Where the spec's relative paths start; by default beside the file.
        locked: Refuse to build without a lock.
        offline: Use only what the store has, and publish nothing.
        force: Make the image anew, whatever exists, and resolve anew what has no lock.
        platform: Instead of the spec's; several with commas between.
        registry: Instead of the spec's.
        tag: Instead of the tag that content or spec give.
        push: Publish the image; by default, when its spec or the settings name a registry.
        keep: Have all of the image in the store too, when it is published.
        cached: Believe what the registry's ``buildcache`` says of its layers.
        verify: Make every layer anew, and compare it with what is known of it.
        settings: By default, those of this process.
        listener: Hears of progress and warnings.

    Raises:
        StaleLock: The lock beside the file was made for something else.
        CannotBuild: The spec asks for what cannot be made.
        IntegrityError: With ``verify``, a layer is not what its inputs give.
        NotAllowed: The registry wants credentials, or others.
        Unreachable: The registry, or a source of packages, gave no answer that can be trusted.
    """
    settings = settings or Settings.load()
    loaded = load_spec(path, root=root, platform=platform, registry=registry, settings=settings)
    tools = Tools.of(loaded, settings=settings, listener=listener, offline=offline)
    if tools.registry_config:
        lost_sight()  # of who lets us in: a receipt is checked with the machine's own credentials
    wanted = order(tools, loaded, locked=locked or settings.locked, tag=tag)
    return build_ordered(tools, wanted, force=force, push=push, keep=keep, cached=cached, verify=verify)


def build_ordered(
    tools: Tools,
    wanted: Order,
    *,
    force: bool = False,
    push: bool | None = None,
    keep: bool = False,
    cached: bool = True,
    verify: bool = False,
) -> Built:
    """The image that is ``wanted``; where its base image is a spec, that is built first when it is needed."""
    destination = _destination(tools, wanted, push=push, cached=cached)
    force = force or wanted.loaded.spec.forced
    asked = None if force or verify else destination

    def based(order: Order) -> Order:
        if order.base is None:
            return order
        base = build_ordered(
            tools, order.base, force=force, push=push, keep=True, cached=cached, verify=verify
        )
        return replace(order, made=f"{order.base.fqn}@{base.root.digest}")

    # The tag that flytekit gives is known before anything is resolved, and means whatever it names there.
    if asked and wanted.is_named_by_flytekit and (found := asked.existing(wanted.tag, wanted.platforms)):
        return _there(asked, wanted, (wanted.tag,), found.raw, keep=keep)
    if wanted.lock is None:
        wanted = based(wanted)
    prepared = prepare(tools, wanted, force=force)
    if asked and not wanted.is_named_by_flytekit:
        tags = prepared.tags
        if found := asked.existing(tags[0], wanted.platforms, identity=prepared.identity):
            return _there(asked, wanted, tags, found.raw, keep=keep)
    if wanted.lock is not None:
        check_base(based(wanted))
    return _made(tools, prepared, destination, anew=force or verify, verify=verify, keep=keep)


def _there(
    destination: Destination, wanted: Order, tags: tuple[str, ...], root: RawManifest, *, keep: bool
) -> Built:
    """The image ``root`` that the first of ``tags`` names there, under all of them."""
    destination.name(root, tags[1:])
    if keep:
        destination.fetch(root)
    return _built(wanted, tags, root, fresh=True, published=True)


def _made(
    tools: Tools, prepared: Prepared, destination: Destination | None, *, anew: bool, verify: bool, keep: bool
) -> Built:
    """The image, of layers that are known or made, in its registry or in the store."""
    from taskimage.verbs.content import Content

    wanted = prepared.order
    content = Content(
        tools, prepared, remote=destination.layers if destination else {}, anew=anew, verify=verify
    )
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


def _destination(tools: Tools, wanted: Order, *, push: bool | None, cached: bool) -> Destination | None:
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
        return None
    from taskimage.verbs.destination import Destination

    return Destination(tools, wanted.fqn, cached=cached)


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
