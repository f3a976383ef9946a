"""What tests of several modules start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from taskimage.adapters.store import Store
from taskimage.model.oci import LAYER_GZIP, Descriptor
from taskimage.transform.assemble import Layer
from taskimage.transform.entry import Entry
from taskimage.transform.layer import write_layer

KeepLayer: TypeAlias = Callable[..., Layer]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that nothing is in."""
    return Store(tmp_path / "home")


@pytest.fixture(scope="session")
def keep_layer() -> KeepLayer:
    """A function that makes a layer of entries, keeps it in a store, and describes it."""

    def keep(store: Store, *entries: Entry, origin: str = "test") -> Layer:
        with store.pending_blob() as blob:
            diff_id = write_layer([entries], blob.write)
        return Layer(
            descriptor=Descriptor(media_type=LAYER_GZIP, digest=blob.digest, size=blob.size),
            diff_id=diff_id,
            origin=origin,
        )

    return keep
