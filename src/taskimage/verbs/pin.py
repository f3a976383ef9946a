"""`pin`: what a tag means now, as the digest that it will mean forever."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from taskimage.adapters.crew import Crew
from taskimage.adapters.registry import Registries, Repository
from taskimage.adapters.settings import Settings
from taskimage.model.digest import Digest
from taskimage.model.errors import NotFound, TaskImageError
from taskimage.model.oci import Platform
from taskimage.model.reference import Reference
from taskimage.verbs.existence import Existing

__all__ = ["pin", "pin_all"]


def pin(
    identifier: str | Reference, *, platform: Platform | None = None, settings: Settings | None = None
) -> Reference:
    """The reference of ``identifier`` with the digest that its tag means now; without a tag, ``latest``.

    What has a digest already is returned as it is, unless a ``platform`` chooses among its manifests.

    Args:
        identifier: An image in a registry.
        platform: Of an index, take the digest of the image for this platform.
        settings: By default, those of this process.

    Raises:
        InvalidReference: ``identifier`` names no image.
        NotFound: The registry has no such image, or none for the platform.
        NotAllowed: It wants credentials, or others.
        Unreachable: It gave no answer that can be trusted.
    """
    (found,) = pin_all([identifier], platform=platform, settings=settings)
    if isinstance(found, TaskImageError):
        raise found
    return found


def pin_all(
    identifiers: Iterable[str | Reference],
    *,
    platform: Platform | None = None,
    settings: Settings | None = None,
    registries: Registries | None = None,
) -> list[Reference | TaskImageError]:
    """What `pin` gives, or raises, for each of ``identifiers``, in their order; each image is asked for once."""
    registries = registries or Registries(settings or Settings.load())
    wanted = [_parsed(identifier) for identifier in identifiers]
    pinned: dict[Reference, Reference | TaskImageError] = {}

    def one(reference: Reference) -> None:
        try:
            pinned[reference] = _pinned(registries, reference, platform)
        except TaskImageError as error:
            pinned[reference] = error

    Crew.run(one, dict.fromkeys(item for item in wanted if isinstance(item, Reference)))
    return [pinned[item] if isinstance(item, Reference) else item for item in wanted]


def _parsed(identifier: str | Reference) -> Reference | TaskImageError:
    try:
        reference = identifier if isinstance(identifier, Reference) else Reference.parse(identifier)
    except TaskImageError as error:
        return error
    if reference.tag is None and reference.digest is None:
        return dataclasses.replace(reference, tag="latest")
    return reference


def _pinned(registries: Registries, reference: Reference, platform: Platform | None) -> Reference:
    if reference.digest is not None and platform is None:
        return reference
    version = str(reference.digest or reference.tag)

    def ask(repository: Repository) -> Digest | None:
        if platform is None:
            described = repository.head(version)
            return None if described is None else described.digest
        found = Existing.find(repository, version)
        return None if found is None else found.choose(platform)

    digest = registries.read(reference, ask)
    if digest is None:
        raise NotFound(
            f"there is no image {str(reference)!r}",
            hint=f"the registry answered, and has no {version!r} in {reference.name}",
        )
    return dataclasses.replace(reference, digest=digest)
