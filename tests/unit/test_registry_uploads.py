"""Blobs on their way to a registry, on good days and on bad ones."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.repositories import CANARY, asked, blob, credential, described, guarded, repository

from taskimage.adapters.crew import Crew
from taskimage.adapters.http.trust import Trust
from taskimage.adapters.registry import uploads
from taskimage.adapters.registry.repository import Repository
from taskimage.model.errors import BadInput, IntegrityError, NotAllowed, NotFound, TaskImageError, Unreachable
from taskimage.model.oci import Descriptor
from taskimage.testing import Certificates, Fault, Registry, make_certificates

SMALL, CHUNK = 1_000, 100_000
LARGE = 3 * CHUNK + 1


@pytest.fixture(autouse=True)
def _sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes are thousands."""
    monkeypatch.setattr(uploads, "_SMALL", SMALL)
    monkeypatch.setattr(uploads, "_CHUNK", CHUNK)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One that lets everybody in."""
    with Registry() as registry:
        yield registry


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority's."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def received(registry: Registry) -> int:
    """How many bytes of blobs the registry was sent."""
    return sum(one.received for one in registry.requests)


class Moves:
    """What was told of an upload's progress."""

    def __init__(self) -> None:
        self.amounts: list[int] = []

    def __call__(self, amount: int) -> None:
        self.amounts.append(amount)

    @property
    def total(self) -> int:
        return sum(self.amounts)


def upload(there: Repository, size: int, seed: int = 0) -> tuple[Descriptor, Moves]:
    """Upload a blob of ``size``."""
    descriptor, open_blob = blob(size, seed)
    moves = Moves()
    there.upload(descriptor, open_blob, moved=moves)
    return descriptor, moves


# -- good days -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, SMALL])
def test_a_small_blob_takes_three_requests(registry: Registry, size: int) -> None:
    descriptor, moves = upload(repository(registry), size)
    assert asked(registry) == ["HEAD", "POST", "PUT"]
    assert descriptor.digest in registry.blobs
    assert moves.total == size


@pytest.mark.parametrize(("size", "chunks"), [(SMALL + 1, 1), (CHUNK, 1), (CHUNK + 1, 2), (LARGE, 4)])
def test_a_large_blob_goes_in_chunks(registry: Registry, size: int, chunks: int) -> None:
    descriptor, moves = upload(repository(registry), size)
    assert asked(registry) == ["HEAD", "POST", *["PATCH"] * chunks, "PUT"]
    assert registry.blobs[descriptor.digest].stat().st_size == size
    assert moves.total == received(registry) == size


def test_what_is_there_is_not_sent(registry: Registry) -> None:
    there = repository(registry)
    upload(there, LARGE)
    registry.clear_requests()
    _, moves = upload(there, LARGE)
    assert asked(registry) == ["HEAD"]
    assert moves.amounts == []


def test_whoever_has_asked_for_a_blob_does_not_ask_twice(registry: Registry) -> None:
    there = repository(registry)
    descriptor, open_blob = blob(10)
    assert not there.has_blob(descriptor.digest)
    there.upload(descriptor, open_blob)
    there.upload(descriptor, open_blob)
    assert asked(registry) == ["HEAD", "POST", "PUT", "HEAD"]


def test_many_blobs_need_one_token() -> None:
    with guarded("bearer") as registry:
        there = repository(registry, known=credential())
        Crew.run(lambda seed: upload(there, 10, seed), range(20))
        tokens = [one for one in registry.requests if one.path.startswith("/token")]
        assert len(tokens) == 1
        refused = [one for one in registry.requests if one.status == 401]
        # What was under way before anybody knew that a token is wanted.
        assert len(refused) <= Crew.SIZE
        assert len(asked(registry)) - len(refused) == 3 * 20


# -- mounts --------------------------------------------------------------------------------------------


def test_a_blob_of_another_repository_is_mounted(registry: Registry) -> None:
    descriptor, open_blob = blob(LARGE)
    registry.put_blob("base/python", open_blob().read())
    moves = Moves()
    repository(registry).upload(descriptor, open_blob, mount_from=["base/other", "base/python"], moved=moves)
    assert asked(registry) == ["HEAD", "POST", "POST"]
    assert moves.amounts == []
    assert repository(registry).has_blob(descriptor.digest)


