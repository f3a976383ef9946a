"""Pinned packages, and their files from the mirrors of their archives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import quote

from taskimage.adapters.debian.index import Package
from taskimage.adapters.debian.snapshot import Snapshot
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
    snapshot: Snapshot | None,
    moved: Callable[[int], None],
) -> None:
    """Put every package of ``pins`` into the store's inputs; ``moved`` hears the bytes as they come.

    Each is asked of its ``roots`` in turn, then of ``snapshot``, and believed by its digest.
    """

    def addresses(pin: DebPin) -> Iterator[str]:
        for root in roots(pin):
            yield f"{root}/{quote(pin.path)}"
        if snapshot is not None:
            yield snapshot.of(pin)

    wanted = [
        Fetch(
            tuple(addresses(pin)),
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
            "mirrors keep the newest versions only: lock anew with `taskimage lock --upgrade`, or name an archive "
            "that has it with TASKIMAGE_DEBIAN_SNAPSHOT or TASKIMAGE_DEBIAN_MIRROR"
        )
        raise
