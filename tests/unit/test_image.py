"""`Image`: the surface that flytekit's has, and the deviations that are chosen."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import time
import warnings
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.case import Case

from taskimage.model.digest import Digest
from taskimage.model.errors import (
    ImageWarning,
    InvalidReference,
    InvalidValue,
    MissingSpec,
    MissingVersion,
    TaskImageError,
    WrongType,
)
from taskimage.model.image import Image
from taskimage.model.reference import Reference

DIGEST = "sha256:" + "0a" * 32
TAGGED = Image("default", "ghcr.io/org/app", tag="v1")
PINNED = Image("default", "ghcr.io/org/app", digest=DIGEST)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TASKIMAGE_STRICT", raising=False)


class TestValue:
    def test_it_is_a_frozen_dataclass_of_four_fields(self) -> None:
        """replace, asdict, fields, match and type hints work as on any dataclass."""
        assert [field.name for field in dataclasses.fields(Image)] == ["name", "fqn", "tag", "digest"]
        assert dataclasses.replace(TAGGED, tag="v2") == Image("default", "ghcr.io/org/app", "v2")
        assert dataclasses.asdict(PINNED) == PINNED.to_dict()
        assert get_type_hints(Image)["tag"] == str | None
        with pytest.raises(dataclasses.FrozenInstanceError):
            TAGGED.tag = "v2"  # type: ignore[misc]
        match PINNED:
            case Image(name, fqn, None, digest):
                assert (name, fqn, digest) == ("default", "ghcr.io/org/app", DIGEST)
            case _:
                pytest.fail("no match")

    def test_it_is_compared_by_content(self) -> None:
        """Equality, hash, repr, pickle and copies."""
        assert Image("default", "ghcr.io/org/app", "v1") == TAGGED != PINNED
        assert hash(Image("default", "ghcr.io/org/app", "v1")) == hash(TAGGED)
        assert repr(TAGGED) == "Image(name='default', fqn='ghcr.io/org/app', tag='v1', digest=None)"
        assert pickle.loads(pickle.dumps(TAGGED)) == copy.copy(TAGGED) == copy.deepcopy(TAGGED) == TAGGED  # noqa: S301

    def test_one_of_the_same_fields_is_equal(self) -> None:
        """As flytekit's is, from both sides; nothing else is."""
        theirs = dataclasses.make_dataclass("Image", ["name", "fqn", "tag", "digest"], frozen=True)
        same, other = theirs("default", "ghcr.io/org/app", "v1", None), theirs("default", "app", "v1", None)
        assert [one == two for one, two in ((same, TAGGED), (TAGGED, same))] == [True, True]
        assert hash(same) == hash(TAGGED)
        assert other not in (TAGGED, PINNED)
        assert TAGGED not in (Image, None, "ghcr.io/org/app:v1", ("default", "ghcr.io/org/app", "v1", None))

    @pytest.mark.parametrize(("tag", "digest"), [("v1", DIGEST), ("", ""), ("", DIGEST)])
    def test_tag_and_digest_together_are_a_value_error(self, tag: str, digest: str) -> None:
        """Even when they are empty, as flytekit has it."""
        with pytest.raises(InvalidValue, match="a tag or a digest"):
            Image("a", "b", tag, digest)
        assert issubclass(InvalidValue, ValueError)

    def test_full_and_version(self) -> None:
        """The digest where there is one, else the tag."""
        assert (TAGGED.full, TAGGED.version) == ("ghcr.io/org/app:v1", "v1")
        assert (PINNED.full, PINNED.version) == (f"ghcr.io/org/app@{DIGEST}", DIGEST)
        assert Image("a", "b", tag="").full == "b:"

    def test_full_with_neither_is_the_fqn_with_a_warning(self) -> None:
        """Deviation 2: flytekit says ``fqn:None``."""
        with pytest.warns(ImageWarning, match="means 'b:latest'") as caught:
            assert Image("a", "b").full == "b"
        assert caught[0].filename == __file__
        assert Image("a", "b").version is None

    def test_reference_is_the_place_spelled_out(self) -> None:
        """Or InvalidReference, for an image that was made of parts that no registry has."""
        assert Image("a", "app", digest=DIGEST).reference == Reference(
            "docker.io", "library/app", digest=Digest.parse(DIGEST)
        )
        with pytest.raises(InvalidReference):
            _ = Image("a", "My App").reference

    def test_what_has_a_digest_is_pinned_already(self) -> None:
        assert PINNED.pin() is PINNED


