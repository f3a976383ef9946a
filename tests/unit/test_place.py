"""Places of images as people write them: one meaning each, written back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.place import ArchivePlace, LayoutPlace, Place, parse_place
from taskimage.model.reference import Reference

DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("host:5000/team/app:v1", Reference("host:5000", "team/app", "v1")),
        ("python", Reference("docker.io", "library/python")),
        ("docker:dind", Reference("docker.io", "library/docker", "dind")),
        ("docker.io/library/oci:v1", Reference("docker.io", "library/oci", "v1")),
        ("oci:out", LayoutPlace(Path("out"))),
        ("oci:/a/b:v1", LayoutPlace(Path("/a/b"), "v1")),
        ("oci:out:host:5000/team/app:v1", LayoutPlace(Path("out"), "host:5000/team/app:v1")),
        (f"oci:out@{DIGEST}", LayoutPlace(Path("out"), digest=DIGEST)),
        ("oci:a@b", LayoutPlace(Path("a@b"))),
        ("oci:a@b:v1", LayoutPlace(Path("a@b"), "v1")),
        (f"oci:out:app@{DIGEST}/x", LayoutPlace(Path("out"), f"app@{DIGEST}/x")),
        ("docker-archive:app.tar", ArchivePlace(Path("app.tar"))),
        ("docker-archive:app.tar:app:v1", ArchivePlace(Path("app.tar"), "app:v1")),
        ("docker-archive:app.tar:app", ArchivePlace(Path("app.tar"), "app:latest")),
    ],
)
def test_a_place_is_read_and_written_back(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert parse_place(str(place)) == place


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not an image"),
        ("oci:", "wanted oci:DIR"),
        ("oci::v1", "wanted oci:DIR"),
        ("docker-archive:", "wanted oci:DIR"),
        ("oci:out@sha256:12", "not a digest"),
        (f"oci:out:v1@{DIGEST}", "wanted oci:DIR"),
        ("docker-archive:app.tar:No Name", "not an image"),
        ("docker://python:3.12", "hint: write the reference alone"),
        ("dir:out", "wanted a reference, oci:DIR"),
        ("docker-daemon:app:v1", "wanted a reference, oci:DIR"),
        ("oci-archive:app.tar", "wanted a reference, oci:DIR"),
        ("https://host/app", "wanted a reference, oci:DIR"),
        ("Team/App:v1", ""),
    ],
)
def test_what_is_no_place_is_told_what_would_be_one(text: str, complaint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_place(text)
    assert complaint in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_bad_input(text: str) -> None:
    for prefix in ("", "oci:", "docker-archive:"):
        try:
            place = parse_place(prefix + text)
        except BadInput:
            continue
        assert parse_place(str(place)) == place


def test_only_a_layout_without_a_name_takes_several_images() -> None:
    many: list[LayoutPlace | ArchivePlace] = [
        LayoutPlace(Path("a")),
        LayoutPlace(Path("a"), "x"),
        ArchivePlace(Path("a")),
    ]
    assert [place.holds_many for place in many] == [True, False, False]
