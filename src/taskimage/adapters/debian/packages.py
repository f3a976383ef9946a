"""Pinned packages, and their files from the mirrors of their archives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from taskimage.adapters.debian.index import Package
from taskimage.adapters.http import Fetch, Http
from taskimage.adapters.store import Store
from taskimage.model.errors import NotFound
from taskimage.model.lock import DebPin

__all__ = ["fetch_packages", "pins_of"]


def pins_of(packages: Iterable[Package]) -> tuple[DebPin, ...]:
    """The pins of ``packages``, in their order; those that are installed have none."""
    return tuple(package.pin for package in packages if package.pin is not None)


def fetch_packages(
    store: Store,
    http: Http,
    pins: Sequence[DebPin],
    *,
    roots: Callable[[DebPin], Sequence[str]],
    moved: Callable[[int], None],
) -> None:
    """Put every package of ``pins`` into the store's inputs; ``moved`` hears the bytes as they come.

    Each is asked of its ``roots`` in turn, and believed by its digest.
    """
    wanted = [
        Fetch(
            tuple(f"{root}/{quote(pin.path)}" for root in roots(pin)),
            pin.digest,
            pin.size,
            f"{pin.package} {pin.version}",
        )
        for pin in pins
        if not store.input_path(pin.digest).exists()
    ]
    if not wanted:
        return
    try:
        http.fetch(store, wanted, moved=moved)
    except NotFound as error:
        error.hint = (
            "mirrors keep the newest versions only: lock anew with `taskimage lock --upgrade`, or set "
            "TASKIMAGE_DEBIAN_MIRROR to one that has it"
        )
        raise
