"""What still arrives is read as far as it is there, to the end, or to the failure that it had."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.repositories import repository

from taskimage.adapters.images.arriving import Arriving
from taskimage.adapters.images.registry import RegistrySource, RegistryTarget
from taskimage.adapters.registry import uploads
from taskimage.adapters.store import Pending, Store
from taskimage.model.digest import Digest
from taskimage.model.errors import NotFound
from taskimage.testing import Fault, Registry, make_image
from taskimage.verbs.transfer import transfer


class Sender:
    """Writes pieces when it is told to."""

    def __init__(self) -> None:
        self._todo: list[Callable[[Pending], object] | None] = []
        self._more = threading.Semaphore(0)
        self.ended = threading.Event()

    def send(self, step: Callable[[Pending], object] | None) -> None:
        """Have ``step`` done; None for the end."""
        self._todo.append(step)
        self._more.release()

    def __call__(self, pending: Pending) -> None:
        try:
            while self._more.acquire(timeout=10) and (step := self._todo.pop(0)):
                step(pending)
        finally:
            self.ended.set()


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender()
    yield made
    made.send(None)
    assert made.ended.wait(10)


def test_bytes_are_read_as_soon_as_they_are_there(sender: Sender, tmp_path: Path) -> None:
    with Arriving(tmp_path / "blob", sender) as stream:
        sender.send(lambda pending: pending.write(b"hello "))
        assert stream.read(3) == b"hel"
        assert stream.read(3) == b"lo "
        threading.Timer(0.1, sender.send, [lambda pending: pending.write(b"world")]).start()
        assert stream.read(5) == b"world"
        stream.seek(0)
        assert stream.read(11) == b"hello world"
        sender.send(None)
        assert stream.read(5) == b""
        assert stream.seek(0, io.SEEK_END) == 11
        assert stream.seek(-5, io.SEEK_END) == 6
        assert stream.read() == b"world"


def test_the_end_waits_for_all_of_it(sender: Sender, tmp_path: Path) -> None:
    with Arriving(tmp_path / "blob", sender) as stream:
        (tmp_path / "blob").unlink()
        sender.send(lambda pending: pending.write(b"half"))
        sender.send(None)
        assert stream.read(100) == b"half"
        assert stream.readinto(bytearray(3)) == 0


def test_what_comes_again_is_waited_for_again(sender: Sender, tmp_path: Path) -> None:
    with Arriving(tmp_path / "blob", sender) as stream:
        sender.send(lambda pending: pending.write(b"hello"))
        assert stream.read(5) == b"hello"
        sender.send(lambda pending: pending.restart())
        sender.send(lambda pending: pending.write(b"hello world"))
        assert stream.read(6) == b" world"


def test_a_failure_is_raised_where_bytes_are_waited_for(sender: Sender, tmp_path: Path) -> None:
    def fail(_: Pending) -> None:
        raise NotFound("gone")

    with Arriving(tmp_path / "blob", sender) as stream:
        sender.send(lambda pending: pending.write(b"hello"))
        sender.send(fail)
        for wait in (lambda: stream.read(6), lambda: stream.seek(0, io.SEEK_END), stream.read):
            with pytest.raises(NotFound, match="gone"):
                wait()


def test_who_reads_no_more_ends_the_fetching(sender: Sender, tmp_path: Path) -> None:
    stream = Arriving(tmp_path / "blob", sender)
    stream.close()
    sender.send(lambda pending: pending.write(b"hello"))
    assert sender.ended.wait(10)


@pytest.fixture
def _in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_SMALL", 1000)
    monkeypatch.setattr(uploads, "_CHUNK", 100_000)


@pytest.mark.usefixtures("_in_chunks")
def test_a_blob_is_sent_on_while_it_still_arrives(store: Store) -> None:
    with Registry() as here, Registry() as there:
        image = make_image([{"data": bytes(range(256)) * 2000}], compressed=False)
        here.put_image("app:v1", image)
        began, seen = threading.Event(), list[bool]()
        there.fail(Fault(method="PATCH", before=began.set))
        # The rest of it comes when some of it is on its way.
        large = str(Digest.of(image.blobs[1]))
        here.fail(
            Fault(method="GET", path=large, cut_response=200_000),
            Fault(method="GET", path=large, skip=1, before=lambda: seen.append(began.wait(5))),
        )
        source = RegistrySource([repository(here, "app")], store)
        transfer(source, RegistryTarget(repository(there, "app")), source.find("v1"), names=["v1"])
        assert seen == [True]
        assert there.manifest("app", "v1").data == image.manifest


@pytest.mark.usefixtures("_in_chunks")
def test_many_blobs_pass_through_one_registry_at_once(store: Store) -> None:
    with Registry(mount=False) as registry:
        image = make_image([{f"{n}": bytes([n]) * 200_000} for n in range(24)], compressed=False)
        registry.put_image("app:v1", image)
        one = repository(registry, "app")
        other = type(one)(one.session, "copy", push=True)
        source = RegistrySource([one], store)
        transfer(source, RegistryTarget(other), source.find("v1"), names=["v1"])
        assert registry.manifest("copy", "v1").data == image.manifest
