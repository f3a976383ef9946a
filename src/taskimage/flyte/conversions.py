"""`to_flytekit` and `from_flytekit`: images, their configuration, and specs, as flytekit's classes and as ours."""

from __future__ import annotations

from typing import Any

from taskimage.model.config import ImageConfig
from taskimage.model.errors import NotFound, WrongType
from taskimage.model.image import Image
from taskimage.model.shown import shown
from taskimage.model.spec import ImageSpec

__all__ = ["from_flytekit", "to_flytekit"]


def to_flytekit(value: Image | ImageConfig | ImageSpec) -> Any:
    """The same as flytekit's class of that name, for ``SerializationSettings`` and ``@task(container_image=…)``.

    A spec is built by our builder, unless it names another one.

    Raises:
        NotFound: flytekit is not installed.
        BadInput: The spec asks for what this flytekit has no word for.
        WrongType: (a TypeError) when it is none of the three.
    """
    theirs = _flytekit()
    if isinstance(value, ImageSpec):
        from taskimage.flyte.specs import spec_to_flytekit

        return spec_to_flytekit(value)
    if isinstance(value, Image):
        return theirs.Image(value.name, value.fqn, value.tag, value.digest)
    if isinstance(value, ImageConfig):
        default = None if value.default_image is None else to_flytekit(value.default_image)
        images = None if value.images is None else [to_flytekit(image) for image in value.images]
        return theirs.ImageConfig(default_image=default, images=images)
    raise WrongType(f"cannot make flytekit's of {shown(value)}; wanted an Image, ImageConfig or ImageSpec")


def from_flytekit(value: Any) -> Image | ImageConfig | ImageSpec:
    """The same as our class of that name: of flytekit's ``Image``, ``ImageConfig`` or ``ImageSpec``.

    Raises:
        NotFound: flytekit is not installed.
        InvalidSpec: (a ValueError) with every problem that a spec has.
        WrongType: (a TypeError) when it is none of the three.
    """
    theirs = _flytekit()
    if isinstance(value, theirs.ImageSpec):
        from taskimage.flyte.specs import spec_from_flytekit

        return spec_from_flytekit(value)
    if isinstance(value, theirs.Image):
        return Image(value.name, value.fqn, value.tag, value.digest)
    if isinstance(value, theirs.ImageConfig):
        default = None if value.default_image is None else _image(value.default_image)
        images = None if value.images is None else [_image(image) for image in value.images]
        return ImageConfig(default_image=default, images=images)
    raise WrongType(f"cannot read {shown(value)}; wanted flytekit's Image, ImageConfig or ImageSpec")


def _image(theirs: Any) -> Image:
    return Image(theirs.name, theirs.fqn, theirs.tag, theirs.digest)


def _flytekit() -> Any:
    """The module that has flytekit's three classes."""
    try:
        import flytekit.configuration
    except ModuleNotFoundError as error:
        raise NotFound("flytekit is not installed here", hint="install it: pip install flytekit") from error
    return flytekit.configuration
