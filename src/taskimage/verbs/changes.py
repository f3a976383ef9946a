"""What changed between two locks, for people: with the licences of wheels, where these can be told."""

from __future__ import annotations

from collections.abc import Mapping

from taskimage.adapters.specfiles import LoadedSpec, requirements_of
from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.digest import Digest
from taskimage.model.errors import TaskImageError
from taskimage.model.lock import Lock, WheelPin
from taskimage.model.lockchanges import diff
from taskimage.transform.licence import licence_of
from taskimage.verbs.tools import Tools

__all__ = ["changes"]


def changes(tools: Tools, loaded: LoadedSpec, old: Lock, new: Lock) -> tuple[str, ...]:
    """A line for each input that is not the same in ``old`` and ``new``, locks of ``loaded``.

    The metadata of wheels that the store lacks is asked of the spec's indexes; what is not known is left out.
    """
    differing = sorted(_wheels(old) ^ _wheels(new))
    asked = Asked.of(loaded.spec, requirements_of(loaded))
    return diff(old, new, licences=_licences(tools, differing, asked) if differing else None)


def _wheels(lock: Lock) -> frozenset[WheelPin]:
    return frozenset(pin for platform in lock.platforms for pin in platform.wheels)


def _licences(tools: Tools, pins: list[WheelPin], asked: Asked) -> Mapping[Digest, str]:
    try:
        found = tools.pypi.metadata(pins, asked)
    except TaskImageError:
        return {}  # an old lock may name an index that is not known here
    return {digest: licence_of(metadata) for digest, metadata in found.items()}
