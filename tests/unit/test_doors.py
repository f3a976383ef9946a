"""Whatever goes in at a public door: a value, an error of ours, or the built-in kind that is documented there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from taskimage import Image, ImageConfig, ImageSpec, Reference, TaskImageError, build, lock
from taskimage.model.lockfile import loads
from taskimage.model.template import fill_in

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::taskimage.ImageWarning"),
]

APP = Image("default", "h/app", tag="v1")
CONFIG = ImageConfig.create_from(APP, [Image("spark", "h/spark", digest="sha256:" + "0a" * 32)])


class Door(NamedTuple):
    """Where a value goes in, and the built-in errors that are documented there."""

    enter: Callable[[Any], object]
    documented: type[Exception] | tuple[type[Exception], ...] = ()


# One value each; what the door takes beside it is sound.
DOORS = {
    "Image(name)": Door(lambda it: Image(it, "a")),
    "Image(fqn)": Door(lambda it: Image("a", it)),
    "Image(tag)": Door(lambda it: Image("a", "b", tag=it)),
    "Image(digest)": Door(lambda it: Image("a", "b", digest=it)),
    "Image(tag, digest)": Door(lambda it: Image("a", "b", it, it)),
    "Image.parse": Door(Image.parse),
    "Image.parse(name)": Door(lambda it: Image.parse("h/app:v1", name=it)),
    "Image.look_up_image_info": Door(lambda it: Image.look_up_image_info("a", it)),
    "Image.look_up_image_info(allow)": Door(lambda it: Image.look_up_image_info("a", it, True)),
    "Image.look_up_image_info(name)": Door(lambda it: Image.look_up_image_info(it, "h/app:v1")),
    "Image.from_dict": Door(Image.from_dict),
    "Image.from_dict(infer_missing)": Door(lambda it: Image.from_dict(it, infer_missing=True)),
    "Image.from_dict(name)": Door(lambda it: Image.from_dict({"name": it, "fqn": "a"})),
    "Image.from_dict(tag, digest)": Door(
        lambda it: Image.from_dict({"name": "a", "fqn": "b", "tag": it, "digest": it})
    ),
    "Image.from_json": Door(Image.from_json, ValueError),
    "Image.schema().load": Door(lambda it: Image.schema().load(it), ValidationError),
    "Image.schema().load(fqn)": Door(
        lambda it: Image.schema().load({"name": "a", "fqn": it}), ValidationError
    ),
    "Image.schema().loads": Door(
        lambda it: Image.schema().loads(it), (ValidationError, TypeError, ValueError)
    ),
    "ImageConfig.from_dict": Door(ImageConfig.from_dict),
    "ImageConfig.from_dict(default_image)": Door(lambda it: ImageConfig.from_dict({"default_image": it})),
    "ImageConfig.from_dict(images)": Door(lambda it: ImageConfig.from_dict({"images": it})),
    "ImageConfig.from_dict(images[0])": Door(lambda it: ImageConfig.from_dict({"images": [it]})),
    "ImageConfig.from_json": Door(ImageConfig.from_json, ValueError),
    "ImageConfig.schema().load": Door(lambda it: ImageConfig.schema().load(it), ValidationError),
    "ImageConfig.schema().load(images)": Door(
        lambda it: ImageConfig.schema().load({"images": it}), ValidationError
    ),
    "ImageConfig.create_from": Door(ImageConfig.create_from),
    "ImageConfig.create_from(other_images)": Door(lambda it: ImageConfig.create_from(APP, it)),
    "ImageConfig.from_images": Door(ImageConfig.from_images),
    "ImageConfig.from_images(m)": Door(lambda it: ImageConfig.from_images("h/app:v1", it)),
    "ImageConfig.from_images(m[…])": Door(lambda it: ImageConfig.from_images("h/app:v1", {"a": it})),
    "ImageConfig.validate_image": Door(lambda it: ImageConfig.validate_image(None, "--image", it)),
    "ImageConfig.validate_image([…])": Door(lambda it: ImageConfig.validate_image(None, "--image", [it])),
    "ImageConfig.auto": Door(ImageConfig.auto),
    "ImageConfig.auto(img_name)": Door(lambda it: ImageConfig.auto(img_name=it)),
    "ImageConfig.find_image": Door(CONFIG.find_image),
    "Reference.parse": Door(Reference.parse),
    "fill_in": Door(lambda it: fill_in(it, CONFIG)),
    "loads": Door(lambda it: loads(it, where="image.lock.toml")),
    "ImageSpec(name)": Door(lambda it: ImageSpec(name=it)),
    "ImageSpec(packages)": Door(lambda it: ImageSpec(packages=it)),
    "ImageSpec.from_yaml": Door(ImageSpec.from_yaml),
    "lock": Door(lock),
    "build": Door(build),
}

DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
ENDLESS = 10**10_000  # more digits than Python writes
ODD: dict[str, object] = {
    "endless": ENDLESS,
    "endless in a list": [ENDLESS],
    "endless in a mapping": {"name": ENDLESS, "fqn": ENDLESS},
    "deep": DEEP,
    "deep in a mapping": {"name": "a", "fqn": DEEP, "images": DEEP},
    "a NUL": "a\0.yaml",
    "half a surrogate pair": "\udc80.yaml",
    "object": object(),
}
PIECES = [
    "a",
    "/",
    ":",
    "@",
    "=",
    "{{.image.",
    "spark",
    "}}",
    ".yaml",
    "sha256:",
    '{"name":',
    "[",
    "\0",
    "\udc80",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.binary(max_size=30),
)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(SCALARS, SCALARS, max_size=3)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to stand in, and no settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("FLYTECTL_CONFIG", "FLYTE_INTERNAL_IMAGE", "TASKIMAGE_STRICT"):
        monkeypatch.delenv(name, raising=False)


def knock(door: Door, value: object) -> TaskImageError | None:
    """Enter; anything but a value, an error of ours and what is documented fails the test."""
    try:
        door.enter(value)
    except TaskImageError as error:
        return error
    except door.documented:
        return None
    return None


@pytest.mark.parametrize("name", DOORS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANYTHING)
def test_anything_gives_a_value_or_the_right_error(name: str, value: object) -> None:
    error = knock(DOORS[name], value)
    assert error is None or len(str(error)) < 3000


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", DOORS)
def test_what_python_itself_stumbles_over_gives_a_value_or_the_right_error(name: str, value: str) -> None:
    """Errors show values, and not every value can be printed."""
    error = knock(DOORS[name], ODD[value])
    assert error is None or len(str(error)) < 3000


@pytest.mark.parametrize("unit", ["{{.image.a", '[{"@:/', b"\xff"], ids=repr)
@pytest.mark.parametrize("name", DOORS)
def test_ten_megabytes_take_linear_time(name: str, unit: str | bytes) -> None:
    """A moment, where anything that grows with the square would take days."""
    value = unit * (10_000_000 // len(unit))
    started = time.perf_counter()
    knock(DOORS[name], value)
    assert time.perf_counter() - started < 5


@given(
    fields=st.tuples(SCALARS, SCALARS, SCALARS),
    pinned=st.booleans(),
)
def test_an_image_of_anything_can_be_used(fields: tuple[Any, Any, Any], pinned: bool) -> None:  # noqa: FBT001
    """flytekit checks no types there, and neither is anything checked here."""
    name, fqn, version = fields
    image = Image(name, fqn, digest=version) if pinned else Image(name, fqn, tag=version)
    assert str(fqn) in image.full
    assert image.version == version or version != version or not version  # noqa: PLR0124 - NaN
    assert image.to_dict().keys() == {"name", "fqn", "tag", "digest"}
    assert image.to_json()
    assert hash(image) == hash(image)
    knock(Door(lambda it: it.reference), image)
    if image.digest:  # else a registry is asked
        knock(Door(lambda it: it.pin()), image)
