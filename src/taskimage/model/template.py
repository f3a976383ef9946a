"""Templates of image identifiers: ``{{.image.NAME.fqn}}``, ``{{.image.NAME.version}}`` and ``{{.image.NAME}}``."""

from __future__ import annotations

import re

from taskimage.model.config import ImageConfig
from taskimage.model.errors import InvalidTemplate, InvalidValue, MissingVersion, WrongType
from taskimage.model.image import Image
from taskimage.model.shown import shown

__all__ = ["fill_in"]

# The colon in front belongs to the match: before a digest it becomes an "@".
_PLACE = re.compile(
    r"(?P<colon>:?)(?P<place>\{\{\s*\.images?\.(?P<name>[a-z0-9_-]+)(?:\.(?P<attribute>[a-z0-9_-]+))?\s*\}\})",
    re.IGNORECASE | re.ASCII,
)


def fill_in(template: str | None, config: ImageConfig) -> str:
    """The identifier that ``template`` makes with the images of ``config``; the default image's when it is empty.

    Raises:
        InvalidTemplate: (an AssertionError) for an unknown image or attribute, and for text behind a digest.
        MissingVersion: (an AssertionError) when the version of an image that has none is asked for.
        InvalidValue: (a ValueError) when there is neither a template nor a default image.
        WrongType: (a TypeError) for a template that is not text.

    Examples:
        >>> config = ImageConfig.from_images("ghcr.io/org/app:v1")
        >>> fill_in("{{.image.default.fqn}}-gpu:{{.image.default.version}}", config)
        'ghcr.io/org/app-gpu:v1'
    """
    if template is not None and not isinstance(template, str):
        raise WrongType(f"cannot fill in {shown(template)}; wanted text or None")
    if not template:
        if config.default_image is None:
            raise InvalidValue("a task names no image, and there is no default image; wanted one of the two")
        return config.default_image.full
    parts, end = [], 0
    for match in _PLACE.finditer(template):
        image = _find(config, match["name"], template)
        value, has_digest = _value(image, match["attribute"], template)
        if has_digest and match.end() != len(template):
            raise InvalidTemplate(
                f"{match['place']:.200} of {shown(template)} is filled in with a digest, which is the end of an identifier; "
                f"found {shown(template[match.end() :])} behind it",
                hint="use {{.image.NAME.fqn}}, or an image with a tag",
            )
        joint = "@" if has_digest and match["colon"] and match["attribute"] else match["colon"]
        parts += [template[end : match.start()], joint, value]
        end = match.end()
    return "".join((*parts, template[end:]))


def _find(config: ImageConfig, name: str, template: str) -> Image:
    image = config.find_image(name)
    if image is None:
        names = ", ".join(map(repr, config.names())) or "none"
        raise InvalidTemplate(
            f"no image is called {shown(name)}, which {shown(template)} asks for; there are: {names}",
            hint=f"name it: --image {name:.200}=IDENTIFIER",
        )
    return image


def _value(image: Image, attribute: str | None, template: str) -> tuple[str, bool]:
    """What is filled in, and whether it ends in a digest."""
    if attribute is None:
        return image.full, bool(image.digest)
    if attribute == "fqn":
        return image.fqn, False
    if attribute != "version":
        raise InvalidTemplate(
            f"an image has no {shown(attribute)}, which {shown(template)} asks for; wanted fqn, version or nothing"
        )
    if image.version is None:
        raise MissingVersion(
            f"image {shown(image.name)} ({shown(image.fqn)}) has neither tag nor digest, and {shown(template)} asks for its version",
            hint="give the image a tag, or ask for another one's version: {{.image.default.version}}",
        )
    return image.version, bool(image.digest)
