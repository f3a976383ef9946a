"""A Dask cluster: functions are run by its workers, which may come and go. ``distributed`` is an extra."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Final, TypeVar

from taskimage.model.errors import BadInput, CannotBuild, TaskImageError, Unreachable
from taskimage.model.shown import shown

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ANSWER", "PATIENCE", "Cluster"]

T = TypeVar("T")

_SCHEME: Final = "dask:"
_TRANSPORTS: Final = ("tcp://", "tls://", "ws://", "wss://")
ANSWER: Final = 10.0
"""Seconds for a scheduler to answer."""
PATIENCE: Final = 60.0
"""Seconds for a first or a new worker to come when there is none."""
_LOOK: Final = 2.0


class Cluster(contextlib.ExitStack):
    """A context manager over the connection to a scheduler. Safe to share between threads.

    Args:
        address: ``dask:tcp://HOST:PORT``.

    Raises:
        BadInput: That is no such address.
        CannotBuild: ``distributed`` is not installed.
        Unreachable: No scheduler answers.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = _parsed(address)
        self._client = self._connected()
        self.callback(self._client.close, timeout=ANSWER)
        self._executor = self._client.get_executor(pure=False)
        self.callback(self._executor.shutdown, wait=False)
        self._looking = threading.Lock()
        self._looked = self._seen = time.monotonic()

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """What a worker's ``function`` gives. When a worker dies another one does its work.

        Raises what the function raises, and Unreachable when the cluster cannot do it.
        """
        result: Future[T] = Future()

        def hand_on(ended: Future[T]) -> None:
            try:
                result.set_result(ended.result())
            except (Exception, CancelledError) as error:  # noqa: BLE001 - whoever waits gets it
                result.set_exception(self._explained(error))

        self._executor.submit(function, *arguments).add_done_callback(hand_on)
        return result

    def check(self) -> None:
        """Raise Unreachable when there has been no worker for long."""
        with self._looking:
            now = time.monotonic()
            if now - self._looked < _LOOK:
                return
            self._looked = now
            if self._workers():
                self._seen = now
            waited = now - self._seen
        if waited > PATIENCE:
            raise Unreachable(
                f"there has been no worker at {self.address} for {waited:.0f} seconds",
                hint=f"start some: dask worker {self.address}",
            )

    def _workers(self) -> int:
        try:
            return len(self._client.scheduler_info()["workers"])
        except (OSError, RuntimeError, TypeError, KeyError):
            return 0  # the scheduler is gone, and perhaps comes back

    def _connected(self) -> Client:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise CannotBuild(
                "building on a Dask cluster needs `distributed`, which is not installed",
                hint="pip install 'taskimage[dask]'",
            ) from error
        try:
            return Client(self.address, timeout=ANSWER, set_as_default=False)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise Unreachable(
                f"no Dask scheduler answers at {self.address}: {error}",
                hint="look whether `dask scheduler` runs there, and whether its version is that of this machine's",
            ) from error

    def _explained(self, error: BaseException) -> BaseException:
        """What to raise in place of ``error``, of a worker or of the cluster."""
        if isinstance(error, TaskImageError):
            return error
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return Unreachable(
                f"workers at {self.address} died while they made a layer: {error}",
                hint="look at their logs: they may lack memory or disk",
            )
        if isinstance(error, CancelledError | OSError):
            return Unreachable(f"the Dask cluster at {self.address} was lost: {type(error).__name__} {error}")
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "taskimage":
            return BadInput(
                f"a worker at {self.address} cannot import {error.name!r}",
                hint="install the same version of taskimage there",
            )
        return error


def _parsed(address: str) -> str:
    url = address.removeprefix(_SCHEME)
    host, _, port = url.partition("://")[2].rpartition(":")
    if not (address.startswith(_SCHEME) and url.startswith(_TRANSPORTS) and host and port.isdecimal()):
        raise BadInput(f"not a cluster: {shown(address)}; wanted dask:tcp://HOST:PORT")
    return url
