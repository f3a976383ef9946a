"""Pins of chosen wheels, with the size that a lock has and an index need not tell."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.adapters.http import Http
from taskimage.adapters.pypi.chosen import Chosen
from taskimage.adapters.store import Store
from taskimage.model.lock import WheelPin

__all__ = ["pinned"]


def pinned(http: Http, store: Store, wheels: Sequence[Chosen]) -> tuple[WheelPin, ...]:
    """The pins of ``wheels``, sorted. One whose server does not tell its size is fetched."""
    sizes = {wheel.digest: wheel.size for wheel in wheels if wheel.size is not None}

    def measure(wheel: Chosen) -> None:
        size = http.size(wheel.url, headers=wheel.index.login(wheel.url))
        if size is None:
            http.fetch(store, [wheel.fetch()], moved=lambda _: None)
            size = store.input_path(wheel.digest).stat().st_size
        sizes[wheel.digest] = size

    http.each(measure, [wheel for wheel in wheels if wheel.digest not in sizes])
    return tuple(sorted(wheel.pin(sizes[wheel.digest]) for wheel in wheels))
