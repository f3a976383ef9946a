"""flytekit's id, tag and name: fixed values that it gives, and what they do and do not depend on."""

from __future__ import annotations

import dataclasses

import pytest

from taskimage.model.spec import ImageSpec
from taskimage.model.spec.reading import read_spec
from taskimage.model.spec.tag import FileDigests, image_name, spec_id, spec_tag

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"

# What flytekit 1.15.4 and 1.16.31 both say of these texts.
IDS = {
    "name: demo": "lveFo_KngoVohjgW0W6Qrg",
    "python_version: 3.10\npackages: [numpy, pandas]\n": "6dzQH4nDbVo3BP2kLC6dGA",
    "env: {A: 1, B: yes, C: 1.5}\nregistry: GHCR.io/Me\nsource_root: src": "ag4mFz-QTmJ5fwCk76ekfw",
    "builder_options: {taskimage: {waive_scripts: [a], bytecode: false, suite: null}}\n"
    "entrypoint: []\nname: x\nbase_image: {name: b}\ntag_format: 'v-{spec_hash}'": "CRD4l_AmHD4DPBWjpizeCQ",
}


def read(text: str) -> ImageSpec:
    return read_spec(text.encode(), path="image.yaml")[0]


def identify(spec: ImageSpec) -> str:
    return spec_id(spec, machine="x86_64")


def tag(spec: ImageSpec, digests: FileDigests | None = None) -> str:
    return spec_tag(spec, digests or FileDigests(), machine="x86_64")


@pytest.mark.parametrize(("text", "expected"), IDS.items())
def test_the_id_is_flytekits(text: str, expected: str) -> None:
    assert identify(read(text)) == expected


def test_the_tag_has_digests_in_place_of_files() -> None:
    assert tag(ImageSpec(source_root="src"), FileDigests(source_root=EMPTY)) == "Hev14OTxurqhLmPKCWB2Bw"


def test_an_unquoted_version_has_the_tag_of_the_number() -> None:
    assert tag(read("python_version: 3.10")) == tag(read("python_version: 3.100"))
    assert tag(read("python_version: 3.10")) != tag(read("python_version: '3.10'"))


def test_a_field_that_is_replaced_is_hashed_as_it_is_now() -> None:
    spec = read("python_version: 3.10\nenv: {A: 1}")
    replaced = dataclasses.replace(spec, python_version="3.11", env={"A": "2"})
    assert identify(replaced) == identify(ImageSpec(python_version="3.11", env={"A": "2"}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ImageSpec(), ImageSpec(builder="default")),
        (ImageSpec(), ImageSpec(runtime_packages=["pip"])),
        (ImageSpec(), ImageSpec(pip_secret_mounts=[("a", "b")])),
        (ImageSpec(), ImageSpec(registry_config="config.json")),
        (ImageSpec(), ImageSpec(platform="linux/amd64")),
    ],
)
def test_what_does_not_change_the_image_does_not_change_the_tag(one: ImageSpec, other: ImageSpec) -> None:
    assert tag(one) == tag(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ImageSpec(packages=["a", "b"]), ImageSpec(packages=["b", "a"])),
        (ImageSpec(), ImageSpec(packages=[])),
        (ImageSpec(), ImageSpec(entrypoint=[])),
        (ImageSpec(), ImageSpec(registry="localhost:5000")),
        (ImageSpec(), ImageSpec(name="other")),
        (ImageSpec(env={"A": "1", "B": "2"}), ImageSpec(env={"B": "2", "A": "1"})),
    ],
)
def test_what_flytekit_hashes_changes_the_tag(one: ImageSpec, other: ImageSpec) -> None:
    assert tag(one) != tag(other)


def test_each_digest_changes_the_tag_and_not_the_id() -> None:
    spec = ImageSpec(requirements="r.txt", copy=["a"], source_root="src", base_image=ImageSpec())
    tags = {
        tag(spec),
        tag(spec, FileDigests(requirements="0")),
        tag(spec, FileDigests(copy="0")),
        tag(spec, FileDigests(source_root="0")),
        tag(spec, FileDigests(base_image="0")),
    }
    assert len(tags) == 5


def test_an_arm_host_with_a_registry_of_its_own_has_its_own_tag() -> None:
    spec = ImageSpec(registry="localhost:5000")
    assert spec_id(spec, machine="aarch64") == spec_id(
        dataclasses.replace(spec, platform="linux/arm64"), machine="x"
    )


def test_the_tag_format_is_filled_in() -> None:
    bare = tag(ImageSpec(tag_format="{spec_hash}"))
    assert tag(ImageSpec(tag_format="{spec_hash:.7}")) != bare[:7]  # the format itself is hashed
    assert len(tag(ImageSpec(tag_format="a.{spec_hash:.7}-b"))) == 11
    assert "-" not in bare


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ImageSpec(name="a"), "a:t"),
        (ImageSpec(name="A/b", registry="Host:1/X"), "host:1/x/a/b:t"),
        (ImageSpec(name="a", registry=""), "a:t"),
    ],
)
def test_the_image_name_has_registry_name_and_tag(spec: ImageSpec, expected: str) -> None:
    assert image_name(spec, "t") == expected
