"""`TaskImageBuilder`: what flyte asks to build images, and what it asks whether they exist."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from taskimage.flyte.v2.checkers import NobodyKnows, RegistryChecker
from taskimage.flyte.v2.listener import tell
from taskimage.flyte.v2.naming import Name
from taskimage.flyte.v2.shared import shared_tools
from taskimage.model.errors import BadInput, CannotBuild, NotFound, TaskImageError
from taskimage.model.events import Notice
from taskimage.verbs.prepare import Order

__all__ = ["TaskImageBuilder", "image_builder"]

_OLDEST, _UNKNOWN = "2.0", "3"


@cache
def image_builder() -> TaskImageBuilder:
    """The builder of this process: flyte asks for one for each image, and all share what has been read."""
    return TaskImageBuilder()


class TaskImageBuilder:
    """flyte's ImageBuilder, in terms of ours.

    Images are built one after the other, whoever asks from wherever: a build keeps the machine busy by itself, and the
    next one finds the layers that the two have in common.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()

    async def build_image(
        self,
        image: Any,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - flyte's signature
        wait: bool = True,  # noqa: FBT001, FBT002
        force: bool = False,  # noqa: FBT001, FBT002
        **_later: Any,
    ) -> Any:
        """An ImageBuild with the name of ``image``, pinned where it is in a registry.

        Args:
            image: What flyte calls an Image.
            dry_run: Nothing is made or published; what would be is told.
            wait: Of no effect: the image is there when this returns.
            force: Make it anew, whatever exists.

        Raises:
            ImageBuildError: flyte's own; its message is that of the error that it is raised from.
        """
        from flyte import ImageBuild

        del wait
        uri = await asyncio.to_thread(self._answer, image, dry_run=dry_run, force=force)
        return ImageBuild(uri=uri, remote_run=None)

    def get_checkers(self) -> list[type[Any]]:
        """Who is asked whether an image exists; the second one when the first cannot tell."""
        return [RegistryChecker, NobodyKnows]

    def _answer(self, image: Any, *, dry_run: bool, force: bool) -> str:
        from flyte.errors import ImageBuildError

        try:
            _check_version()
            with self._one_at_a_time:
                return self._preview(image) if dry_run else self._build(image, force=force)
        except TaskImageError as error:
            raise ImageBuildError(str(error)) from error

    def _build(self, image: Any, *, force: bool) -> str:
        from taskimage.verbs.build import build_ordered

        order = self._order(image)
        built = build_ordered(shared_tools(), order, force=force, keep=not order.loaded.registry)
        if built.published:
            return built.image.full
        from taskimage.verbs.export import load

        try:
            load(built, settings=shared_tools().settings, listener=tell)
        except NotFound as error:
            raise BadInput(
                f"cannot publish {order.fqn!r}: it has no registry, and {error.message}",
                hint="name one: registry= of the image, image: registry: in flyte's config.yaml, or"
                " TASKIMAGE_REGISTRY; or start Docker, Podman or containerd for images of this machine alone",
            ) from error
        return built.names[0]

    def _preview(self, image: Any) -> str:
        from taskimage.verbs.preview import preview_ordered

        order = lowest = self._order(image)
        while lowest.base is not None:
            lowest = lowest.base
        found = preview_ordered(shared_tools(), lowest, force=False)
        for origin in found.layers:
            tell(Notice(f"would make a layer: {origin}"))
        tell(Notice(f"would fetch {found.fetches} packages, {found.bytes / 1e6:.1f} MB"))
        if lowest is not order:
            tell(Notice("would make further layers on them, which are known once these are there"))
        where = "publish" if order.loaded.registry else "load"
        tell(Notice(f"would {where} {order.fqn}:{order.tag} for {', '.join(map(str, order.platforms))}"))
        return f"{order.fqn}:{order.tag}"

    def _order(self, image: Any) -> Order:
        from taskimage.flyte.v2.orders import ordered
        from taskimage.flyte.v2.translation import translate

        name = Name.of(image, shared_tools().settings)
        platforms = self._platforms(image, local=name.registry is None)
        return ordered(translate(image), name=name, image_id=image.uri, platforms=platforms)

    def _platforms(self, image: Any, *, local: bool) -> Sequence[str]:
        """What the image is wanted for; an engine of this machine can hold and run its own alone."""
        if not local:
            return tuple(image.platform)
        from taskimage.adapters.specfiles import host_machine
        from taskimage.model.oci import Platform

        here = Platform.parse(f"linux/{host_machine()}")
        own = [text for text in image.platform if here.serves(Platform.parse(text))]
        if not own:
            raise CannotBuild(
                f"the image is for {', '.join(image.platform)}, has no registry, and this machine is {here}",
                hint="name a registry: registry= of the image, or TASKIMAGE_REGISTRY",
            )
        return own


def _check_version() -> None:
    from importlib.metadata import version

    from packaging.version import Version

    installed = Version(version("flyte"))
    if not Version(_OLDEST) <= installed < Version(_UNKNOWN):
        raise CannotBuild(
            f"flyte {installed} is not known to this builder, which serves flyte {_OLDEST} and later 2.x",
            hint="install another flyte, a newer taskimage, or choose flyte's own builder: image: builder: local",
        )
