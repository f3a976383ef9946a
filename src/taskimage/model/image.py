"""`Image`: what a task or workflow is registered with, with the surface of flytekit's class of that name."""

from __future__ import annotations

import functools
import warnings

from taskimage.model.codec import JsonValue
from taskimage.model.counterpart import Counterpart
from taskimage.model.errors import (
    ImageWarning,
    InvalidReference,
    InvalidValue,
    MissingVersion,
    WrongType,
)
from taskimage.model.shown import shown
from taskimage.model.value import dataclass

TYPE_CHECKING = False  # spelled out, because `typing` costs milliseconds
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from taskimage.model.reference import Reference

__all__ = ["Image"]


@dataclass(frozen=True)
class Image(JsonValue, Counterpart):  # noqa: PLW1641 - the decorator makes it
    """A named image, by the version of it that is pulled. Equal to flytekit's with the same fields.

    Attributes:
        name: What the image is called here, in ``--image NAME=…`` and in templates.
        fqn: The identifier without tag and digest, as it was written: ``host/user/repository``.
        tag: The tag to pull, where no digest is known.
        digest: The digest to pull. Never together with a tag (ValueError): `Reference` can carry both.

    As in flytekit no types are checked: what is given is kept.

    Examples:
        >>> Image("default", "ghcr.io/org/app", tag="v1").full
        'ghcr.io/org/app:v1'
    """

    name: str
    fqn: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if self.tag is not None and self.digest is not None:
            raise InvalidValue(
                f"an image has a tag or a digest; found tag={shown(self.tag)} and digest={shown(self.digest)}",
                hint="a digest alone says what is pulled; Reference keeps both",
            )

    def __eq__(self, other: object) -> bool:
        theirs = getattr(type(other), "__dataclass_fields__", {})
        if theirs.keys() != Image.__dataclass_fields__.keys():
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in theirs)

    @property
    def full(self) -> str:
        """The identifier to pull: ``fqn@digest`` or ``fqn:tag``. The fqn alone, with an ImageWarning, when it has neither."""
        if not self.digest and self.tag is None:
            warnings.warn(
                f"image {shown(self.name)} has neither tag nor digest: {shown(self.fqn)} means {shown(f'{self.fqn}:latest')}",
                ImageWarning,
                stacklevel=2,
            )
        return self._identifier

    @property
    def version(self) -> str | None:
        """The digest, or else the tag."""
        return self.digest or self.tag

    @property
    def reference(self) -> Reference:
        """The image's place: registry and repository, spelled out. Raises InvalidReference when there can be none."""
        from taskimage.model.reference import Reference

        return Reference.parse(self._identifier)

    @property
    def _identifier(self) -> str:
        if self.digest:
            return f"{self.fqn}@{self.digest}"
        return f"{self.fqn}" if self.tag is None else f"{self.fqn}:{self.tag}"

    @staticmethod
    def parse(identifier: str, *, name: str = "default") -> Image:
        """The image that ``identifier`` names, strictly: it has a version, and a registry could serve it.

        Of ``repository:tag@digest`` the digest is kept, which is what is pulled.

        Raises:
            InvalidReference: (a ValueError) when no registry could serve it.
            MissingVersion: (an AssertionError) when it has neither tag nor digest.
            WrongType: (a TypeError) when it is not text.
        """
        from taskimage.model.reference import Reference

        Reference.parse(identifier)
        return _versioned(name, identifier)

    @staticmethod
    def look_up_image_info(
        name: str,
        image_identifier: str | os.PathLike[str],
        allow_no_tag_or_digest: bool = False,  # noqa: FBT001, FBT002 - flytekit's signature
    ) -> Image:
        """The image that an identifier names, or the one that an ImageSpec's YAML file describes.

        A name that ends in ``.yaml`` or ``.yml`` is a file's, unless it has a tag or digest; so is every Path.
        What no registry could serve is an ImageWarning, and an InvalidReference with ``TASKIMAGE_STRICT=1``.

        Args:
            name: What the image is called here.
            image_identifier: ``host/repository:tag``, ``host/repository@digest``, or the file.
            allow_no_tag_or_digest: Whether an identifier may have no version.

        Raises:
            MissingSpec: (an AssertionError) when there is no such file.
            MissingVersion: (an AssertionError) when there is neither tag nor digest and that is not allowed.
            WrongType: (a TypeError) when the identifier is neither text nor a path.
        """
        if not isinstance(image_identifier, str) or image_identifier.endswith((".yaml", ".yml")):
            path = _spec_path(image_identifier)
            if path is not None:
                from pathlib import Path

                from taskimage.verbs.lookup import image_from_yaml

                return image_from_yaml(name, Path(path))
        identifier = str(image_identifier)
        image = _versioned(name, identifier, allow_none=allow_no_tag_or_digest)
        _question(identifier)
        return image

    def pin(self) -> Image:
        """This image with the digest that its tag means now; itself when it has one already.

        Asks the registry. Raises NotFound (it has no such image), NotAllowed, Unreachable, and InvalidReference
        for what names no image.
        """
        if self.digest:
            return self
        from taskimage.verbs.pin import pin

        return Image(self.name, self.fqn, digest=str(pin(self.reference).digest))


def _spec_path(identifier: str | os.PathLike[str]) -> str | None:
    """The file that ``identifier`` is spelled as; None for an identifier such as ``repository:v1.yaml``."""
    if isinstance(identifier, str):
        _, tag, digest = _split(identifier)
        return identifier if tag is None and digest is None else None
    path = identifier.__fspath__() if hasattr(identifier, "__fspath__") else None
    if not isinstance(path, str):
        raise WrongType(
            f"cannot look up {shown(identifier)}; wanted an image identifier or the path of a YAML file"
        )
    return path


def _versioned(name: str, identifier: str, *, allow_none: bool = False) -> Image:
    fqn, tag, digest = _split(identifier)
    if tag is None and digest is None and not allow_none:
        raise MissingVersion(
            f"image identifier {shown(identifier)} has neither tag nor digest; "
            "wanted repository:tag or repository@digest"
        )
    return Image(name, fqn, tag, digest)


def _split(identifier: str) -> tuple[str, str | None, str | None]:
    """Fqn, tag and digest, unchecked: at the last ``@``, else at the last ``:`` with no ``/`` after it."""
    head, at, tail = identifier.rpartition("@")
    name = head if at else tail
    fqn, colon, tag = name.rpartition(":")
    tagged = colon and "/" not in tag
    if at:
        return fqn if tagged else name, None, tail
    return (fqn, tag, None) if tagged else (name, None, None)


def _question(identifier: str) -> None:
    """Warns about an identifier that no registry could serve, or that is also a file's name."""
    parse, is_file = _questions()
    if is_file(identifier):
        warnings.warn(
            f"{shown(identifier)} is read as an image identifier, and there is a file of that name; "
            "a spec's file ends in .yaml or .yml, or is given as a Path",
            ImageWarning,
            stacklevel=3,
        )
    try:
        parse(identifier)
    except InvalidReference as error:
        from taskimage.adapters.settings import Settings

        if Settings.load().strict:
            raise
        warnings.warn(str(error), ImageWarning, stacklevel=3)


@functools.cache
def _questions() -> tuple[Callable[[str], Reference], Callable[[str], bool]]:
    # Kept, because even an import that is done takes as long as the rest of a look-up.
    from taskimage.model.reference import Reference
    from taskimage.verbs.namesake import is_file

    return Reference.parse, is_file
