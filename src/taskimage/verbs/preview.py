"""`preview`: what a build would fetch and make. Indexes are read where there is no lock; nothing is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskimage.adapters.settings import Settings
from taskimage.model.events import Listener, ignore
from taskimage.model.image import Image
from taskimage.model.lock import DebPin, WheelPin
from taskimage.model.oci import Platform
from taskimage.verbs.build import load_spec, prepare
from taskimage.verbs.make import known_layer
from taskimage.verbs.tools import Tools

__all__ = ["Preview", "preview"]


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
    platform: Platform | None = None,
    registry: str | None = None,
    tag: str | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Preview:
    """What `build` would do with the same arguments. Raises as it does for what cannot be built."""
    settings = settings or Settings.load()
    loaded = load_spec(path, root=root, platform=platform, registry=registry, settings=settings)
    tools = Tools(settings, listener, offline, loaded.spec.options.expired_indexes)
    prepared = prepare(tools, loaded, locked=locked or settings.locked, force=force, tag=tag)
    missing = [plan for plan in prepared.plans if force or known_layer(tools, plan) is None]
    pins: list[DebPin | WheelPin] = [pin for plan in missing for pin in plan.debs + plan.wheels]
    # By digest, since some layers are made from the same packages.
    wanted = {pin.digest: pin.size for pin in pins}
    sizes = [size for digest, size in wanted.items() if not tools.store.input_path(digest).exists()]
    return Preview(
        image=Image(loaded.spec.name, prepared.fqn, tag=prepared.tags[0]),
        layers=tuple(plan.origin for plan in missing),
        known_layers=len(prepared.plans) - len(missing),
        fetches=len(sizes),
        bytes=sum(sizes),
    )
