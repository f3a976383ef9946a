"""`Recipe`: what the layers of an image depend on beside their plans, as a value that can be sent elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from taskimage.model.lock import PlatformLock
from taskimage.model.spec import ImageSpec
from taskimage.model.user import User
from taskimage.model.value import dataclass
from taskimage.transform.entry import Entry

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """With a `LayerPlan` it decides the bytes of a layer. Images that differ in their packages alone share one.

    Attributes:
        lock: What all layers need: the interpreter and what it runs on, or the base image.
        user: Who the image has an account and a home for.
        others: The same of the image for other platforms, of which this machine may be one.
        bytecode: Whether Python sources are compiled.
        waived: Debian packages whose scripts do not matter.
        authorities: Files of certificates that the image trusts as well.
        writable: Whether the image's user may write to the environment.
    """

    lock: PlatformLock
    user: User
    others: tuple[PlatformLock, ...] = ()
    bytecode: bool = True
    waived: tuple[str, ...] = ()
    authorities: tuple[Entry, ...] = ()
    writable: bool = False

    @classmethod
    def of(
        cls,
        spec: ImageSpec,
        lock: PlatformLock,
        *,
        user: User,
        others: Iterable[PlatformLock] = (),
        certificates: Sequence[tuple[str, bytes]] = (),
    ) -> Recipe:
        """That of the image of ``spec`` with the inputs of ``lock``, which trusts ``certificates`` as well."""
        return cls(
            lock=_below(lock),
            user=user,
            others=tuple(map(_below, others)),
            bytecode=spec.options.bytecode,
            waived=tuple(spec.options.waive_scripts),
            authorities=_authorities(certificates),
            writable=bool(spec.runtime_packages),
        )


def _authorities(certificates: Sequence[tuple[str, bytes]]) -> tuple[Entry, ...]:
    if not certificates:
        return ()
    from taskimage.transform.effects.authorities import authority_files

    return authority_files(certificates)


def _below(lock: PlatformLock) -> PlatformLock:
    """``lock`` without what plans name by themselves."""
    return replace(lock, apt=(), wheels=())
