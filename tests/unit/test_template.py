"""Templates of image identifiers: what is filled in, and what is refused with the names there are."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskimage.model.config import ImageConfig
from taskimage.model.errors import ImageWarning, InvalidTemplate, InvalidValue, MissingVersion
from taskimage.model.image import Image
from taskimage.model.template import fill_in

DIGEST = "sha256:" + "0a" * 32
CONFIG = ImageConfig.create_from(
    Image("default", "ghcr.io/org/app", tag="v1"),
    [Image("spark", "h:5000/spark", tag="v2"), Image("pinned", "h/p", digest=DIGEST), Image("a-b", "h/ab")],
)


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{.image.default}}", "ghcr.io/org/app:v1"),
        ("{{.image.default.fqn}}:{{.image.default.version}}", "ghcr.io/org/app:v1"),
        ("{{.image.spark.fqn}}:{{.image.default.version}}", "h:5000/spark:v1"),
        ("{{.images.spark}}", "h:5000/spark:v2"),
        ("{{.IMAGE.spark}} {{.Images.spark.fqn}}", "h:5000/spark:v2 h:5000/spark"),
        ("{{ .image.spark\t}}", "h:5000/spark:v2"),
        ("{{.image.spark.fqn}}-gpu:{{.image.spark.version}}-cuda", "h:5000/spark-gpu:v2-cuda"),
        ("mirror.example/{{.image.pinned.fqn}}:v3", "mirror.example/h/p:v3"),
        ("{{.image.a-b.fqn}}:v1", "h/ab:v1"),
        # before a digest the colon is an @
        ("{{.image.pinned}}", f"h/p@{DIGEST}"),
        ("{{.image.pinned.fqn}}:{{.image.pinned.version}}", f"h/p@{DIGEST}"),
        ("{{.image.pinned.fqn}}@{{.image.pinned.version}}", f"h/p@{DIGEST}"),
        ("{{.image.spark.fqn}}:{{.image.pinned.version}}", f"h:5000/spark@{DIGEST}"),
        # not templates
        ("ghcr.io/org/app:v1", "ghcr.io/org/app:v1"),
        ("{{.image}}", "{{.image}}"),
        ("{{.inputs.x}}", "{{.inputs.x}}"),
        ("{ {.image.default}}", "{ {.image.default}}"),
        ("{{. image.default}}", "{{. image.default}}"),
        ("{{.image.default.fqn.x}}", "{{.image.default.fqn.x}}"),
        # no template
        (None, "ghcr.io/org/app:v1"),
        ("", "ghcr.io/org/app:v1"),
    ],
)
def test_templates_are_filled_in(template: str | None, filled: str) -> None:
    """Each place gives way to the image's fqn, version or both; all else stays."""
    assert fill_in(template, CONFIG) == filled


def test_an_unknown_image_is_refused_with_the_names_there_are() -> None:
    """Deviation 6: the error says what could have been meant (flytekit: only that it is not found)."""
    with pytest.raises(
        InvalidTemplate, match=r"no image is called 'sprak'.*'default', 'spark', 'pinned', 'a-b'"
    ):
        fill_in("{{.image.sprak}}", CONFIG)
    with pytest.raises(InvalidTemplate, match="there are: none"):
        fill_in("{{.image.x}}", ImageConfig())


def test_a_missing_version_is_refused() -> None:
    """Deviation 6: flytekit fills in the default image's version, which is another image's."""
    with pytest.raises(MissingVersion, match=r"'a-b' .* has neither tag nor digest"):
        fill_in("{{.image.a-b.fqn}}:{{.image.a-b.version}}", CONFIG)


def test_an_image_without_version_is_its_fqn_with_a_warning() -> None:
    """Deviation 2: not ``fqn:None``."""
    with pytest.warns(ImageWarning, match="h/ab:latest"):
        assert fill_in("{{.image.a-b}}", CONFIG) == "h/ab"


@pytest.mark.parametrize(
    "template",
    ["{{.image.pinned}}:v1", "{{.image.pinned.fqn}}:{{.image.pinned.version}}-gpu", "{{.image.pinned}} "],
)
def test_nothing_comes_after_a_digest(template: str) -> None:
    """Deviation 3: text behind a digest would make an identifier of nothing."""
    with pytest.raises(InvalidTemplate, match="is filled in with a digest"):
        fill_in(template, CONFIG)


@pytest.mark.parametrize("attribute", ["tag", "FQN", "Version", "digest", "full"])
def test_only_fqn_and_version_can_be_asked_for(attribute: str) -> None:
    """Attributes are spelled exactly; the error says which there are."""
    with pytest.raises(InvalidTemplate, match="wanted fqn, version or nothing"):
        fill_in(f"{{{{.image.default.{attribute}}}}}", CONFIG)


def test_a_task_needs_some_image() -> None:
    """Neither a template nor a default image is a ValueError, as it is there."""
    with pytest.raises(InvalidValue, match="no default image"):
        fill_in(None, ImageConfig())


def test_errors_are_assertion_errors_as_well() -> None:
    """Code that catches what flytekit raises still does."""
    assert issubclass(InvalidTemplate, AssertionError)
    assert issubclass(MissingVersion, AssertionError)


@given(st.text(alphabet="{}. imagesd:@x-", max_size=40))
def test_text_without_a_place_is_left_alone(text: str) -> None:
    """Whatever has no ``{{.image`` comes back as it went in."""
    if "{{" not in text and text:
        assert fill_in(text, CONFIG) == text


@pytest.mark.parametrize("unit", ["{", "{{.image.", "{{ ", "{{.image.default.fqn}}", ":", "{{.image.a"])
def test_long_templates_take_linear_time(unit: str) -> None:
    """No template takes longer than its length."""
    started = time.perf_counter()
    fill_in(unit * (2_000_000 // len(unit)), CONFIG)
    assert time.perf_counter() - started < 10
