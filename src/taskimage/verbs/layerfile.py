"""A layer in a file that is gone soon: what is nowhere yet, for whoever unpacks layers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from taskimage.model.digest import Digest
from taskimage.transform.entry import Entry
from taskimage.transform.layer import write_layer

__all__ = ["written"]


def written(path: Path, fragments: Iterable[Sequence[Entry]]) -> tuple[Path, Digest]:
    """A layer of ``fragments`` in the new file ``path``, and its digest."""
    running = hashlib.sha256()
    with path.open("wb") as file:

        def put(data: bytes) -> None:
            running.update(data)
            file.write(data)

        write_layer(fragments, put)
    return path, Digest("sha256", running.hexdigest())
