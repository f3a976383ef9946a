"""Results that several want, computed once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from taskimage.model.digest import Digest

__all__ = ["Once"]

_T = TypeVar("_T")


class Once(Generic[_T]):
    """Results that are computed once each, whichever thread asks first."""

    def __init__(self) -> None:
        self._results: dict[Digest, tuple[threading.Lock, list[_T]]] = {}

    def get(self, key: Digest, compute: Callable[[], _T]) -> _T:
        lock, result = self._results.setdefault(key, (threading.Lock(), []))
        with lock:
            if not result:
                result.append(compute())
        return result[0]

    def begin(self, key: Digest, compute: Callable[[], _T]) -> None:
        """The result is there, or another thread is computing it."""
        lock, result = self._results.setdefault(key, (threading.Lock(), []))
        if lock.acquire(blocking=False):
            try:
                if not result:
                    result.append(compute())
            finally:
                lock.release()

    def forget(self, key: Digest) -> None:
        self._results.pop(key, None)