def test_an_upload_that_the_registry_began_instead_of_a_mount_goes_on() -> None:
    with Registry(mount=False) as registry:
        descriptor, open_blob = blob(10)
        repository(registry).upload(descriptor, open_blob, mount_from=["base/python"])
        assert asked(registry) == ["HEAD", "POST", "PUT"]
        assert descriptor.digest in registry.blobs


def test_a_token_for_a_mount_covers_both_repositories() -> None:
    with guarded("bearer") as registry:
        descriptor, open_blob = blob(LARGE)
        registry.put_blob("base/python", open_blob().read())
        repository(registry, known=credential()).upload(descriptor, open_blob, mount_from=["base/python"])
        assert received(registry) == 0
        scopes = [one.path for one in registry.requests if one.path.startswith("/token")]
        assert scopes[-1].endswith(
            "scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Abase%2Fpython%3Apull"
        )


def test_a_repository_that_may_not_be_read_is_asked_for_no_second_mount(registry: Registry) -> None:
    registry.fail(Fault(method="POST", path="mount=", status=403, code="DENIED", times=None))
    there = repository(registry)
    for seed in range(3):
        descriptor, open_blob = blob(10, seed)
        there.upload(descriptor, open_blob, mount_from=["secret/base"])
    assert len([one for one in registry.requests if "mount=" in one.path]) == 1
    assert len(registry.blobs) == 3


# -- bad days ------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Not after one byte: "Range: 0-0" is what registries say of one byte and of none.
@given(st.integers(0, CHUNK).filter(lambda at: at != 1), st.integers(0, 3), st.integers(1, 4))
def test_an_upload_goes_on_wherever_it_was_cut(at: int, skip: int, times: int) -> None:
    with Registry() as registry:
        registry.fail(Fault(method="PATCH", skip=skip, cut_request=at, times=times))
        descriptor, moves = upload(repository(registry), LARGE)
        assert descriptor.digest in registry.blobs
        assert received(registry) == moves.total == LARGE
        assert asked(registry).count("POST") == 1


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
@pytest.mark.parametrize("size", [10, LARGE])
def test_an_answer_that_is_lost_loses_nothing(registry: Registry, method: str, size: int) -> None:
    registry.fail(Fault(method=method, lost=True))
    descriptor, moves = upload(repository(registry), size)
    assert descriptor.digest in registry.blobs
    assert received(registry) == moves.total == size


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("HEAD", 503),
        ("POST", 500),
        ("PATCH", 429),
        ("PATCH", 500),
        ("PATCH", 502),
        ("PUT", 503),
        ("PUT", 504),
    ],
)
def test_a_registry_in_trouble_is_asked_again(registry: Registry, method: str, status: int) -> None:
    registry.fail(Fault(method=method, status=status, times=2))
    descriptor, moves = upload(repository(registry), LARGE)
    assert descriptor.digest in registry.blobs
    assert moves.total == LARGE


def test_patience_begins_anew_with_every_chunk(registry: Registry) -> None:
    for chunk in range(4):
        registry.fail(Fault(method="PATCH", skip=5 * chunk, status=500, times=4))
    descriptor, _ = upload(repository(registry), LARGE)
    assert descriptor.digest in registry.blobs


def test_an_upload_that_the_registry_forgot_begins_again(registry: Registry) -> None:
    registry.fail(Fault(method="PATCH", skip=2, before=registry.forget_uploads))
    descriptor, moves = upload(repository(registry), LARGE)
    assert descriptor.digest in registry.blobs
    assert moves.total == LARGE
    assert min(moves.amounts) <= -2 * CHUNK
    assert asked(registry).count("POST") == 2


def test_a_registry_may_be_restarted_during_an_upload(registry: Registry) -> None:
    restarted = threading.Thread(target=registry.restart)
    registry.fail(Fault(method="PATCH", skip=1, before=restarted.start, delay=0.2))
    descriptor, moves = upload(repository(registry, pauses=(0.3,) * 4), LARGE)
    restarted.join()
    assert descriptor.digest in registry.blobs
    assert moves.total == LARGE


