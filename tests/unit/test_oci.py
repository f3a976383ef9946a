"""Documents of an image: round trips, canonical bytes, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import (
    CONFIG,
    LAYER_GZIP,
    MANIFEST,
    Config,
    Descriptor,
    ExecutionConfig,
    History,
    Index,
    Manifest,
    Platform,
    canonical_json,
    parse_json,
)

FOO = Digest.of(b"foo")
AMD64 = Platform("linux", "amd64")

texts = st.text(max_size=8)
text_maps = st.dictionaries(texts, texts, max_size=2)
digests = st.binary(max_size=4).map(Digest.of)
platforms = st.sampled_from(["linux/amd64", "linux/arm64", "linux/riscv64"]).map(Platform.parse)
descriptors = st.builds(
    Descriptor,
    media_type=texts,
    digest=digests,
    size=st.integers(min_value=0),
    annotations=text_maps,
    platform=st.none() | platforms,
)
words = st.lists(texts, max_size=2).map(tuple)
executions = st.builds(
    ExecutionConfig, env=words, entrypoint=words, cmd=words, user=texts, working_dir=texts, labels=text_maps
)
some = st.none() | st.text(min_size=1, max_size=8)
histories = st.builds(History, created=some, created_by=some, comment=some, empty_layer=st.booleans())
configs = st.builds(
    Config,
    platform=platforms,
    diff_ids=st.lists(digests, max_size=2).map(tuple),
    execution=executions,
    history=st.lists(histories, max_size=2).map(tuple),
    created=some,
)
manifests = st.builds(
    Manifest, config=descriptors, layers=st.lists(descriptors, max_size=2).map(tuple), annotations=text_maps
)
indexes = st.builds(Index, manifests=st.lists(descriptors, max_size=2).map(tuple), annotations=text_maps)


@settings(max_examples=50)
@given(st.one_of(descriptors, configs, manifests, indexes))
def test_a_document_read_back_from_its_own_bytes_is_the_same(
    value: Descriptor | Config | Manifest | Index,
) -> None:
    document = parse_json(canonical_json(value.to_dict()), where="test")
    assert type(value).from_dict(document) == value


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}'),
        ({"é": "ü/"}, '{"é":"ü/"}'.encode()),
        ([{"b": 1, "a": 2}], b'[{"a":2,"b":1}]'),
    ],
)
def test_canonical_json_has_sorted_keys_and_no_spaces(document: Any, expected: bytes) -> None:
    assert canonical_json(document) == expected


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput, match="the place: not JSON"):
        parse_json(data, where="the place")


def test_a_tiny_manifest_has_these_bytes() -> None:
    config = Config(platform=AMD64, diff_ids=(FOO,), execution=ExecutionConfig(env=("A=b",), user="1000:0"))
    data = config.to_json()
    assert data == (
        b'{"architecture":"amd64","config":{"Env":["A=b"],"User":"1000:0"},"history":[],"os":"linux",'
        b'"rootfs":{"diff_ids":["sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"],'
        b'"type":"layers"}}'
    )
    manifest = Manifest(
        config=Descriptor(media_type=CONFIG, digest=Digest.of(data), size=len(data)),
        layers=(Descriptor(media_type=LAYER_GZIP, digest=FOO, size=3),),
    )
    assert Digest.of(manifest.to_json()) == Digest.parse(
        "sha256:118253bfb27903aeb62dde410d0facf82c9c67b3437182806256700707370011"
    )


def descriptor(**changes: Any) -> dict[str, Any]:
    """A sound descriptor with some fields changed."""
    return {"mediaType": MANIFEST, "digest": str(FOO), "size": 3, **changes}


def manifest(**changes: Any) -> dict[str, Any]:
    """A sound manifest with some fields changed."""
    return {"schemaVersion": 2, "config": descriptor(), "layers": [descriptor()], **changes}


def config(**changes: Any) -> dict[str, Any]:
    """A sound configuration with some fields changed."""
    rootfs = {"type": "layers", "diff_ids": [str(FOO)]}
    return {"os": "linux", "architecture": "amd64", "rootfs": rootfs, **changes}


@pytest.mark.parametrize(
    ("kind", "document", "named"),
    [
        (Descriptor, [], "descriptor is"),
        (Descriptor, descriptor(mediaType=None), "descriptor.mediaType is None"),
        (Descriptor, descriptor(digest="sha256:1"), "descriptor.digest is 'sha256:1'"),
        (Descriptor, descriptor(digest=1), "descriptor.digest is 1"),
        (Descriptor, descriptor(size="3"), "descriptor.size is '3'"),
        (Descriptor, descriptor(size=-1), "descriptor.size is -1"),
        (Descriptor, descriptor(size=True), "descriptor.size is True"),
        (Descriptor, descriptor(annotations={"a": 1}), "descriptor.annotations is"),
        (Descriptor, descriptor(platform={"os": "linux"}), "descriptor.platform.architecture is None"),
        (Manifest, manifest(schemaVersion=1), "manifest.schemaVersion is 1; wanted 2"),
        (Manifest, manifest(schemaVersion=2.0), "manifest.schemaVersion is 2.0"),
        (Manifest, manifest(mediaType="text/plain"), "manifest.mediaType is 'text/plain'"),
        (Manifest, manifest(config=None), "manifest.config is None"),
        (Manifest, manifest(layers={}), "manifest.layers is"),
        (
            Manifest,
            manifest(layers=[descriptor(), descriptor(size=None)]),
            r"manifest.layers\[1\].size is None",
        ),
        (Index, {"schemaVersion": 2, "manifests": ["x"]}, r"index.manifests\[0\] is 'x'"),
        (Config, config(rootfs={"type": "zip", "diff_ids": []}), "config.rootfs.type is 'zip'"),
        (Config, config(rootfs={"type": "layers"}), "config.rootfs.diff_ids is None"),
        (Config, config(os=None), "config.os is None"),
        (Config, config(config={"Env": "A=b"}), "config.config.Env is 'A=b'"),
        (Config, config(config={"Labels": ["a"]}), "config.config.Labels is"),
        (Config, config(history=[{"empty_layer": 1}]), r"config.history\[0\].empty_layer is 1"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(kind: Any, document: Any, named: str) -> None:
    with pytest.raises(BadInput, match=f"^{named}"):
        kind.from_dict(document)


def test_null_is_the_same_as_absent_and_unknown_fields_are_left_alone() -> None:
    plain = Config.from_dict(config())
    odd = config(config={"Env": None, "User": None, "Volumes": None}, history=None, created=None, x=[1])
    assert Config.from_dict(odd) == plain


def test_properties_of_a_container_that_have_no_name_here_are_kept_as_they_are() -> None:
    other = {
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30_000_000_000},
        "Shell": ["/bin/bash", "-c"],
        "StopSignal": "SIGINT",
        "Volumes": {"/x": {}},
    }
    document = config(config={"Env": ["A=b"], **other}, history=[])
    parsed = Config.from_dict(document)
    assert parsed.execution == ExecutionConfig(env=("A=b",), other=other)
    assert parsed.to_dict() == document


def test_the_last_variable_of_a_name_counts() -> None:
    assert ExecutionConfig(env=("A=1", "B=x=y", "A=2", "C")).environment == {"A": "2", "B": "x=y", "C": ""}


@pytest.mark.parametrize(
    ("text", "debian", "machine"),
    [
        ("linux/amd64", "amd64", "x86_64"),
        (" Linux/X86_64 ", "amd64", "x86_64"),
        ("linux/aarch64", "arm64", "aarch64"),
        ("linux/386", "i386", "i686"),
        ("linux/ppc64le", "ppc64el", "ppc64le"),
    ],
)
def test_a_platform_knows_its_names_elsewhere(text: str, debian: str, machine: str) -> None:
    platform = Platform.parse(text)
    assert (platform.debian, platform.machine) == (debian, machine)
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize("text", ["", "amd64", "windows/amd64", "linux/", "linux/mips", "linux/amd64/v2"])
def test_a_platform_that_images_are_not_built_for_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="wanted one of linux/amd64"):
        Platform.parse(text)


def test_a_name_in_an_index_means_one_manifest() -> None:
    one, two = (Descriptor.from_dict(descriptor(size=size)) for size in (1, 2))
    index = Index().with_named("b", one).with_named("a", one).with_named("b", two)
    assert [(item.name, item.size) for item in index.manifests] == [("a", 1), ("b", 2)]


def test_the_order_of_naming_leaves_no_trace() -> None:
    one = Descriptor.from_dict(descriptor())
    assert Index().with_named("a", one).with_named("b", one) == Index().with_named("b", one).with_named(
        "a", one
    )


@pytest.mark.parametrize("tag", ["_x", "x_", "a__b", "-"])
def test_a_name_that_the_specification_has_no_form_for_is_kept_as_containerd_does(tag: str) -> None:
    index = Index().with_named(f"app:{tag}", Descriptor(media_type=MANIFEST, digest=FOO, size=3))
    assert [item.name for item in index.manifests] == [f"app:{tag}"]
    assert "org.opencontainers.image.ref.name" not in index.manifests[0].annotations
