"""`publish`: an image of the store goes to a registry, and is named there when all of it has arrived."""

from __future__ import annotations

import dataclasses

from taskimage.adapters.images.registry import RegistryTarget
from taskimage.adapters.images.store import store_source
from taskimage.adapters.settings import Settings
from taskimage.model.errors import BadInput
from taskimage.model.events import Listener, ignore
from taskimage.model.reference import Reference, split_registry
from taskimage.verbs.build import Built
from taskimage.verbs.tools import Tools
from taskimage.verbs.transfer import transfer

__all__ = ["publish"]


def publish(
    built: Built,
    *,
    registry: str | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Reference:
    """Send an image of the store to its registry under all of its tags, and give its reference, with tag and digest.

    Args:
        built: What ``build(…, push=False)`` gave.
        registry: Where it goes, in place of the registry that its name has.
        settings: By default, those of this process.
        listener: Hears of progress.

    Raises:
        BadInput: There is no registry to send it to.
        NotFound: The store has the image no more.
        NotAllowed: The registry wants credentials, or others.
        Unreachable: It gave no answer that can be trusted.
    """
    tools = Tools(settings or Settings.load(), listener)
    names = [
        f"{registry}/{built.image.name}:{name.rpartition(':')[2]}" if registry else name
        for name in built.names
    ]
    if not split_registry(names[0])[0]:
        raise BadInput(
            f"cannot publish {names[0]!r}: it has no registry", hint="name one: registry='ghcr.io/me'"
        )
    references = [Reference.parse(name) for name in names]
    target = RegistryTarget(tools.registries.repository(references[0], push=True))
    tags = [str(reference.tag) for reference in references]
    transfer(store_source(tools.store), target, built.root, names=tags, listener=listener)
    return dataclasses.replace(references[0], digest=built.root.digest)
