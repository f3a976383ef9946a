"""Under which name an image of flyte's is published."""

from __future__ import annotations

from typing import Any, Final

from taskimage.model.value import dataclass

__all__ = ["Name"]

# What flyte 2.0 writes where nobody named a registry, and where nobody but its makers may push to.
_OF_FLYTE: Final = "ghcr.io/flyteorg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Where an image goes: ``registry`` may end in a path, and is None for this machine alone."""

    registry: str | None
    path: str
    tag: str

    @classmethod
    def of(cls, image: Any, *, registry: str | None) -> Name:
        """The name of ``image``, which flyte has computed, below ``registry`` where it names none."""
        tag = image.uri.rpartition(":")[2]
        return cls(registry=_registry(image.registry, registry), path=image.name, tag=tag)

    @classmethod
    def of_repository(cls, repository: str, tag: str, *, registry: str | None) -> Name:
        """The name that flyte asks a checker for: ``repository`` is ``[registry/]name``."""
        named, _, path = repository.rpartition("/")
        return cls(registry=_registry(named, registry), path=path, tag=tag)

    def __str__(self) -> str:
        """``registry/path:tag``."""
        return f"{self.registry}/{self.path}:{self.tag}" if self.registry else f"{self.path}:{self.tag}"


def _registry(named: str | None, otherwise: str | None) -> str | None:
    return otherwise if named in (None, "", _OF_FLYTE) else named
