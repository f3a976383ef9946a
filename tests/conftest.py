"""What tests of several modules start from."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from unittest.mock import patch

import pytest
from pysequoia import Tsk
from tests.case import Case
from tests.folders import remove

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


def pytest_configure() -> None:
    # In a shell's background Ctrl-C is ignored, and would be by the programs that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes that run tests agree on, for what several modules need and takes long to make."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _tidy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, made_once: Path
) -> Iterator[None]:
    """What a module's tests and fixtures wrote goes when they have passed.

    The system's folder for temporary files is below pytest's meanwhile: programs that leave theirs leave them here.
    """
    base = tmp_path_factory.getbasetemp()
    before, failed = set(base.iterdir()), request.session.testsfailed
    folder = str(tmp_path_factory.mktemp("tmp"))
    with patch.dict("os.environ", {"TMPDIR": folder}), patch.object(tempfile, "tempdir", folder):
        yield
    if request.session.testsfailed == failed:
        for path in set(base.iterdir()) - before:
            remove(path)


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
