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
Holds: TypeAlias = Callable[[Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate", action="store_true", help="write anew what tests compare with, to be read in the diff"
    )


@pytest.fixture
def holds(request: pytest.FixtureRequest) -> Holds:
    """A function that says whether a file of the project holds a text; with ``--regenerate`` it then does."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--regenerate"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, "if it is right so, run pytest with --regenerate"

    return check


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
