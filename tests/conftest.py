"""What tests of several modules start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from pysequoia import Tsk
from tests.case import Case

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


@pytest.fixture(scope="session")
def archive_key() -> Tsk:
    """The key that signs a Debian archive."""
    return Tsk.generate("Archive <archive@example.org>")


@pytest.fixture
def case(tmp_path: Path, archive_key: Tsk) -> Iterator[Case]:
    """A spec and its package sources on loopback, of which an image can be built in a moment."""
    made = Case(tmp_path, archive_key)
    made.spec()
    yield made
    made.close()