def test_a_registry_that_always_forgets_is_left_after_a_while(registry: Registry) -> None:
    registry.fail(Fault(method="PATCH|PUT", before=registry.forget_uploads, times=None))
    with pytest.raises(NotFound, match=r"cannot upload blob .* to .*/team/app: PUT .* answered 404"):
        upload(repository(registry), LARGE)
    assert asked(registry).count("POST") == 5


def test_an_upload_that_was_finished_unheard_is_not_sent_again(registry: Registry) -> None:
    registry.fail(Fault(method="PUT", lost=True))
    _, moves = upload(repository(registry), 10)
    assert asked(registry) == ["HEAD", "POST", "PUT", "HEAD"]
    assert moves.amounts == [10]


@pytest.mark.parametrize("status", [400, 405, 411, 415, 416, 501])
def test_a_registry_that_takes_no_chunks_gets_the_whole(registry: Registry, status: int) -> None:
    registry.fail(Fault(method="PATCH", status=status, code="UNSUPPORTED", times=None))
    there = repository(registry)
    first, moves = upload(there, LARGE)
    assert first.digest in registry.blobs
    assert moves.total == LARGE
    registry.clear_requests()
    upload(there, LARGE, seed=1)
    assert asked(registry) == ["HEAD", "POST", "PUT"]


def test_a_registry_may_ask_for_larger_chunks(registry: Registry) -> None:
    there = repository(registry)
    begun = there.ask("POST", "blobs/uploads/", "begin", good=(202,)).headers["Location"]
    headers = {"Location": begun, "OCI-Chunk-Min-Length": str(2 * CHUNK)}
    registry.fail(Fault(method="POST", status=202, headers=headers))
    upload(there, LARGE)
    assert asked(registry).count("PATCH") == 2


def test_too_large_a_request_is_not_repeated(registry: Registry) -> None:
    registry.fail(Fault(method="PATCH", status=413, times=None))
    with pytest.raises(BadInput, match="413") as caught:
        upload(repository(registry), LARGE)
    assert "take larger requests" in str(caught.value)
    assert asked(registry) == ["HEAD", "POST", "PATCH"]


@pytest.mark.parametrize("size", [10, LARGE])
def test_bytes_that_were_changed_on_their_way_are_sent_again(registry: Registry, size: int) -> None:
    registry.fail(Fault(method="PUT", status=400, code="DIGEST_INVALID"))
    descriptor, moves = upload(repository(registry), size)
    assert descriptor.digest in registry.blobs
    assert moves.total == size


def test_bytes_that_are_always_changed_are_an_integrity_error(registry: Registry) -> None:
    registry.fail(Fault(method="PUT", status=400, code="DIGEST_INVALID", times=None))
    with pytest.raises(IntegrityError, match="what stands between"):
        upload(repository(registry), 10)
    assert received(registry) == 50


# -- credentials ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "skip"), [("POST", 0), ("PATCH", 0), ("PATCH", 2), ("PUT", 0)])
def test_a_token_that_expires_in_the_middle_is_renewed_once(method: str, skip: int) -> None:
    with guarded("bearer") as registry:
        registry.fail(Fault(method=method, path="/v2/team/", skip=skip, before=registry.expire_tokens))
        descriptor, moves = upload(repository(registry, known=credential()), LARGE)
        assert descriptor.digest in registry.blobs
        assert moves.total == LARGE
        assert len([one for one in registry.requests if one.path.startswith("/token")]) == 2


def test_an_address_on_another_host_gets_no_credentials() -> None:
    with guarded() as registry, Registry() as elsewhere:
        other = repository(elsewhere)
        begun = other.ask("POST", "blobs/uploads/", "begin", good=(202,)).headers["Location"]
        registry.fail(
            Fault(method="POST", status=202, headers={"Location": f"{elsewhere.url}{begun}&sig=a%2Fb"})
        )
        descriptor, _ = upload(repository(registry, known=credential()), 10)
        assert descriptor.digest in elsewhere.blobs
        put = elsewhere.requests[-1]
        assert put.method == "PUT"
        assert "&sig=a%2Fb&digest=sha256%3A" in put.path
        assert put.authorization == ""


