"""`preview`: what a build would fetch, make and publish. Indexes are read where there is no lock; nothing is made."""

from __future__ import annotations

from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Listener, ignore
from taskimage.model.image import Image
from taskimage.model.value import dataclass
from taskimage.verbs.layers import known_layer
from taskimage.verbs.prepare import Order, load_spec, order, prepare
from taskimage.verbs.tools import Tools

__all__ = ["Preview", "preview", "preview_ordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a build would do: the layers that it would make, by what they hold, and what it would fetch.

    ``image`` has a tag and no digest, which only the build can tell.
    """

    image: Image
    layers: tuple[str, ...]
    known_layers: int
    fetches: int
    bytes: int


def preview(
    path: Path,
    *,
    root: Path | None = None,
    locked: bool = False,
    offline: bool = False,
    force: bool = False,
    platform: str | None = None,
    registry: str | None = None,
    tag: str | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Preview:
    """What `build` would do with the same arguments, whatever a registry has. Raises as it does for what cannot be built."""
    settings = settings or Settings.load()
    loaded = load_spec(path, root=root, platform=platform, registry=registry, settings=settings)
    tools = Tools.of(loaded, settings=settings, listener=listener, offline=offline)
    wanted = order(tools, loaded, locked=locked or settings.locked, tag=tag)
    if wanted.base is not None and wanted.lock is None:
        raise CannotBuild(
            "what is made on a base image that is a spec is not known before that image is there",
            hint=f"lock it: `taskimage lock {path}`",
        )
    return preview_ordered(tools, wanted, force=force)


def preview_ordered(tools: Tools, wanted: Order, *, force: bool = False) -> Preview:
    """What building ``wanted`` would do, whatever a registry has; its base image, where that is a spec, has a lock."""
    prepared = prepare(tools, wanted, force=force)
    plans = [plan for image in prepared.images for plan in image.plans]
    missing = [plan for plan in plans if force or known_layer(tools, plan) is None]
    pins = [pin for plan in missing for pin in plan.pins]
    # By digest, since some layers are made from the same packages.
    found = {pin.digest: pin.size for pin in pins}
    sizes = [size for digest, size in found.items() if not tools.store.input_path(digest).exists()]
    return Preview(
        image=Image(wanted.loaded.spec.name, wanted.fqn, tag=prepared.tags[0]),
        layers=tuple(plan.origin for plan in missing),
        known_layers=len(plans) - len(missing),
        fetches=len(sizes),
        bytes=sum(sizes),
    )
