"""Archives of docker save, of every release and of other programs, are read; what is hostile or damaged is refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from taskimage.adapters.images.archive_source import archive_source
from taskimage.adapters.images.store import StoreTarget
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, IntegrityError, NotFound, TaskImageError
from taskimage.model.oci import LAYER_GZIP, LAYER_ZSTD, Manifest, RawManifest, canonical_json, parse_json
from taskimage.verbs.transfer import transfer

Members: TypeAlias = list[tuple[str, bytes | str]]
"""Names of files with their bytes, or of symbolic links with their targets."""


def tar(members: Members) -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


LOWER, UPPER = tar([("etc/a", b"a" * 5000)]), tar([("etc/b", b"b")])


def config(*tars: bytes, **more: Any) -> bytes:
    """The configuration of an image of such layers, as Docker has it."""
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(one)) for one in tars]}
    return canonical_json(
        {"architecture": "amd64", "os": "linux", "rootfs": rootfs, "docker_version": "20", **more}
    )


def contents(name: str, layers: list[str], *tags: str) -> Mapping[str, object]:
    return {"Config": name, "RepoTags": list(tags) or None, "Layers": layers}


def legacy() -> Members:
    """An image of three layers, the last a repetition of the first, as Docker saved it before version 25."""
    document = config(LOWER, UPPER, LOWER)
    name = f"{Digest.of(document).hex}.json"
    listed = [contents(name, ["1/layer.tar", "2/layer.tar", "3/layer.tar"], "app:v1", "host:5000/app:v2")]
    return [
        ("1/VERSION", b"1.0"), ("1/json", b"{}"), ("1/layer.tar", LOWER), ("2/layer.tar", UPPER),
        ("3/layer.tar", "../1/layer.tar"), (name, document), ("manifest.json", canonical_json(listed)),
        ("repositories", b"{}"),
    ]  # fmt: skip


def modern() -> Members:
    """The same image as Docker saves it from version 25 on, with an image layout beside."""
    document = config(LOWER, UPPER, LOWER)
    blobs = {f"blobs/sha256/{Digest.of(data).hex}": data for data in (LOWER, UPPER, document)}
    lower, upper, name = blobs
    return [
        *blobs.items(), ("oci-layout", b"{}"), ("index.json", b"{}"),
        ("manifest.json", canonical_json([contents(name, [lower, upper, lower], "app:v1", "host:5000/app:v2")])),
    ]  # fmt: skip


def read(store: Store, path: Path, name: str | None = None) -> tuple[RawManifest, Manifest]:
    """The image of an archive, brought to the store."""
    with archive_source(path, name, store) as source:
        transfer(source, StoreTarget(store), source.root)
        manifest = source.root.read(where="test")
        assert isinstance(manifest, Manifest)
        return source.root, manifest


def written(path: Path, members: Members) -> Path:
    path.write_bytes(tar(members))
    return path


def test_every_release_s_archive_of_an_image_gives_the_same_image(store: Store, tmp_path: Path) -> None:
    first, manifest = read(store, written(tmp_path / "a.tar", legacy()))
    second, _ = read(Store(tmp_path / "other"), written(tmp_path / "b.tar", modern()))
    assert first == second
    assert manifest.layers[0] == manifest.layers[2] != manifest.layers[1]


def test_layers_come_compressed_and_are_what_the_configuration_says(store: Store, tmp_path: Path) -> None:
    _, manifest = read(store, written(tmp_path / "a.tar", legacy()))
    assert {layer.media_type for layer in manifest.layers} == {LAYER_GZIP}
    unpacked = [gzip.decompress(store.read_blob(layer.digest)) for layer in manifest.layers]
    assert unpacked == [LOWER, UPPER, LOWER]
    assert store.read_blob(manifest.config.digest) == config(LOWER, UPPER, LOWER)


def test_a_large_layer_is_compressed_in_pieces_that_any_reader_takes(store: Store, tmp_path: Path) -> None:
    big = tar([("big", bytes(range(256)) * (40 << 10))])
    members: Members = [
        ("c", config(big)),
        ("l", big),
        ("manifest.json", canonical_json([contents("c", ["l"])])),
    ]
    _, manifest = read(store, written(tmp_path / "a.tar", members))
    assert gzip.decompress(store.read_blob(manifest.layers[0].digest)) == big


@pytest.mark.parametrize("media_type", [LAYER_GZIP, LAYER_ZSTD])
def test_a_layer_that_is_compressed_stays_as_it_is(store: Store, tmp_path: Path, media_type: str) -> None:
    if media_type == LAYER_ZSTD:
        layer = pytest.importorskip("zstandard").ZstdCompressor().compress(LOWER)
    else:
        layer = gzip.compress(LOWER, 1)
    members: Members = [("c", config(LOWER)), ("l", layer), ("manifest.json", canonical_json([contents("c", ["l"])]))]  # fmt: skip
    _, manifest = read(store, written(tmp_path / "a.tar", members))
    assert [(one.media_type, one.digest) for one in manifest.layers] == [(media_type, Digest.of(layer))]


@pytest.mark.parametrize("name", ["app:v1", "docker.io/library/app:v1", "host:5000/app:v2"])
def test_an_image_is_found_by_each_of_its_names(store: Store, tmp_path: Path, name: str) -> None:
    other = config(UPPER)
    document = json.loads(legacy()[-2][1])
    document.append(contents("other", ["2/layer.tar"], "other:latest"))
    members = [*legacy()[:-2], ("other", other), ("manifest.json", canonical_json(document))]
    path = written(tmp_path / "a.tar", members)
    _, manifest = read(store, path, name)
    assert len(manifest.layers) == 3
    _, manifest = read(store, path, "other")
    assert len(manifest.layers) == 1
    with pytest.raises(
        NotFound, match=r"holds 2 images; wanted one\nhint: name one of: app:v1, host:5000/app:v2, other"
    ):
        read(store, path)
    with pytest.raises(NotFound, match=r"and none is 'app:v3'"):
        read(store, path, "app:v3")


# -- what is refused ---------------------------------------------------------------------------------------


def replaced(name: str, content: bytes | str) -> Callable[[Members], Members]:
    return lambda members: [(one, content if one == name else data) for one, data in members]


def listed(document: object) -> Callable[[Members], Members]:
    return replaced("manifest.json", canonical_json(document))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (replaced("1/layer.tar", UPPER), "digest"),
        (replaced("1/layer.tar", LOWER + b"!"), "digest"),
        (replaced("1/layer.tar", gzip.compress(UPPER)), "digest"),
        (replaced("1/layer.tar", gzip.compress(LOWER)[:-4]), "damaged"),
        (replaced("1/layer.tar", gzip.compress(LOWER)[:10] + b"\xff" * 40), "damaged"),
        (replaced("1/layer.tar", gzip.compress(bytes(10 << 20)) * 20), "unpacks to more than"),
        (replaced("3/layer.tar", "3/layer.tar"), "no such file"),
        (replaced("3/layer.tar", "../../../etc/passwd"), "no such file"),
        (replaced("3/layer.tar", "/etc/passwd"), "no such file"),
        (lambda members: [*members, ("../outside", b"")], "outside"),
        (lambda members: [*members, ("/absolute/../../x", b"")], "x"),
        (lambda members: [one for one in members if one[0] != "2/layer.tar"], "'2/layer.tar'"),
        (lambda members: [one for one in members if not one[0].endswith(".json") or "/" in one[0]], "no archive of docker save"),
        (replaced("manifest.json", b"{}"), "wanted a list"),
        (replaced("manifest.json", b"["), "not JSON"),
        (listed([{}]), "Config"),
        (listed([]), "holds 0 images"),
        (listed([contents("1/json", ["1/layer.tar"])]), "rootfs"),
        (listed([contents(legacy()[5][0], ["1/layer.tar"])]), "1 layers, and 3"),
    ],
)  # fmt: skip
def test_an_archive_that_is_damaged_or_hostile_is_refused(
    store: Store, tmp_path: Path, change: Callable[[Members], Members], complaint: str
) -> None:
    path = written(tmp_path / "a.tar", change(legacy()))
    with pytest.raises(TaskImageError, match=complaint) as caught:
        read(store, path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code in (2, 3, 6)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "truncated"),
        (b"no tar" * 200, "checksum|number"),
        (tar(legacy())[:6000], "truncated"),
        (gzip.compress(tar(legacy())), "decompress it first"),
        (tar([("oci-layout", b"{}"), ("index.json", b"{}")]), "name oci:DIR"),
    ],
)
def test_another_kind_of_file_is_told_apart(
    store: Store, tmp_path: Path, data: bytes, complaint: str
) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises((BadInput, IntegrityError), match=complaint):
        read(store, tmp_path / "a.tar")


def test_a_file_that_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot read the archive"):
        read(store, tmp_path / "a.tar")


def test_nothing_is_left_on_the_disk(store: Store, tmp_path: Path) -> None:
    with archive_source(written(tmp_path / "a.tar", legacy()), None, store) as source:
        assert parse_json(source.root.data, where="test")["layers"]
    assert list((store.home / "tmp").iterdir()) == []
