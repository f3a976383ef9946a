"""Images go from place to place bit for bit; what is there is not sent, and a failure leaves nothing to be found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from tests.repositories import repository

from taskimage.adapters.images.layout import LayoutSource, layout_target
from taskimage.adapters.images.registry import RegistrySource, RegistryTarget
from taskimage.adapters.images.store import StoreTarget, store_source
from taskimage.adapters.layout import find_in
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound, TaskImageError, Unreachable
from taskimage.model.events import Done, Event, Moved, Notice, Started
from taskimage.model.oci import CONFIG, INDEX, MANIFEST, Platform, RawManifest, canonical_json
from taskimage.testing import Fault, MadeImage, Registry, make_image, make_index
from taskimage.verbs.transfer import Target, chosen, transfer

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
SHARED = {"etc/shared": b"shared" * 1000}


@pytest.fixture
def here() -> Iterator[Registry]:
    """Where images are."""
    with Registry() as registry:
        yield registry


@pytest.fixture
def there() -> Iterator[Registry]:
    """Where they go."""
    with Registry() as registry:
        yield registry


def for_platforms(*, docker: bool = False) -> MadeImage:
    """An index of two images that share a layer."""
    return make_index(
        [
            make_image([SHARED, {"etc/arch": str(one).encode()}], platform=str(one), docker=docker)
            for one in (AMD64, ARM64)
        ],
        docker=docker,
    )


def index_of(*parts: MadeImage) -> MadeImage:
    """An index that may be a part of another one."""
    return dataclasses.replace(make_index(parts), platform=AMD64.to_dict())


def source_of(registry: Registry, store: Store, path: str = "team/app") -> RegistrySource:
    return RegistrySource([repository(registry, path)], store)


def target_of(registry: Registry, path: str = "copy/app") -> RegistryTarget:
    return RegistryTarget(repository(registry, path))


def raw(image: MadeImage) -> RawManifest:
    return RawManifest(image.media_type, image.manifest)


def sent(registry: Registry) -> list[str]:
    """The blobs and manifests that the registry was sent, in order."""
    return [
        one.path.partition("/v2/")[2]
        for one in registry.requests
        if one.method in ("PUT", "POST", "PATCH") and one.received
    ]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- what arrives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_an_index_arrives_as_it_is_with_all_that_it_names(
    here: Registry, there: Registry, store: Store, *, docker: bool
) -> None:
    index = for_platforms(docker=docker)
    here.put_image("team/app:v1", index)
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1", "latest"])
    for tag in ("v1", "latest"):
        assert there.manifest("copy/app", tag).data == index.manifest
        assert there.manifest("copy/app", tag).media_type == index.media_type
    assert there.blobs.keys() == {Digest.of(blob) for part in index.parts for blob in part.blobs}


def test_names_come_last_and_children_before_their_index(
    here: Registry, there: Registry, store: Store
) -> None:
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    manifests = [path for path in sent(there) if "/manifests/" in path]
    assert sent(there)[-3:] == manifests
    assert manifests[-1] == "copy/app/manifests/v1"


def test_a_layer_of_several_images_is_sent_once(here: Registry, there: Registry, store: Store) -> None:
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert len([path for path in sent(there) if "/uploads/" in path]) == 5


def test_what_is_there_is_not_sent_again(here: Registry, there: Registry, store: Store) -> None:
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    here.clear_requests()
    there.clear_requests()
    transfer(source, target_of(there), source.find("v1"), names=["v2"])
    assert not any("/uploads/" in path for path in sent(there))
    assert not any("/blobs/" in one.path for one in here.requests)


def test_within_a_registry_blobs_are_mounted(here: Registry, store: Store) -> None:
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    target = RegistryTarget(repository(here, "copy/app"), mount_from=["team/app"])
    transfer(source, target, source.find("v1"), names=["v1"])
    assert not any(one.method == "GET" and "/blobs/" in one.path for one in here.requests)
    assert here.manifest("copy/app", "v1").data == for_platforms().manifest


def test_where_nothing_can_be_mounted_it_is_sent_over_this_machine(store: Store) -> None:
    with Registry(mount=False) as registry:
        registry.put_image("team/app:v1", for_platforms())
        source = source_of(registry, store)
        target = RegistryTarget(repository(registry, "copy/app"), mount_from=["team/app"])
        transfer(source, target, source.find("v1"), names=["v1"])
        assert registry.manifest("copy/app", "v1").data == for_platforms().manifest


def test_one_platform_is_its_manifest_and_nothing_else(here: Registry, there: Registry, store: Store) -> None:
    index = for_platforms()
    here.put_image("team/app:v1", index)
    source = source_of(here, store)
    transfer(source, target_of(there), chosen(source, source.find("v1"), ARM64), names=["arm"])
    assert there.manifest("copy/app", "arm").digest == index.parts[1].digest
    assert there.blobs.keys() == {Digest.of(blob) for blob in index.parts[1].blobs}


def test_an_image_for_another_platform_is_not_found(here: Registry, store: Store) -> None:
    here.put_image("team/app:v1", make_image())
    source = source_of(here, store)
    assert chosen(source, source.find("v1"), AMD64) == raw(make_image())
    with pytest.raises(NotFound, match="the image is for linux/amd64, and linux/arm64 is wanted"):
        chosen(source, source.find("v1"), ARM64)


def test_what_is_attached_to_an_image_goes_with_its_index(
    here: Registry, there: Registry, store: Store
) -> None:
    attestation = make_image([{"statement": b"{}"}], platform="unknown/unknown")
    here.put_image("team/app:v1", make_index([make_image(), attestation]))
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert there.manifest("copy/app", str(attestation.digest)).data == attestation.manifest


def test_layers_that_are_to_be_had_elsewhere_are_left_there_and_told(
    here: Registry, there: Registry, store: Store
) -> None:
    image = make_image()
    document = json.loads(image.manifest)
    document["layers"].insert(
        0,
        {
            "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "digest": str(Digest.of(b"elsewhere")),
            "size": 9,
            "urls": ["https://example.com/layer"],
        },
    )
    for blob in image.blobs:
        here.put_blob("team/app", blob)
    here.put_manifest("team/app", "v1", MANIFEST, canonical_json(document))
    events: list[Event] = []
    store_target = StoreTarget(store)
    source = source_of(here, store)
    transfer(source, store_target, source.find("v1"), listener=events.append)
    assert store.read_blob(Digest.of(canonical_json(document)))
    assert [one.text for one in events if isinstance(one, Notice)] == [
        "not copied, as their makers want it: 1 layer to be had elsewhere"
    ]


def test_progress_adds_up_to_all_bytes_whether_they_were_sent_or_not(
    here: Registry, there: Registry, store: Store
) -> None:
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    total = sum(
        {Digest.of(blob): len(blob) for part in for_platforms().parts for blob in part.blobs}.values()
    )
    done: list[str] = []
    for _ in range(2):
        events: list[Event] = []
        transfer(source, target_of(there), source.find("v1"), names=["v1"], listener=events.append)
        assert [one.total for one in events if isinstance(one, Started)] == [total]
        assert sum(one.amount for one in events if isinstance(one, Moved)) == total
        done.append(next(one.label for one in events if isinstance(one, Done)).split(", to ")[0])
    assert done == ["Moved 5 blobs, 0.0 MB", f"All blobs are at {there.host}/copy/app already"]


# -- the store, and layouts --------------------------------------------------------------------------------


def test_what_the_store_has_is_not_fetched(here: Registry, there: Registry, store: Store) -> None:
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    transfer(source, StoreTarget(store), source.find("v1"), names=["app:v1"])
    here.clear_requests()
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert [(one.method, one.path) for one in here.requests] == [("GET", "/v2/team/app/manifests/v1")]
    assert there.manifest("copy/app", "v1").data == for_platforms().manifest


def test_a_layout_gives_back_what_it_got(
    here: Registry, there: Registry, store: Store, tmp_path: Path
) -> None:
    here.put_image("team/app:v1", for_platforms(docker=True))
    source = source_of(here, store)
    with layout_target(tmp_path / "out", store) as target:
        transfer(source, target, source.find("v1"), names=["v1"])
    layout = LayoutSource(tmp_path / "out")
    root = layout.manifest(find_in(tmp_path / "out", name="v1"))
    transfer(layout, target_of(there), root, names=["v1"])
    assert there.manifest("copy/app", "v1") == here.manifest("team/app", "v1")


def test_an_image_without_a_name_is_in_the_index_once(here: Registry, store: Store, tmp_path: Path) -> None:
    here.put_image("team/app:v1", make_image())
    source = source_of(here, store)
    for _ in range(2):
        with layout_target(tmp_path / "out", store) as target:
            transfer(source, target, source.find("v1"))
    (found,) = json.loads((tmp_path / "out" / "index.json").read_bytes())["manifests"]
    assert "annotations" not in found
    assert found["platform"] == {"os": "linux", "architecture": "amd64"}


def damaged_layout(here: Registry, store: Store, folder: Path, damage: bytes | None) -> Digest:
    """A layout with an image of which a layer is other bytes, or missing; the layer."""
    here.put_image("team/app:v1", make_image([SHARED]))
    source = source_of(here, store)
    with layout_target(folder, store) as target:
        transfer(source, target, source.find("v1"), names=["v1"])
    layer = Digest.of(make_image([SHARED]).blobs[1])
    path = folder / "blobs" / layer.algorithm / layer.hex
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    return layer


@pytest.mark.parametrize("damage", [b"", b"!", b"!" * len(make_image([SHARED]).blobs[1])])
@pytest.mark.parametrize("kind", ["registry", "layout", "store"])
def test_a_damaged_blob_is_named_and_nothing_can_be_found_at_the_target(
    here: Registry, there: Registry, store: Store, tmp_path: Path, *, damage: bytes, kind: str
) -> None:
    layer = damaged_layout(here, store, tmp_path / "in", damage)
    source = LayoutSource(tmp_path / "in")
    root = source.manifest(find_in(tmp_path / "in"))
    other = Store(tmp_path / "other")
    targets: dict[str, AbstractContextManager[Target]] = {
        "registry": nullcontext(target_of(there)),
        "layout": layout_target(tmp_path / "out", store),
        "store": nullcontext(StoreTarget(other)),
    }
    with pytest.raises(IntegrityError, match=layer.hex), targets[kind] as target:
        transfer(source, target, root, names=["v1"])
    assert there.tags("copy/app") == []
    assert layer not in there.blobs
    assert not (tmp_path / "out").exists()
    assert not other.blob_path(layer).exists()
    assert not other.blob_path(root.digest).exists()


def test_a_blob_that_is_missing_is_named(
    here: Registry, there: Registry, store: Store, tmp_path: Path
) -> None:
    layer = damaged_layout(here, store, tmp_path / "in", None)
    source = LayoutSource(tmp_path / "in")
    with pytest.raises(NotFound, match=f"no blob {layer}"):
        transfer(source, target_of(there), source.manifest(find_in(tmp_path / "in")), names=["v1"])
    assert there.tags("copy/app") == []


# -- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(path="/blobs/", method="GET", flip=3, times=None), IntegrityError),
        (Fault(path="/blobs/", method="GET", status=500, times=None), Unreachable),
        (Fault(path="/blobs/", method="GET", cut_response=3, headers={"Accept-Ranges": "none"}, times=None), TaskImageError),
        (Fault(path="/blobs/", method="GET", code="BLOB_UNKNOWN", times=None), NotFound),
    ],
    ids=["flipped", "500", "cut", "gone"],
)  # fmt: skip
def test_a_source_that_fails_leaves_the_target_as_it_was(
    here: Registry, there: Registry, store: Store, tmp_path: Path, *, fault: Fault, error: type[Exception]
) -> None:  # fmt: skip
    old = make_image([{"etc/old": b"old"}])
    there.put_image("copy/app:v1", old)
    here.put_image("team/app:v0", old)
    here.put_image("team/app:v1", for_platforms())
    source = source_of(here, store)
    folder = tmp_path / "out"
    with layout_target(folder, store) as layout:
        transfer(source, layout, source.find("v0"), names=["v1"])
    before = tree(folder)["index.json"]
    root = source.find("v1")
    here.fail(fault)
    for opened in (nullcontext(target_of(there)), layout_target(folder, store)):
        with pytest.raises(error), opened as target:
            transfer(source, target, root, names=["v1"])
    assert there.manifest("copy/app", "v1").digest == old.digest
    assert tree(folder)["index.json"] == before
    assert all(
        Digest.of(data).hex == Path(name).name for name, data in tree(folder).items() if "blobs" in name
    )


def test_a_download_that_is_cut_goes_on(here: Registry, there: Registry, store: Store) -> None:
    big = make_image([{"etc/big": bytes(range(256)) * 4000}], compressed=False)
    here.put_image("team/app:v1", big)
    here.fail(Fault(path="/blobs/", method="GET", cut_response=300_000, times=3))
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert there.manifest("copy/app", "v1").data == big.manifest
    assert sum(one.sent for one in here.requests if "/blobs/" in one.path) < 2 * 1024 * 1000


def test_a_blob_that_the_registry_lost_in_between_is_sent_again(
    here: Registry, there: Registry, store: Store
) -> None:
    here.put_image("team/app:v1", make_image())
    there.fail(Fault(method="PUT", path="/manifests/", code="MANIFEST_BLOB_UNKNOWN"))
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert there.manifest("copy/app", "v1").data == make_image().manifest


def test_a_mirror_that_lacks_something_is_passed_over(here: Registry, there: Registry, store: Store) -> None:
    here.put_image("team/app:v1", for_platforms())
    there.put_image("team/app:v1", for_platforms())
    there.fail(Fault(path="/blobs/", code="BLOB_UNKNOWN", times=None))
    source = RegistrySource([repository(there), repository(here)], store)
    transfer(source, StoreTarget(store), source.find("v1"))
    assert not any("/manifests/v1" in one.path for one in here.requests)
    near = store_source(store)
    for part in for_platforms().parts:
        assert near.manifest(raw(part).descriptor).data == part.manifest
        assert all(store.read_blob(Digest.of(blob)) == blob for blob in part.blobs)


def test_a_manifest_that_its_index_names_in_vain_is_not_found(
    here: Registry, there: Registry, store: Store
) -> None:
    index = for_platforms()
    here.put_image("team/app", index.parts[0])
    here.put_manifest("team/app", "v1", INDEX, index.manifest)
    source = source_of(here, store)
    with pytest.raises(NotFound, match=str(index.parts[1].digest)):
        transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert there.tags("copy/app") == []


def test_indexes_without_end_are_refused(here: Registry, there: Registry, store: Store) -> None:
    index = make_image()
    for _ in range(6):
        index = index_of(index)
    here.put_image("team/app:v1", index)
    source = source_of(here, store)
    with pytest.raises(BadInput, match="indexes within indexes"):
        transfer(source, target_of(there), source.find("v1"), names=["v1"])


def test_a_manifest_below_two_indexes_arrives_before_both(
    here: Registry, there: Registry, store: Store
) -> None:
    image, other = make_image(), make_image([{"a": b"a"}], platform="linux/arm64")
    inner = index_of(image)
    here.put_image("team/app:v1", index_of(image, inner, index_of(inner, other)))
    source = source_of(here, store)
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    order = [path.rpartition("/")[2] for path in sent(there) if "/manifests/" in path]
    assert len(order) == 5
    assert order.index(str(image.digest)) < order.index(str(inner.digest)) < len(order) - 1


def test_an_artifact_is_copied_as_an_image_is(here: Registry, there: Registry, store: Store, tmp_path: Path) -> None:  # fmt: skip
    config, layer = b"{}", b"anything"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/x.test",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(Digest.of(config)), "size": 2},
        "layers": [{"mediaType": CONFIG, "digest": str(Digest.of(layer)), "size": 8}],
    }  # fmt: skip
    for blob in (config, layer):
        here.put_blob("team/app", blob)
    here.put_manifest("team/app", "v1", MANIFEST, canonical_json(manifest))
    source = source_of(here, store)
    with layout_target(tmp_path / "out", store) as target:
        transfer(source, target, source.find("v1"), names=["v1"])
    transfer(source, target_of(there), source.find("v1"), names=["v1"])
    assert there.manifest("copy/app", "v1").data == canonical_json(manifest)
