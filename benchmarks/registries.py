"""The registry that images are pushed to, and what it was asked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.meter import Meter
from tests.dockerregistry import docker_registry

__all__ = ["Counts", "Metered", "metered_registry"]


class Counts(NamedTuple):
    """Bytes that the registry was sent and that it gave, headers included, and how many requests it answered."""

    sent: int
    received: int
    requests: int


class Metered:
    """A registry behind a door that counts; ``host`` is that door."""

    def __init__(self, meter: Meter, log: Path) -> None:
        self._meter = meter
        self._log = log
        self.host = meter.host

    def counts(self) -> Counts:
        """Since it was started."""
        return Counts(self._meter.sent, self._meter.received, self._log.read_bytes().count(b"\n"))


@contextmanager
def metered_registry(folder: Path) -> Iterator[Metered]:
    """Debian's ``docker-registry``, empty, with its files in a folder within ``folder`` that goes away with it."""
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="registry") as place,
        docker_registry(Path(place)) as registry,
        Meter(int(registry.host.rpartition(":")[2])) as meter,
    ):
        yield Metered(meter, registry.access_log)