# By identifier: fqn, tag, digest.
IDENTIFIERS: dict[str, tuple[str, str | None, str | None]] = {
    "app:v1": ("app", "v1", None),
    "docker.io/library/app:v1": ("docker.io/library/app", "v1", None),
    "localhost:5000/a/b:v1": ("localhost:5000/a/b", "v1", None),
    "[::1]:5000/app:v1": ("[::1]:5000/app", "v1", None),
    f"app@{DIGEST}": ("app", None, DIGEST),
    f"localhost:5000/app@{DIGEST}": ("localhost:5000/app", None, DIGEST),
    "repo:v1.yaml": ("repo", "v1.yaml", None),
}


class TestLookUp:
    @pytest.mark.parametrize("identifier", IDENTIFIERS)
    def test_identifiers_are_taken_apart_as_written(self, identifier: str) -> None:
        """Nothing is filled in: fqn and version are what was written."""
        assert Image.look_up_image_info("n", identifier) == Image("n", *IDENTIFIERS[identifier])
        assert Image.parse(identifier, name="n") == Image("n", *IDENTIFIERS[identifier])

    @pytest.mark.parametrize("fqn", ["app", "localhost:5000/app", "h.example/a/b"])
    def test_a_tag_never_stays_in_the_fqn(self, fqn: str) -> None:
        """Deviation 1: of tag and digest the digest is kept, and `Reference` keeps both."""
        for read in (Image.look_up_image_info("n", f"{fqn}:v1@{DIGEST}"), Image.parse(f"{fqn}:v1@{DIGEST}")):
            assert (read.fqn, read.tag, read.digest) == (fqn, None, DIGEST)
        assert Reference.parse(f"{fqn}:v1@{DIGEST}").tag == "v1"

    @pytest.mark.parametrize("identifier", ["app", "localhost:5000/app", "h.example/a/b"])
    def test_no_version_is_ours_and_an_assertion_error(self, identifier: str) -> None:
        """Deviation 5; unless it is allowed."""
        for strict in (Image.parse, lambda text: Image.look_up_image_info("n", text)):
            with pytest.raises(MissingVersion, match="neither tag nor digest"):
                strict(identifier)
        assert issubclass(MissingVersion, AssertionError)
        assert Image.look_up_image_info("n", identifier, True) == Image("n", identifier)
        assert Image.look_up_image_info("n", identifier, allow_no_tag_or_digest=True).fqn == identifier

    @pytest.mark.parametrize(
        "identifier",
        ["Repo:v1", "my app:v1", "app:", "app@", "app@sha256:abc", "https://h/app:v1", "a@b@c", "", "é"],
    )
    def test_what_no_registry_serves_warns_and_is_refused_where_that_was_asked(
        self, identifier: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Deviation 4: look_up_image_info warns; parse, Reference and TASKIMAGE_STRICT=1 raise."""
        with pytest.warns(ImageWarning, match="not an image identifier") as caught:
            Image.look_up_image_info("n", identifier, allow_no_tag_or_digest=True)
        assert caught[0].filename == __file__
        with pytest.raises(InvalidReference):
            Image.parse(identifier)
        monkeypatch.setenv("TASKIMAGE_STRICT", "1")
        with pytest.raises(InvalidReference):
            Image.look_up_image_info("n", identifier, allow_no_tag_or_digest=True)

    def test_a_malformed_digest_is_read_with_a_warning(self) -> None:
        """Deviation 4 does not raise there: flytekit's own tests use such digests."""
        with pytest.warns(ImageWarning):
            image = Image.look_up_image_info("n", "h.example/abc@sha256:26c68657")
        assert image == Image("n", "h.example/abc", digest="sha256:26c68657")

    def test_a_yaml_file_is_built(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        """By its path as text or as a Path, with either ending; the image has the digest of what was built."""
        for name, value in case.environ.items():
            monkeypatch.setenv(name, value)
        image = Image.look_up_image_info("mine", str(case.spec_path))
        other = case.spec_path.rename(case.spec_path.with_suffix(".yml"))
        assert (image.name, image.tag) == ("mine", None)
        assert image.reference.digest == Digest.parse(image.version or "")
        assert Image.look_up_image_info("mine", other, allow_no_tag_or_digest=True) == image
        assert Image.look_up_image_info("mine", str(other)) == image

    @pytest.mark.parametrize("spec", ["missing.yaml", "./missing.yml", "a/b.yaml", Path("missing.txt")])
    @pytest.mark.parametrize("allowed", [True, False])
    def test_a_missing_file_says_so(self, spec: str | Path, allowed: bool) -> None:  # noqa: FBT001
        """Deviation 7: flytekit reads the name as an identifier; still an AssertionError."""
        with pytest.raises(MissingSpec, match="there is no such file"):
            Image.look_up_image_info("n", spec, allow_no_tag_or_digest=allowed)
        assert issubclass(MissingSpec, AssertionError)

    def test_a_namesake_of_the_identifier_is_no_spec(self, tmp_path: Path) -> None:
        """Deviation 7: only the ending makes a file a spec; flytekit reads any file. A warning says so."""
        (tmp_path / "app:v1").write_text("name: other")
        with pytest.warns(ImageWarning, match="there is a file of that name"):
            assert Image.look_up_image_info("n", "app:v1") == Image("n", "app", "v1")

    @pytest.mark.parametrize(
        "value", [None, 1, 1.5, True, b"app:v1", b"x.yaml", ["app:v1"], {"a": 1}, object()]
    )
    def test_what_is_not_text_is_a_type_error_of_ours(self, value: Any) -> None:
        """At both doors."""
        for door in (Image.parse, lambda it: Image.look_up_image_info("n", it)):
            with pytest.raises(WrongType):
                door(value)

    @given(st.text(max_size=60), st.booleans())
    def test_any_text_gives_an_image_or_an_error_of_ours(self, text: str, allowed: bool) -> None:  # noqa: FBT001
        """And an image's parts are in the text."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImageWarning)
            try:
                image = Image.look_up_image_info("n", text, allow_no_tag_or_digest=allowed)
            except TaskImageError:
                return
        assert text.startswith(image.fqn)
        assert text.endswith(image.version or "")

    @pytest.mark.parametrize("unit", ["a", "a:", "@", "/", "é", "\0", "{{"])
    def test_ten_megabytes_take_no_time(self, unit: str) -> None:
        """Nor do they flood the warning."""
        text = unit * (10_000_000 // len(unit))
        started = time.perf_counter()
        with pytest.warns(ImageWarning) as caught:
            Image.look_up_image_info("n", text, allow_no_tag_or_digest=True)
        with pytest.raises(TaskImageError) as refused:
            Image.parse(text)
        assert time.perf_counter() - started < 5
        assert max(len(str(refused.value)), len(str(caught[0].message))) < 1000


def test_errors_cross_process_pools() -> None:
    """What is raised in a worker is the same error outside, fields and all."""
    with pytest.raises(InvalidReference) as caught:
        Image.parse("App:v1")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (str(again), again.position, again.identifier) == (str(caught.value), 0, "App:v1")
