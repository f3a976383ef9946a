"""`copy`: from any place to any place with one digest, told by the place that it prints; what makes no sense is refused."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskimage.adapters.settings import Settings
from taskimage.cli import main
from taskimage.model.errors import BadInput, NotFound, TaskImageError
from taskimage.model.events import Event, Notice
from taskimage.model.oci import Platform
from taskimage.testing import MadeImage, Registry, make_image, make_index
from taskimage.verbs.copy import copy

ARM64 = Platform("linux", "arm64")
IMAGE = make_image([{"etc/motd": b"hello"}])
ARM = make_image([{"etc/motd": b"arm"}], platform="linux/arm64")


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One with an image, and an image for two platforms."""
    with Registry() as registry:
        registry.put_image("team/app:v1", IMAGE)
        registry.put_image("team/both:v1", make_index([IMAGE, ARM]))
        yield registry


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a machine with nothing on it."""
    return Settings(home=tmp_path / "home")


def test_an_image_keeps_its_digest_from_place_to_place(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    host, digest = registry.host, make_index([IMAGE, ARM]).digest
    places = [f"{host}/team/both:v1", f"oci:{tmp_path}/a", f"oci:{tmp_path}/b:name", f"{host}/new/both:v2"]
    pinned = [copy(here, there, settings=settings) for here, there in itertools.pairwise(places)]
    assert pinned == [
        f"oci:{tmp_path}/a@{digest}",
        f"oci:{tmp_path}/b@{digest}",
        f"{host}/new/both:v2@{digest}",
    ]
    assert registry.manifest("new/both", "v2").data == make_index([IMAGE, ARM]).manifest


def test_what_is_printed_can_be_copied_from(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    pinned = copy(f"{registry.host}/team/app:v1", f"oci:{tmp_path}/a", settings=settings)
    pinned = copy(pinned, f"{registry.host}/b:v1", settings=settings)
    assert copy(pinned, f"oci:{tmp_path}/c", settings=settings) == f"oci:{tmp_path}/c@{IMAGE.digest}"


def names(folder: Path) -> list[str | None]:
    index = json.loads((folder / "index.json").read_bytes())
    return [one.get("annotations", {}).get("io.containerd.image.name") for one in index["manifests"]]


def test_a_layout_knows_an_image_by_the_name_it_had_or_was_given(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    here = f"{registry.host}/team/app"
    copy(f"{here}:v1", f"oci:{tmp_path}/a", settings=settings)
    copy(f"{here}:v1", f"oci:{tmp_path}/a:other", settings=settings)
    assert names(tmp_path / "a") == [f"{here}:v1", "other"]
    copy(f"oci:{tmp_path}/a:other", f"oci:{tmp_path}/b", settings=settings)
    assert names(tmp_path / "b") == ["other"]
    copy(f"{here}@{IMAGE.digest}", f"oci:{tmp_path}/c", settings=settings)
    assert names(tmp_path / "c") == [None]


def test_an_archive_carries_an_image_with_its_name(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    archive = f"docker-archive:{tmp_path}/a.tar"
    assert copy(f"{registry.host}/team/app:v1", archive, settings=settings) == archive
    place = copy(f"{archive}:{registry.host}/team/app:v1", f"{registry.host}/back:v1", settings=settings)
    # Its layers were compressed, and its manifest says nothing that cannot be said anew.
    assert place == f"{registry.host}/back:v1@{IMAGE.digest}"


def test_one_platform_of_several_has_its_own_digest(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    here = f"{registry.host}/team/both:v1"
    there = copy(here, f"{registry.host}/team/arm:v1", platform=ARM64, settings=settings)
    assert there == f"{registry.host}/team/arm:v1@{ARM.digest}"
    with pytest.raises(BadInput, match=r"several: linux/amd64, linux/arm64\nhint: choose one: --platform"):
        copy(here, f"docker-archive:{tmp_path}/a.tar", settings=settings)
    copy(here, f"docker-archive:{tmp_path}/a.tar", platform=ARM64, settings=settings)
    with pytest.raises(NotFound, match="its platforms: linux/amd64, linux/arm64"):
        copy(here, f"oci:{tmp_path}/a", platform=Platform("linux", "s390x"), settings=settings)


def test_a_reference_without_a_tag_means_latest_and_that_is_told(
    registry: Registry, settings: Settings
) -> None:
    events: list[Event] = []
    place = copy(
        f"{registry.host}/team/app:v1", f"{registry.host}/b", settings=settings, listener=events.append
    )
    assert place == f"{registry.host}/b:latest@{IMAGE.digest}"
    assert [one.text for one in events if isinstance(one, Notice)] == [
        f"{registry.host}/b has no tag: taking latest"
    ]
    assert copy(f"{registry.host}/b", f"{registry.host}/c:v1", settings=settings).endswith(str(IMAGE.digest))


@pytest.mark.parametrize(
    ("source", "target", "complaint"),
    [
        ("{host}/team/app:v1", "{host}/team/app:v1", "to where it is"),
        ("{host}/team/app", "{host}/team/app:latest", "to where it is"),
        ("oci:{folder}/a", "oci:{folder}/a", "to where it is"),
        ("{host}/team/app:v1", "{host}/b@sha256:" + "0" * 64, "cannot copy to a digest"),
        ("{host}/team/app:v1", "{host}/b:v1@sha256:" + "0" * 64, "cannot copy to a digest"),
        ("{host}/team/app:v1", "oci:{folder}/a@sha256:" + "0" * 64, "cannot copy to a digest"),
        ("{host}/team/app:v1", "dir:{folder}/a", "not a place that images are copied from or to"),
        ("{host}/team/app:v1", "docker-archive:{folder}/a.tar:Not A Name", "not an image"),
        ("{host}/team/app:v1", "oci:{folder}/full", "is not an OCI image layout"),
    ],
)
def test_what_makes_no_sense_is_refused(
    registry: Registry, settings: Settings, tmp_path: Path, *, source: str, target: str, complaint: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("dear")
    here, there = (text.format(host=registry.host, folder=tmp_path) for text in (source, target))
    with pytest.raises(BadInput, match=complaint):
        copy(here, there, settings=settings)
    assert sorted(path.name for path in tmp_path.iterdir()) in (["full"], ["full", "home"])


@pytest.mark.parametrize(
    ("source", "target", "complaint"),
    [
        ("{host}/team/app:v2", "oci:{folder}/a", "there is no image '{host}/team/app:v2'"),
        ("{host}/nothing:v1", "oci:{folder}/a", "there is no image '{host}/nothing:v1'"),
        ("oci:{folder}/b", "oci:{folder}/a", "there is no image layout in '{folder}/b'"),
        ("docker-archive:{folder}/b", "oci:{folder}/a", "cannot read the archive '{folder}/b'"),
        ("{host}/team/app:v1", "oci:{folder}/b/a", "cannot write '{folder}/b/a'"),
        ("{host}/team/app:v1", "docker-archive:{folder}/b/a", "cannot write '{folder}/b/a'"),
    ],
)
def test_what_is_not_there_is_told_and_nothing_is_made(
    registry: Registry, settings: Settings, tmp_path: Path, *, source: str, target: str, complaint: str
) -> None:
    here, there, told = (
        text.format(host=registry.host, folder=tmp_path) for text in (source, target, complaint)
    )
    with pytest.raises(NotFound) as caught:
        copy(here, there, settings=settings)
    assert told in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}


def test_a_layout_of_several_images_wants_a_name(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    copy(f"{registry.host}/team/app:v1", f"oci:{tmp_path}/a:x", settings=settings)
    copy(f"{registry.host}/team/both:v1", f"oci:{tmp_path}/a:y", settings=settings)
    with pytest.raises(NotFound, match=r"holds 2 images; wanted one\nhint: it has: x, y"):
        copy(f"oci:{tmp_path}/a", f"{registry.host}/b:v1", settings=settings)
    with pytest.raises(NotFound, match="and none is 'z'"):
        copy(f"oci:{tmp_path}/a:z", f"{registry.host}/b:v1", settings=settings)


def test_a_name_that_no_engine_takes_is_not_in_an_archive(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    copy(f"{registry.host}/team/app:v1", f"oci:{tmp_path}/a:Any Name", settings=settings)
    copy(f"oci:{tmp_path}/a", f"docker-archive:{tmp_path}/a.tar", settings=settings)
    copy(f"oci:{tmp_path}/a", f"docker-archive:{tmp_path}/b.tar:app", settings=settings)
    with tarfile.open(tmp_path / "a.tar") as a, tarfile.open(tmp_path / "b.tar") as b:
        found = [json.load(archive.extractfile("manifest.json")) for archive in (a, b)]  # type: ignore[arg-type]
    assert [one["RepoTags"] for (one,) in found] == [[], ["app:latest"]]


def docker_image() -> MadeImage:
    return make_image([{"etc/motd": b"hello"}], docker=True)


def test_docker_s_manifests_are_copied_as_they_are(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    registry.put_image("docker/app:v1", docker_image())
    copy(f"{registry.host}/docker/app:v1", f"oci:{tmp_path}/a", settings=settings)
    copy(f"oci:{tmp_path}/a", f"{registry.host}/b:v1", settings=settings)
    assert registry.manifest("b", "v1") == registry.manifest("docker/app", "v1")


def test_the_command_prints_the_pinned_place_and_nothing_else(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TASKIMAGE_HOME", str(tmp_path / "home"))
    assert main(["copy", f"{registry.host}/team/both:v1", f"{registry.host}/b:v1"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{registry.host}/b:v1@{make_index([IMAGE, ARM]).digest}\n"
    assert f"All blobs are at {registry.host}/b already" in err  # mounted
    arm = ["--platform", "linux/arm64", "--quiet"]
    assert main(["copy", *arm, f"{registry.host}/team/both:v1", f"oci:{tmp_path}/a"]) == 0
    assert capsys.readouterr() == (f"oci:{tmp_path}/a@{ARM.digest}\n", "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["a"], 2),
        (["dir:a", "b"], 2),
        (["a:v1", "a:v1"], 2),
        (["oci:/nowhere", "oci:/nowhere/else"], 3),
    ],
)
def test_failures_have_the_codes_of_their_families(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKIMAGE_HOME", str(tmp_path / "home"))
    assert main(["copy", *words]) == code


def test_a_secret_in_a_place_is_not_shown(settings: Settings) -> None:
    for text in ("https://ada:s3cr3t@host/app", "docker://ada:s3cr3t@host/app"):
        with pytest.raises(TaskImageError) as caught:
            copy(text, "oci:out", settings=settings)
        assert "s3cr3t" not in str(caught.value)
