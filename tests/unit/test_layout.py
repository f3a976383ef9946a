"""Names of the store's images: one meaning each, read back, in a file that other tools read."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from taskimage.adapters import layout
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError, NotFound
from taskimage.model.oci import MANIFEST, Descriptor, ExecutionConfig, Platform
from taskimage.transform.assemble import BuiltImage, assemble


def descriptor(content: bytes) -> Descriptor:
    """A descriptor of a manifest that is nowhere."""
    return Descriptor(media_type=MANIFEST, digest=Digest.of(content), size=len(content))


def image(user: str = "1000:0") -> BuiltImage:
    """An image of no layers."""
    return assemble([], ExecutionConfig(user=user), platform=Platform("linux", "amd64"))


def test_a_store_without_an_index_has_no_images(store: Store) -> None:
    assert layout.images(store) == {}
    assert layout.find(store, "n:v") is None


def test_a_name_is_found_with_what_it_means_now(store: Store) -> None:
    layout.tag(store, "n:v", descriptor(b"old"))
    layout.tag(store, "n:v", descriptor(b"new"))
    found = layout.find(store, "n:v")
    assert found is not None
    assert found.digest == Digest.of(b"new")
    assert list(layout.images(store)) == ["n:v"]


def test_a_digest_is_found_as_a_name_is(store: Store) -> None:
    layout.tag(store, "n:v", descriptor(b"x"))
    found = layout.find(store, str(Digest.of(b"x")))
    assert found is not None
    assert found.size == 1
    assert layout.find(store, str(Digest.of(b"y"))) is None


def test_the_files_are_those_of_an_oci_image_layout(store: Store) -> None:
    layout.tag(store, "b:v", descriptor(b"x"))
    layout.tag(store, "a:v", descriptor(b"x"))
    assert json.loads((store.layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.layout / "index.json").read_bytes())
    names = [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]]
    assert names == ["a:v", "b:v"]


def test_an_image_that_was_put_is_loaded_again(store: Store) -> None:
    layout.put(store, image(), names=["n:v", "n:w"])
    for name in ("n:v", "n:w"):
        found = layout.find(store, name)
        assert found is not None
        assert layout.load(store, found.digest) == image()


def test_an_image_whose_blobs_are_gone_is_not_found(store: Store) -> None:
    layout.put(store, image())
    store.blob_path(image().manifest.config.digest).unlink()
    with pytest.raises(NotFound, match="build the image again"):
        layout.load(store, image().digest)


def test_an_image_that_was_damaged_is_refused(store: Store) -> None:
    layout.put(store, image())
    store.blob_path(image().digest).write_bytes(image("0").manifest_bytes)
    with pytest.raises(IntegrityError, match="digest is"):
        layout.load(store, image().digest)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"schemaVersion":2,"manifests":[{}]}'])
def test_a_damaged_index_is_an_error_that_says_what_to_do(store: Store, data: bytes) -> None:
    store.layout.mkdir(parents=True)
    (store.layout / "index.json").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"hint: move index\.json away"):
        layout.find(store, "n:v")


def test_many_writers_lose_no_name(store: Store) -> None:
    names = [f"n:{number}" for number in range(8)]
    threads = [threading.Thread(target=layout.tag, args=(store, name, descriptor(b"x"))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(layout.images(store)) == names


def test_a_layout_elsewhere_is_read_by_its_folder(tmp_path: Path) -> None:
    assert layout.read_index(tmp_path).manifests == ()
