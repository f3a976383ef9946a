"""`pull`: an image comes from its registry to the store, for one platform."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from taskimage.adapters import layout
from taskimage.adapters.images.registry import RegistrySource
from taskimage.adapters.images.store import StoreTarget
from taskimage.model.oci import Descriptor, Platform, RawManifest
from taskimage.model.reference import Reference
from taskimage.verbs.places import for_this_machine, version
from taskimage.verbs.tools import Tools
from taskimage.verbs.transfer import chosen, transfer

__all__ = ["fetch", "pull", "pulled"]


def pull(tools: Tools, reference: Reference, *, platform: Platform | None = None) -> Descriptor:
    """The image that ``reference`` names now is in the store, under that name; its manifest.

    It is the one for ``platform``, by default this machine's; an image for a single platform is taken for what it is.

    What the store has is not fetched. Raises NotFound, NotAllowed, Unreachable, IntegrityError.
    """
    source = RegistrySource(tools.registries.sources(reference), tools.store)
    found = source.find(version(reference))
    root = for_this_machine(source, found) if platform is None else chosen(source, found, platform)
    fetch(tools, source, root, names=[_name(reference)])
    return root.descriptor


def fetch(tools: Tools, source: RegistrySource, root: RawManifest, *, names: Sequence[str] = ()) -> None:
    """The store has all of the image ``root`` of ``source``, under ``names``; what it had is not fetched."""
    transfer(source, StoreTarget(tools.store), root, names=names, listener=tools.listener)


def pulled(tools: Tools, reference: Reference) -> Descriptor | None:
    """The image that was pulled as ``reference``, whatever its tag means by now; None when none was."""
    return layout.find(tools.store, _name(reference))


def _name(reference: Reference) -> str:
    if reference.digest is None and reference.tag is None:
        reference = dataclasses.replace(reference, tag="latest")
    return str(reference)
