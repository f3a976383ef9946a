"""`ImageConfig`: the named images that tasks are registered with, as flytekit configures them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from taskimage.model.codec import JsonValue
from taskimage.model.errors import InvalidValue, WrongType
from taskimage.model.image import Image
from taskimage.model.shown import shown
from taskimage.model.value import dataclass

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ImageConfig"]

_DEFAULT = "default"


@dataclass(frozen=True)
class ImageConfig(JsonValue):
    """The image that tasks get when they name none, and those that they can name.

    Attributes:
        default_image: The image of tasks that name none.
        images: All images that have a name, the default one among them.
    """

    default_image: Image | None = None
    images: list[Image] | None = None

    def find_image(self, name: str) -> Image | None:
        """The image called ``name``, the default one first; None when there is none."""
        return next((image for image in self._all() if image.name == name), None)

    def names(self) -> tuple[str, ...]:
        """What the images are called, each once."""
        return tuple(dict.fromkeys(image.name for image in self._all()))

    def _all(self) -> tuple[Image, ...]:
        default = (self.default_image,) if self.default_image else ()
        return (*default, *(self.images or ()))

    @staticmethod
    def validate_image(_: Any, param: Any, values: Iterable[str]) -> ImageConfig:
        """The images that a command line names, as a click callback for ``--image``.

        Args:
            _: click's context, not used.
            param: click's parameter, named in errors.
            values: Each ``name=identifier``, or ``identifier`` for the default image; files as `look_up_image_info` has it.

        Raises:
            InvalidValue: (a ValueError) for two default images.
            TaskImageError: As `Image.look_up_image_info` does.
        """
        if not _is_list(values):
            raise WrongType(f"cannot read {shown(values)} for {param}; wanted a list of images")
        default: Image | None = None
        others = []
        for value in values:
            image = _named(value)
            if image.name != _DEFAULT:
                others.append(image)
            elif default is None:
                default = image
            else:
                raise InvalidValue(
                    f"two default images for {param}: {shown(default.full)} and {shown(image.full)}; wanted one",
                    hint="give the others a name: NAME=IDENTIFIER",
                )
        if default is None:
            from taskimage.verbs.flyteconfig import default_image

            default = _default(default_image())
        return ImageConfig.create_from(default_image=default, other_images=others)

    @classmethod
    def create_from(cls, default_image: Image | None, other_images: list[Image] | None = None) -> ImageConfig:
        """The default image and the others together; ``images`` has all of them.

        Raises:
            InvalidValue: (a ValueError) when the default image is no Image.
            WrongType: (a TypeError) when the others are no list.
        """
        if default_image and not isinstance(default_image, Image):
            raise InvalidValue(f"the default image is a {type(default_image)}; wanted an Image or None")
        if other_images is not None and not _is_list(other_images):
            raise WrongType(f"the other images are {shown(other_images)}; wanted a list of Images")
        default = [default_image] if default_image else []
        return cls(default_image=default_image, images=[*default, *(other_images or ())])

    @classmethod
    def auto(cls, config_file: Any = None, img_name: str | None = None) -> ImageConfig:
        """The images of flytekit's configuration, and ``img_name`` as the default one.

        Args:
            config_file: The path of a YAML or ini file of flytekit's, or its ConfigFile; when it is None, the file
                is looked for where flytekit looks.
            img_name: Identifier or YAML file of the default image; there is none when it is None.

        Raises:
            NotFound: When a YAML ``config_file`` is not there.
            TaskImageError: As `Image.look_up_image_info` does.
        """
        from taskimage.verbs.flyteconfig import configured_images

        default = _default(img_name)
        return cls.create_from(default, _others(configured_images(config_file)))

    @classmethod
    def from_images(cls, default_image: str | None, m: Mapping[str, str] | None = None) -> ImageConfig:
        """The images that identifiers name: the default one, and others by their names, which may have no version.

        Raises:
            WrongType: (a TypeError) when ``m`` is no mapping.
            TaskImageError: As `Image.look_up_image_info` does.
        """
        if m is not None and not isinstance(m, Mapping):
            raise WrongType(f"the images are {shown(m)}; wanted identifiers by their names")
        return cls.create_from(_default(default_image), _others(m or {}))

    @classmethod
    def auto_default_image(cls) -> ImageConfig:
        """As `auto`, with flytekit's own image as the default one."""
        from taskimage.verbs.flyteconfig import default_image

        return cls.auto(img_name=default_image())


def _default(identifier: str | None) -> Image | None:
    return Image.look_up_image_info(_DEFAULT, identifier) if identifier else None


def _others(identifiers: Mapping[str, str]) -> list[Image]:
    return [
        Image.look_up_image_info(name, identifier, allow_no_tag_or_digest=True)
        for name, identifier in identifiers.items()
    ]


def _is_list(values: object) -> bool:
    """Whether it is walked through for its items, as lists, tuples and generators are."""
    return isinstance(values, Iterable) and not isinstance(values, (str, bytes, bytearray, Mapping))


def _named(value: Any) -> Image:
    """The image of one ``--image``."""
    if isinstance(value, str) and "=" in value:
        name, _, identifier = value.partition("=")
        return Image.look_up_image_info(name, identifier)
    return Image.look_up_image_info(_DEFAULT, value)
