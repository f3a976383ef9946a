"""Files for other tools: whole or not at all, the same bytes every time, checked on the way out."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from taskimage.adapters import layout
from taskimage.adapters.atomic import replacing
from taskimage.adapters.images.archive_target import archive_target
from taskimage.adapters.images.layout import layout_target
from taskimage.adapters.images.store import store_source
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, CannotBuild, IntegrityError, NotAllowed, NotFound
from taskimage.model.oci import ExecutionConfig, Platform
from taskimage.transform.assemble import BuiltImage, Layer, assemble
from taskimage.transform.entry import Entry
from taskimage.transform.validate import validate
from taskimage.verbs.transfer import transfer

NAME = "registry.example.com:5000/team/app:v1"

Write: TypeAlias = Callable[[Store, BuiltImage, Path], None]


def to_layout(store: Store, image: BuiltImage, path: Path, *, name: str = NAME) -> None:
    with layout_target(path, store) as target:
        transfer(store_source(store), target, image.raw, names=[name])


def to_archive(store: Store, image: BuiltImage, path: Path) -> None:
    with archive_target("an archive", replacing(path)) as target:
        transfer(store_source(store), target, image.raw, names=[NAME])


both = pytest.mark.parametrize("write", [to_layout, to_archive])


@pytest.fixture
def image(store: Store, keep_layer: Callable[..., Layer]) -> BuiltImage:
    """An image of two layers, the second one used twice."""
    lower = keep_layer(store, Entry.file("etc/a", b"a" * 5000))
    upper = keep_layer(store, Entry.file("etc/b", b"b"))
    made = assemble(
        [lower, upper, upper], ExecutionConfig(user="1000:0"), platform=Platform("linux", "amd64")
    )
    layout.put(store, made)
    return made


def tree(path: Path) -> dict[str, str]:
    """The digest of every file at or below a path."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return {str(one.relative_to(path)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def test_a_layout_holds_the_whole_image_under_its_name(
    store: Store, image: BuiltImage, tmp_path: Path
) -> None:
    to_layout(store, image, tmp_path / "out")
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    assert [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]] == [NAME]
    assert index["manifests"][0]["digest"] == str(image.digest)
    blobs = {path.name for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()}
    digests = [image.digest, image.manifest.config.digest, *(one.digest for one in image.manifest.layers)]
    assert blobs == {digest.hex for digest in digests}


def test_what_a_layout_holds_is_sound(store: Store, keep_layer: Callable[..., Layer], tmp_path: Path) -> None:
    layer = keep_layer(store, Entry.file("etc/a", b"a"))
    execution = ExecutionConfig(user="1000:0", working_dir="/")
    image = assemble([layer], execution, platform=Platform("linux", "amd64"))
    layout.put(store, image)
    to_layout(store, image, tmp_path / "out")
    blobs = tmp_path / "out" / "blobs"
    assert validate(str(image.digest), lambda digest: (blobs / digest.replace(":", "/")).open("rb")) == ()


def test_an_archive_is_what_docker_save_writes(store: Store, image: BuiltImage, tmp_path: Path) -> None:
    to_archive(store, image, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    (entry,) = json.loads(contents.pop("manifest.json"))
    assert entry["RepoTags"] == [NAME]
    assert contents.pop(entry["Config"]) == image.config_bytes
    assert [str(Digest.of(contents[name])) for name in entry["Layers"]] == [
        str(one.digest) for one in image.manifest.layers
    ]
    assert len(contents) == 2


@both
def test_the_same_image_gives_the_same_bytes(
    store: Store, image: BuiltImage, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, image, tmp_path / "one")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    umask = os.umask(0o077)
    try:
        write(store, image, tmp_path / "two")
    finally:
        os.umask(umask)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@both
def test_a_second_time_changes_nothing(store: Store, image: BuiltImage, tmp_path: Path, write: Write) -> None:
    write(store, image, tmp_path / "out")
    before = tree(tmp_path / "out")
    write(store, image, tmp_path / "out")
    assert tree(tmp_path / "out") == before


@both
def test_a_layer_that_is_gone_leaves_nothing_behind(
    store: Store, image: BuiltImage, tmp_path: Path, write: Write
) -> None:
    store.blob_path(image.manifest.layers[-1].digest).unlink()
    out = tmp_path / "folder"
    out.mkdir()
    with pytest.raises(NotFound, match="build the image again"):
        write(store, image, out / "out")
    assert list(out.iterdir()) == []


@both
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:-1] + b"!", lambda data: data + b"!"]
)
def test_a_damaged_layer_is_refused_and_leaves_nothing_behind(
    store: Store, image: BuiltImage, tmp_path: Path, write: Write, damage: Callable[[bytes], bytes]
) -> None:
    path = store.blob_path(image.manifest.layers[0].digest)
    path.write_bytes(damage(path.read_bytes()))
    out = tmp_path / "folder"
    out.mkdir()
    with pytest.raises(IntegrityError, match="remove that file"):
        write(store, image, out / "out")
    assert list(out.iterdir()) == []


@both
def test_a_folder_that_is_not_there_is_not_found(
    store: Store, image: BuiltImage, tmp_path: Path, write: Write
) -> None:
    with pytest.raises(NotFound, match="No such file or directory"):
        write(store, image, tmp_path / "nowhere" / "out")


def test_a_layout_keeps_the_images_that_it_has(
    store: Store, image: BuiltImage, keep_layer: Callable[..., Layer], tmp_path: Path
) -> None:
    other = assemble([keep_layer(store)], ExecutionConfig(), platform=Platform("linux", "amd64"))
    layout.put(store, other)
    to_layout(store, image, tmp_path / "out", name="a:1")
    to_layout(store, other, tmp_path / "out", name="b:1")
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    assert [one["digest"] for one in index["manifests"]] == [str(image.digest), str(other.digest)]


def test_an_empty_folder_becomes_a_layout(store: Store, image: BuiltImage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    to_layout(store, image, tmp_path / "out")
    assert (tmp_path / "out" / "oci-layout").is_file()


def test_a_folder_of_other_things_is_left_alone(store: Store, image: BuiltImage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("dear")
    with pytest.raises(BadInput, match="is not an OCI image layout"):
        to_layout(store, image, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder_for_a_layout(store: Store, image: BuiltImage, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("dear")
    with pytest.raises(BadInput, match="is not an OCI image layout"):
        to_layout(store, image, tmp_path / "out")


def test_a_folder_is_no_file_for_an_archive(store: Store, image: BuiltImage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(NotAllowed, match="name a file, not a folder"):
        to_archive(store, image, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["out"]


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "family"),
    [
        (errno.ENOSPC, CannotBuild),
        (errno.EACCES, NotAllowed),
        (errno.EROFS, NotAllowed),
        (errno.EIO, OSError),
    ],
)
def test_an_error_of_the_system_belongs_to_a_family(
    tmp_path: Path, number: int, family: type[Exception]
) -> None:
    with pytest.raises(family), replacing(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []
