"""The store: nothing is in place that is not whole and checked."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, IntegrityError, NotAllowed


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "home")


def left_over(store: Store) -> list[Path]:
    """Files that a failed write forgot."""
    return [path for path in store.home.rglob("*") if path.is_file()]


def test_an_input_with_the_wanted_digest_is_kept(store: Store) -> None:
    want = Digest.of(b"wheel")
    with store.pending_input(want, 5, where="x") as pending:
        pending.write(b"wheel")
    assert store.input_path(want).read_bytes() == b"wheel"


@pytest.mark.parametrize(("data", "size"), [(b"wheex", 5), (b"wheel", 6), (b"", None)])
def test_an_input_that_is_not_what_was_wanted_is_not_kept(
    store: Store, data: bytes, size: int | None
) -> None:
    want = Digest.of(b"wheel")
    with (
        pytest.raises(IntegrityError, match="wanted"),
        store.pending_input(want, size, where="x") as pending,
    ):
        pending.write(data)
    assert left_over(store) == []


def test_a_write_that_is_cut_short_leaves_nothing(store: Store) -> None:
    def write() -> None:
        with store.pending_blob() as pending:
            pending.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert left_over(store) == []


def test_a_blob_is_found_by_its_digest(store: Store) -> None:
    digest = store.put_blob(b"{}")
    assert store.read_blob(digest) == b"{}"


def test_a_blob_that_was_changed_is_not_believed(store: Store) -> None:
    digest = store.put_blob(b"{}")
    store.blob_path(digest).write_bytes(b"[]")
    with pytest.raises(IntegrityError):
        store.read_blob(digest)


def test_a_record_is_kept_by_kind_and_key(store: Store) -> None:
    key = Digest.of(b"key")
    assert store.record("layers", key) is None
    store.keep_record("layers", key, {"a": 1})
    assert store.record("layers", key) == {"a": 1}
    assert store.record("other", key) is None


def test_a_record_that_cannot_be_read_is_none(store: Store) -> None:
    key = Digest.of(b"key")
    store.keep_record("layers", key, {"a": 1})
    for path in store.home.rglob(f"{key.hex}.json"):
        path.write_text("{")
    assert store.record("layers", key) is None


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [(errno.ENOSPC, CannotBuild, "no space left"), (errno.EACCES, NotAllowed, "cannot use the store")],
)
def test_a_full_or_closed_disk_is_told_with_a_way_out(
    store: Store, code: int, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as caught, store.pending_blob():
        raise OSError(code, "as the system says it")
    assert "TASKIMAGE_HOME" in str(caught.value)
    assert left_over(store) == []


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotAllowed, match="cannot use the store"):
        Store(tmp_path / "file" / "home").put_blob(b"x")


def test_a_record_that_a_power_cut_spoilt_is_none(tmp_path: Path) -> None:
    store, key = Store(tmp_path), Digest.of(b"")
    store.keep_record("layers", key, {"a": 1})
    path = tmp_path / "records" / "layers" / f"{key.hex}.json"
    for spoilt in (b"", b"\0" * 7, path.read_bytes()[:-1]):
        path.write_bytes(spoilt)
        assert store.record("layers", key) is None
