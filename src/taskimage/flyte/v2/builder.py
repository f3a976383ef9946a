"""`TaskImageBuilder`: what flyte asks to build images, and what it asks whether they exist."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from taskimage.flyte.v2.checkers import NobodyKnows, RegistryChecker
from taskimage.flyte.v2.naming import Name
from taskimage.flyte.v2.recipe import Recipe
from taskimage.flyte.v2.shared import default_registry, shared_tools, tell
from taskimage.model.errors import BadInput, CannotBuild, NotFound, TaskImageError
from taskimage.model.events import Notice, Warned
from taskimage.verbs.prepare import Order

__all__ = ["TaskImageBuilder", "check_version", "image_builder"]

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
        from importlib.metadata import version

        from flyte.errors import ImageBuildError

        try:
            check_version(version("flyte"))
            with self._one_at_a_time:
                tell.here()
                return self._preview(image) if dry_run else self._build(image, force=force)
        except TaskImageError as error:
            raise ImageBuildError(str(error)) from error

    def _build(self, image: Any, *, force: bool) -> str:
        from taskimage.verbs.build import build_ordered

        order = self._order(image)
        if order.loaded.registry is None:
            _check_engine(order.fqn)
        built = build_ordered(shared_tools(), order, force=force, keep=order.loaded.registry is None)
        if built.published:
            return built.image.full
        from taskimage.verbs.export import load

        load(built, settings=shared_tools().settings, listener=tell)
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

        name = Name.of(image, registry=default_registry())
        recipe = translate(image)
        platforms = _platforms(image, recipe, local=name.registry is None)
        return ordered(recipe, name=name, platforms=platforms)


def _check_engine(name: str) -> None:
    """Raises BadInput where nobody could take an image that goes to no registry: before it is built."""
    from taskimage.adapters.images.engine import find_engine

    try:
        find_engine(os.environ)
    except NotFound as error:
        raise BadInput(
            f"cannot publish {name!r}: it has no registry, and {error.message}",
            hint="name one: registry= of the image, image: registry: in flyte's config.yaml, or TASKIMAGE_REGISTRY;"
            " or start Docker, Podman or containerd for images of this machine alone",
        ) from error


def check_version(installed: str) -> None:
    """Raises CannotBuild for a flyte whose images this builder does not know."""
    from packaging.version import Version

    if not Version(_OLDEST) <= Version(installed) < Version(_UNKNOWN):
        raise CannotBuild(
            f"flyte {installed} is not known to this builder, which serves flyte {_OLDEST} and later 2.x",
            hint="install another flyte, a newer taskimage, or choose flyte's own builder: image: builder: local",
        )


def _platforms(image: Any, recipe: Recipe, *, local: bool) -> Sequence[str]:
    """What the image is wanted for; an engine of this machine can hold and run its own alone."""
    from taskimage.adapters.specfiles import host_linux
    from taskimage.model.oci import Platform

    here = host_linux()
    own = [text for text in image.platform if here.serves(Platform.parse(text))]
    foreign = ", ".join(text for text in image.platform if text not in own)
    if local and not own:
        raise CannotBuild(
            f"the image is for {foreign}, has no registry, and this machine is {here}",
            hint="name a registry: registry= of the image, or TASKIMAGE_REGISTRY",
        )
    if foreign and not local and any(stage.commands for stage in recipe.stages):
        tell(
            Warned(
                f"the image has commands, and commands for {foreign} run on no other machine",
                hint=f'name this machine\'s platform alone: platform=("{here}",)',
            )
        )
    return own if local else tuple(image.platform)
