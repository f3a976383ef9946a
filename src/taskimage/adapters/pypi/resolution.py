"""What resolving gives."""

from __future__ import annotations

from taskimage.model.base import Distribution
from taskimage.model.lock import WheelPin
from taskimage.model.value import dataclass

__all__ = ["Resolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is wanted, directly or by another, by name: a wheel to install, or what the base has installed.

    ``unbuilt`` would be built first, and is not: ``NAME VERSION``.
    """

    wheels: tuple[WheelPin, ...] = ()
    installed: tuple[Distribution, ...] = ()
    unbuilt: tuple[str, ...] = ()
