"""Packages that a lock has: they stay while they can be had, and go with what is wanted now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TypeVar

from taskimage.adapters.debian.index import Package
from taskimage.adapters.store import Store
from taskimage.model.errors import CannotBuild, TaskImageError
from taskimage.model.events import Listener, Notice
from taskimage.model.lock import DebPin
from taskimage.model.value import dataclass

__all__ = ["Keep", "Kept", "keeping"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Keep:
    """The packages ``pins`` are to stay as they are, apart from those of the names ``upgrade``.

    What is built from the same source as one of these is upgraded with it: such packages often want each other in
    one version.
    """

    pins: Sequence[DebPin] = ()
    upgrade: Collection[str] = ()


class Kept:
    """The packages of ``keep``, each found when it is asked for; ``versions`` are those of a name in the indexes.

    What an index still lists is there. Anything else must be in the store, or come there by ``fetch``: what it
    depends on is written in the package itself.
    """

    def __init__(
        self,
        keep: Keep,
        versions: Callable[[str], Sequence[Package]],
        *,
        store: Store,
        fetch: Callable[[Sequence[DebPin]], None],
    ) -> None:
        self._pins = {pin.package: pin for pin in keep.pins if pin.package not in keep.upgrade}
        self._upgrade = keep.upgrade
        self._versions = versions
        self._store = store
        self._fetch = fetch

    def find(self, name: str) -> Package | None:
        """The locked version of ``name``; None when there is none, or none that can be had."""
        pin = self._pins.get(name)
        if pin is None:
            return None
        listed = (one for one in self._versions(name) if one.pin and one.pin.digest == pin.digest)
        found = next(listed, None) or self._restored(pin)
        return None if found is None or _source(found) in self._sources else found

    @cached_property
    def _sources(self) -> frozenset[str]:
        """What the packages that are upgraded are built from."""
        return frozenset(_source(one) for name in self._upgrade for one in self._versions(name))

    def _restored(self, pin: DebPin) -> Package | None:
        from taskimage.transform.deb import read_control

        try:
            self._fetch([pin])
            with self._store.input_path(pin.digest).open("rb") as stream:
                fields = read_control(stream, where=pin.path)
        except TaskImageError:
            return None
        return Package.read({name.lower(): value for name, value in fields.items()}, pin)


def keeping(solved: Callable[[Keep], T], keep: Keep, *, listener: Listener) -> T:
    """What ``solved`` gives with ``keep``; with nothing kept where that excludes what is wanted, which is told."""
    if not keep.pins:
        return solved(keep)
    try:
        return solved(keep)
    except CannotBuild as failure:
        result = solved(Keep())
        listener(
            Notice(
                f"the newest Debian packages are taken, since the locked ones do not serve: {failure.message}"
            )
        )
        return result


def _source(package: Package) -> str:
    return package.source.partition(" ")[0]