def test_an_address_that_lost_its_tls_gets_it_back(certificates: Certificates) -> None:
    with Registry(tls=certificates) as registry:
        there = repository(registry, trust=Trust(ca=(str(certificates.ca),)))
        begun = there.ask("POST", "blobs/uploads/", "begin", good=(202,)).headers["Location"]
        registry.fail(
            Fault(method="POST", status=202, headers={"Location": f"http://{registry.host}{begun}"})
        )
        descriptor, _ = upload(there, 10)
        assert descriptor.digest in registry.blobs


def test_an_address_elsewhere_without_tls_is_not_followed(certificates: Certificates) -> None:
    with Registry(tls=certificates) as registry:
        there = repository(registry, trust=Trust(ca=(str(certificates.ca),)))
        location = {"Location": f"http://elsewhere.example/upload?secret={CANARY}"}
        registry.fail(Fault(method="POST", status=202, headers=location))
        with pytest.raises(Unreachable, match="without TLS") as caught:
            upload(there, 10)
        assert CANARY not in str(caught.value)


def test_an_answer_without_an_address_is_an_error(registry: Registry) -> None:
    registry.fail(Fault(method="POST", status=202))
    with pytest.raises(Unreachable, match="sent no Location"):
        upload(repository(registry), 10)


def test_a_push_without_the_right_to_it_says_where_credentials_were_looked_for() -> None:
    with guarded(may=["pull"]) as registry:
        with pytest.raises(NotAllowed) as caught:
            upload(repository(registry, known=credential()), 10)
        text = str(caught.value)
        assert "POST" in text
        assert "auths in a.json: none" in text
        assert f"ask for the right to do this in {registry.host}/team/app" in text
        assert CANARY not in text


# -- the file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:-1], "ends after"),
        (lambda data: data + b"!", "has more than"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "has digest sha256:"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_of_it_is_kept(
    registry: Registry, tmp_path: Path, size: int, damage: object, problem: str
) -> None:
    descriptor, open_blob = blob(size)
    path = tmp_path / "blob"
    path.write_bytes(damage(open_blob().read()))  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=problem) as caught:
        repository(registry).upload(descriptor, lambda: path.open("rb"))
    assert caught.value.where == str(path)
    # A PATCH that is broken off may be told of last.
    assert "PUT" not in asked(registry)
    assert "DELETE" in asked(registry)
    assert registry.blobs == {}


def test_a_file_that_cannot_be_read_is_no_trouble_of_the_network(registry: Registry, tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        name = str(tmp_path / "blob")

        def read(self, _: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    descriptor, _ = blob(LARGE)
    with pytest.raises(IntegrityError, match="cannot be read: Input/output error"):
        repository(registry).upload(descriptor, Failing)


def test_a_file_is_read_once(registry: Registry) -> None:
    reads: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            reads.append(len(data))
            return data

    data = blob(LARGE)[1]().read()
    repository(registry).upload(described(data), lambda: Counting(data))
    assert sum(reads) == LARGE


def test_files_are_closed(registry: Registry) -> None:
    opened: list[BinaryIO] = []

    def open_blob() -> BinaryIO:
        opened.append(io.BytesIO(b"x" * LARGE))
        return opened[-1]

    repository(registry).upload(described(b"x" * LARGE), open_blob)
    registry.fail(Fault(method="PATCH", status=403, times=None))
    with pytest.raises(TaskImageError):
        repository(registry).upload(described(b"x" * LARGE + b"y"), open_blob)
    assert [one.closed for one in opened] == [True, True]


# -- the end -------------------------------------------------------------------------------------------


def test_uploads_stop_with_their_crew(registry: Registry) -> None:
    registry.fail(Fault(method="PATCH", rate=50_000, times=None))
    there = repository(registry)
    began = time.monotonic()

    def work(seed: int) -> None:
        if seed == 7:
            time.sleep(0.3)
            raise KeyboardInterrupt
        upload(there, LARGE, seed)

    with pytest.raises(KeyboardInterrupt):
        Crew.run(work, range(8))
    assert time.monotonic() - began < 3
    assert registry.blobs == {}


def test_an_address_is_kept_with_its_path_and_query(registry: Registry) -> None:
    upload(repository(registry), LARGE)
    states = [urlsplit(one.path).query for one in registry.requests if one.method == "PATCH"]
    assert len(set(states)) == 4
