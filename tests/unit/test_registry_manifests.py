"""Manifests in a registry: put, refused, attached to each other, and the build cache beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from tests.repositories import blob, described, repository

from taskimage.adapters.registry import BlobUnknown, buildcache
from taskimage.adapters.registry.buildcache import read_cache, write_cache
from taskimage.adapters.registry.repository import Repository
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotAllowed, NotFound, Unreachable
from taskimage.model.events import Event, Warned
from taskimage.model.oci import EMPTY, INDEX, MANIFEST, Descriptor, Index, Manifest, RawManifest
from taskimage.testing import Fault, Registry, make_image
from taskimage.transform.assemble import LAYER_KEY, Layer

IMAGE = make_image()
OTHER = make_image([{"etc/motd": b"another"}])
NOTHING = Descriptor(media_type=EMPTY, digest=Digest.of(b"{}"), size=2)


@pytest.fixture(params=[True, False], ids=["referrers", "tags"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """One with an image, which lists referrers or leaves that to its clients."""
    with Registry(referrers=request.param) as registry:
        registry.put_image("team/app:v1", IMAGE)
        yield registry


def raw(image: object = IMAGE) -> RawManifest:
    """The manifest of an image."""
    return RawManifest(image.media_type, image.manifest)  # type: ignore[attr-defined]


# -- manifests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [IMAGE, make_image(docker=True)])
def test_a_manifest_is_kept_as_it_is(registry: Registry, image: object) -> None:
    there = repository(registry)
    for data in image.blobs:  # type: ignore[attr-defined]
        there.upload(described(data), lambda data=data: BytesIO(data))  # type: ignore[misc]
    there.put_manifest(raw(image), "v2")
    assert there.manifest("v2") == raw(image)
    assert there.manifest(str(raw(image).digest)) == raw(image)
    assert there.head("v2") == raw(image).descriptor


def test_blobs_that_are_missing_can_be_told(registry: Registry) -> None:
    there = repository(registry)
    with pytest.raises(BlobUnknown, match="MANIFEST_BLOB_UNKNOWN"):
        there.put_manifest(raw(OTHER), "v2")
    for data in OTHER.blobs:
        there.upload(described(data), lambda data=data: BytesIO(data))  # type: ignore[misc]
    there.put_manifest(raw(OTHER), "v2")
    assert registry.tags("team/app") == ["v1", "v2"]


def test_a_registry_that_keeps_something_else_is_found_out(registry: Registry) -> None:
    registry.fail(Fault(method="PUT", status=201, headers={"Docker-Content-Digest": str(NOTHING.digest)}))
    with pytest.raises(IntegrityError, match="the registry kept"):
        repository(registry).put_manifest(raw(), "v2")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]}'),
        (403, b'{"errors": [{"code": "DENIED", "message": "tag is locked"}]}'),
        (409, b""),
        (412, b'{"errors": [{"code": "PRECONDITION", "message": "configured as immutable"}]}'),
    ],
)
def test_a_tag_that_does_not_move(registry: Registry, status: int, body: bytes) -> None:
    registry.fail(Fault(method="PUT", status=status, body=body, times=None))
    there = repository(registry)
    with pytest.raises(NotAllowed, match="the tag exists and the registry keeps it") as caught:
        there.put_manifest(raw(OTHER), "v1")
    assert str(IMAGE.digest) in str(caught.value)
    assert str(OTHER.digest) in str(caught.value)
    # What it names already can be put again.
    there.put_manifest(raw(), "v1")


def test_a_tag_that_cannot_be_made_is_not_said_to_exist(registry: Registry) -> None:
    document = b'{"errors": [{"code": "TAG_INVALID", "message": "no such tag, please"}]}'
    registry.fail(Fault(method="PUT", status=400, body=document, times=None))
    with pytest.raises(BadInput, match="no such tag, please"):
        repository(registry).put_manifest(raw(), "v2")


def test_a_right_that_is_lacking_is_not_taken_for_a_tag_that_is_kept(registry: Registry) -> None:
    registry.fail(Fault(method="PUT", status=403, code="DENIED", times=None))
    with pytest.raises(NotAllowed, match="403 Forbidden") as caught:
        repository(registry).put_manifest(raw(OTHER), "v1")
    assert "the tag exists" not in str(caught.value)


@pytest.mark.parametrize("fault", [Fault(flip=7), Fault(truncate=7)])
def test_a_manifest_that_was_changed_on_its_way(registry: Registry, fault: Fault) -> None:
    registry.fail(replace(fault, method="GET", times=None))
    with pytest.raises(IntegrityError, match="wanted sha256:"):
        repository(registry).manifest("v1")


def test_without_a_digest_in_the_head_the_manifest_is_hashed(registry: Registry) -> None:
    registry.fail(Fault(method="HEAD", status=200, headers={"Content-Type": MANIFEST}))
    assert repository(registry).head("v1") == raw().descriptor


# -- blobs ---------------------------------------------------------------------------------------------


def fetched(there: Repository, store: Store, descriptor: Descriptor) -> list[int]:
    """Download a blob into ``store``; what was told of the progress."""
    moves: list[int] = []
    with store.pending_blob() as pending:
        there.download(descriptor, pending, moved=moves.append)
    return moves


@pytest.mark.parametrize(
    "fault", [Fault(cut_response=70_000), Fault(length=10), Fault(status=503), Fault(lost=True)]
)
def test_a_download_goes_on_where_it_stopped(registry: Registry, store: Store, fault: Fault) -> None:
    descriptor, open_blob = blob(300_000)
    registry.put_blob("team/app", open_blob().read())
    registry.fail(replace(fault, method="GET", times=3))
    assert sum(fetched(repository(registry), store, descriptor)) == 300_000
    assert store.blob_path(descriptor.digest).read_bytes() == open_blob().read()
    assert sum(one.sent for one in registry.requests) < 310_000


def test_a_registry_without_ranges_sends_all_again(store: Store) -> None:
    descriptor, open_blob = blob(300_000)
    with Registry(ranges=False) as registry:
        registry.put_blob("team/app", open_blob().read())
        registry.fail(Fault(method="GET", cut_response=70_000))
        assert sum(fetched(repository(registry), store, descriptor)) == 300_000


@pytest.mark.parametrize("fault", [Fault(flip=9), Fault(truncate=9), Fault(status=200, body=b"x" * 400_000)])
def test_other_bytes_are_never_kept(registry: Registry, store: Store, fault: Fault) -> None:
    descriptor, open_blob = blob(300_000)
    registry.put_blob("team/app", open_blob().read())
    registry.fail(replace(fault, method="GET", times=None))
    with pytest.raises((IntegrityError, Unreachable)):
        fetched(repository(registry), store, descriptor)
    assert [path for path in store.home.rglob("*") if path.is_file()] == []


def test_a_small_blob_is_checked(registry: Registry) -> None:
    registry.fail(Fault(method="GET", flip=0))
    with pytest.raises(IntegrityError):
        repository(registry).blob(described(IMAGE.blobs[0]))


# -- what is attached ----------------------------------------------------------------------------------


def note(number: int, artifact_type: str | None = "application/vnd.example.note") -> RawManifest:
    """Something that is about the image."""
    manifest = Manifest(
        config=NOTHING, layers=(NOTHING,), artifact_type=artifact_type,
        subject=raw().descriptor, annotations={"number": str(number)},
    )  # fmt: skip
    return RawManifest(MANIFEST, manifest.to_json())


def with_nothing(registry: Registry) -> Repository:
    """A repository that has the empty blob."""
    registry.put_blob("team/app", b"{}")
    return repository(registry)


def test_what_is_attached_is_listed(registry: Registry) -> None:
    there = with_nothing(registry)
    assert there.referrers(IMAGE.digest) == ()
    notes = [note(1), note(2), note(3, "application/vnd.example.other")]
    for one in notes:
        there.attach(one)
    found = there.referrers(IMAGE.digest)
    assert {one.digest for one in found} == {one.digest for one in notes}
    assert {one.annotations["number"] for one in found} == {"1", "2", "3"}
    some = there.referrers(IMAGE.digest, "application/vnd.example.other")
    assert [(one.digest, one.artifact_type) for one in some] == [
        (notes[2].digest, "application/vnd.example.other")
    ]


def test_what_has_no_type_has_that_of_its_configuration() -> None:
    with Registry(referrers=False) as registry:
        registry.put_image("team/app:v1", IMAGE)
        there = with_nothing(registry)
        there.attach(note(1, None))
        assert [one.artifact_type for one in there.referrers(IMAGE.digest)] == [EMPTY]


def test_a_thing_is_attached_once() -> None:
    with Registry(referrers=False) as registry:
        registry.put_image("team/app:v1", IMAGE)
        there = with_nothing(registry)
        for _ in range(2):
            there.attach(note(1))
        assert len(there.referrers(IMAGE.digest)) == 1
        assert registry.tags("team/app") == [str(IMAGE.digest).replace(":", "-"), "v1"]


def test_a_tag_that_is_no_index_is_left_alone() -> None:
    with Registry(referrers=False) as registry:
        tag = str(IMAGE.digest).replace(":", "-")
        registry.put_image(f"team/app:{tag}", IMAGE)
        there = with_nothing(registry)
        with pytest.raises(BadInput, match="should name an index"):
            there.attach(note(1))
        assert registry.manifest("team/app", tag).digest == IMAGE.digest


def test_what_has_no_subject_is_attached_to_nothing(registry: Registry) -> None:
    with pytest.raises(BadInput, match="without a subject"):
        repository(registry).attach(raw())


@pytest.mark.parametrize("status", [400, 405, 406])
def test_registries_say_in_many_ways_that_they_list_nothing(registry: Registry, status: int) -> None:
    registry.fail(Fault(path="/referrers/", status=status))
    assert repository(registry).referrers(IMAGE.digest) == ()


def test_a_list_that_cannot_be_had_is_no_empty_list(registry: Registry) -> None:
    registry.fail(Fault(path="/referrers/", status=503, times=None))
    with pytest.raises(Unreachable):
        repository(registry).referrers(IMAGE.digest)


# -- the build cache -----------------------------------------------------------------------------------


def layers(registry: Registry, *numbers: int) -> dict[Digest, Layer]:
    """Layers that the repository has, by their keys."""
    made = {}
    for number in numbers:
        key = Digest.of(str(number).encode())
        descriptor, open_blob = blob(10, number)
        registry.put_blob("team/app", open_blob().read())
        annotated = replace(descriptor, annotations={LAYER_KEY: str(key)})
        made[key] = Layer(descriptor=annotated, diff_id=Digest.of(b"tar"), origin=f"layer {number}")
    return made


def test_a_build_cache_is_read_as_it_was_written(registry: Registry) -> None:
    there = repository(registry)
    assert read_cache(there) == {}
    first, second = layers(registry, 1, 2), layers(registry, 3)
    write_cache(there, first)
    assert read_cache(there) == first
    write_cache(there, second)
    assert list(read_cache(there).items()) == [*first.items(), *second.items()]


def test_a_build_cache_is_one_get(registry: Registry) -> None:
    there = repository(registry)
    write_cache(there, layers(registry, 1, 2))
    registry.clear_requests()
    read_cache(there)
    assert [one.method for one in registry.requests] == ["GET"]


def test_a_build_cache_is_written_only_when_something_is_new(registry: Registry) -> None:
    there = repository(registry)
    write_cache(there, layers(registry, 1, 2))
    registry.clear_requests()
    write_cache(there, layers(registry, 2))
    assert [one.method for one in registry.requests] == ["GET"]


def test_a_build_cache_forgets_the_oldest(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildcache, "_MOST", 3)
    there = repository(registry)
    write_cache(there, layers(registry, 1, 2, 3))
    write_cache(there, layers(registry, 1, 4))
    assert read_cache(there) == layers(registry, 3, 1, 4)


def test_a_thousand_layers_fit(registry: Registry) -> None:
    there = repository(registry)
    write_cache(there, layers(registry, *range(1000)))
    assert len(read_cache(there)) == 1000
    assert len(registry.manifest("team/app", "buildcache").data) < 1 << 20


def test_layers_that_are_gone_are_forgotten(registry: Registry) -> None:
    there = repository(registry)
    write_cache(there, layers(registry, 1))
    registry.fail(Fault(method="PUT", path="/manifests/", status=400, code="MANIFEST_BLOB_UNKNOWN"))
    write_cache(there, layers(registry, 2))
    assert read_cache(there) == layers(registry, 2)


def test_something_else_at_the_tag_is_told_and_left_alone(registry: Registry) -> None:
    registry.put_image("team/app:buildcache", IMAGE)
    told: list[Event] = []
    there = repository(registry)
    assert read_cache(there, listener=told.append) == {}
    write_cache(there, layers(registry, 1), listener=told.append)
    assert [type(one) for one in told] == [Warned, Warned]
    assert registry.manifest("team/app", "buildcache").digest == IMAGE.digest


@pytest.mark.parametrize(
    ("wanted", "damaged"),
    [
        ("dev.taskimage.layer.diff-id", "dev.example"),
        ("dev.taskimage.layer.origin", "dev.example"),
        (LAYER_KEY, "dev.example"),
        ("sha256:", "sha999:"),
        ("application/vnd.oci.image.layer.v1.tar", "text/html"),
    ],
)
def test_a_damaged_build_cache_is_told_and_written_anew(
    registry: Registry, wanted: str, damaged: str
) -> None:
    there = repository(registry)
    write_cache(there, layers(registry, 1))
    data = registry.manifest("team/app", "buildcache").data
    head, _, tail = data.partition(b'"layers"')
    spoiled = head + b'"layers"' + tail.replace(wanted.encode(), damaged.encode(), 1)
    registry.put_manifest("team/app", "buildcache", MANIFEST, spoiled)
    told: list[Event] = []
    assert read_cache(there, listener=told.append) == {}
    assert [type(one) for one in told] == [Warned]
    write_cache(there, layers(registry, 2))
    assert read_cache(there) == layers(registry, 2)


def test_a_build_cache_that_cannot_be_had_is_a_warning(registry: Registry) -> None:
    there = repository(registry)
    write_cache(there, layers(registry, 1))
    kept = registry.manifest("team/app", "buildcache")
    registry.fail(Fault(path="/manifests/buildcache", status=503, times=None))
    told: list[Event] = []
    assert read_cache(there, listener=told.append) == {}
    write_cache(there, layers(registry, 2), listener=told.append)
    assert [type(one) for one in told] == [Warned, Warned]
    assert registry.manifest("team/app", "buildcache") == kept


def test_an_index_is_put_after_its_images(registry: Registry) -> None:
    there = repository(registry)
    index = RawManifest(INDEX, Index(manifests=(raw().descriptor,)).to_json())
    there.put_manifest(index, "all")
    assert there.manifest("all") == index
    with pytest.raises((BlobUnknown, NotFound)):
        there.put_manifest(RawManifest(INDEX, Index(manifests=(raw(OTHER).descriptor,)).to_json()), "more")
