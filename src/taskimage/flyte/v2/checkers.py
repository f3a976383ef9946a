"""Whether an image exists, as flyte asks: a name says that it does, None that it does not, an error that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from taskimage.flyte.v2.naming import Name
from taskimage.flyte.v2.shared import default_registry, shared_tools

__all__ = ["NobodyKnows", "RegistryChecker"]


class RegistryChecker:
    """Asks the registry itself, with the credentials of this machine."""

    @classmethod
    async def image_exists(
        cls, repository: str, tag: str, arch: Sequence[str] = ("linux/amd64",)
    ) -> str | None:
        """``repository@digest`` for an image that runs on each of ``arch``; None where the registry has none.

        Raises NotAllowed, Unreachable where the registry does not tell.
        """
        return await asyncio.to_thread(_look_up, repository, tag, arch)


class NobodyKnows:
    """The last to be asked, where the registry did not tell: flyte would take it for granted that the image exists.

    It then asks the builder, which asks the registry once more, and whose error is told.
    """

    @classmethod
    async def image_exists(cls, repository: str, tag: str, arch: Sequence[str] = ()) -> str | None:
        """None."""
        del repository, tag, arch
        return None


def _look_up(repository: str, tag: str, arch: Sequence[str]) -> str | None:
    from taskimage.model.oci import Platform
    from taskimage.model.reference import Reference
    from taskimage.verbs.existence import look_up

    name = Name.of_repository(repository, tag, registry=default_registry())
    if name.registry is None:
        return None  # an engine of this machine has it or has not, and is given it again at no cost
    found = look_up(shared_tools().registries, Reference.parse(str(name)))
    if found is None or found.lacks(map(Platform.parse, arch)):
        return None
    return f"{name.registry}/{name.path}@{found.digest}"
