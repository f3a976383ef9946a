"""`ImageConfig`: what a command line, a configuration file and the environment say."""

from __future__ import annotations

import configparser
import dataclasses
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskimage.model.config import ImageConfig
from taskimage.model.errors import (
    BadInput,
    ImageWarning,
    InvalidValue,
    MissingVersion,
    NotFound,
    TaskImageError,
    WrongType,
)
from taskimage.model.image import Image
from taskimage.verbs.flyteconfig import default_image

APP = Image("default", "h/app", "v1")
SPARK = Image("spark", "h/spark", "v2")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home and a working directory without any configuration."""
    home = tmp_path / "home"
    (home / ".flyte").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name in (
        "FLYTECTL_CONFIG",
        "_FLYTECTL_CONFIG_PYFLYTE_OVERRIDE",
        "FLYTE_INTERNAL_IMAGE",
        "TASKIMAGE_STRICT",
    ):
        monkeypatch.delenv(name, raising=False)
    return home


class TestValue:
    def test_it_is_a_frozen_dataclass(self) -> None:
        """With two fields that may be left out."""
        assert ImageConfig() == ImageConfig(default_image=None, images=None)
        assert dataclasses.replace(ImageConfig(), images=[SPARK]).images == [SPARK]
        assert pickle.loads(pickle.dumps(ImageConfig(APP, [SPARK]))) == ImageConfig(APP, [SPARK])  # noqa: S301

    def test_find_image_asks_the_default_one_first(self) -> None:
        """None when there is no such name."""
        config = ImageConfig(APP, [Image("default", "other"), SPARK])
        assert config.find_image("default") is APP
        assert config.find_image("spark") is SPARK
        assert config.find_image("x") is ImageConfig().find_image("default") is None
        assert config.names() == ("default", "spark")

    def test_create_from_lists_the_default_one_too(self) -> None:
        """First, as flytekit has it."""
        assert ImageConfig.create_from(APP, [SPARK]) == ImageConfig(APP, [APP, SPARK])
        assert ImageConfig.create_from(None) == ImageConfig(None, [])
        with pytest.raises(InvalidValue, match="wanted an Image"):
            ImageConfig.create_from("h/app:v1")  # type: ignore[arg-type]

    def test_from_images(self) -> None:
        """The default one needs a version, and the others do not."""
        config = ImageConfig.from_images("h/app:v1", {"spark": "h/spark"})
        assert config == ImageConfig.create_from(APP, [Image("spark", "h/spark")])
        with pytest.raises(MissingVersion):
            ImageConfig.from_images("h/app")
        assert ImageConfig.from_images("") == ImageConfig(None, [])


class TestValidateImage:
    def test_values_are_named_or_the_default_one(self) -> None:
        """``name=identifier`` or ``identifier``."""
        config = ImageConfig.validate_image(None, "image", ("spark=h/spark:v2", "h/app:v1"))
        assert config == ImageConfig.create_from(APP, [SPARK])
        assert ImageConfig.validate_image(None, "image", ("default=h/app:v1",)).default_image == APP

    def test_flytekits_own_image_is_the_default_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When none is given."""
        monkeypatch.setenv("FLYTE_INTERNAL_IMAGE", "h/internal:v0")
        config = ImageConfig.validate_image(None, "image", ())
        assert config == ImageConfig.create_from(Image("default", "h/internal", "v0"))

    @pytest.mark.parametrize("values", [("h/a:1", "h/b:2"), ("default=h/a:1", "h/b:2")])
    def test_two_default_images_are_a_value_error(self, values: tuple[str, ...]) -> None:
        """The error shows both, and the parameter."""
        with pytest.raises(InvalidValue, match=r"--image.*h/a:1.*h/b:2"):
            ImageConfig.validate_image(None, "--image", values)

    @pytest.mark.parametrize("values", [None, "h/a:1", 1, (1,), (None,), (b"h/a:1",)])
    def test_what_is_no_list_of_text_is_refused(self, values: Any) -> None:
        """As a TypeError of ours."""
        with pytest.raises(WrongType):
            ImageConfig.validate_image(None, "image", values)

    def test_a_version_is_needed(self) -> None:
        """For every one of them."""
        with pytest.raises(MissingVersion):
            ImageConfig.validate_image(None, "image", ("h/app:v1", "spark=h/spark"))


class TestAuto:
    def test_no_file_and_no_image_is_an_empty_config(self) -> None:
        """As flytekit has it."""
        assert ImageConfig.auto() == ImageConfig(None, [])
        assert ImageConfig.auto(img_name="h/app:v1") == ImageConfig.create_from(APP)

    @pytest.mark.parametrize("name", ["c.yaml", "c.yml", "myyaml"])
    def test_yaml(self, tmp_path: Path, name: str) -> None:
        """The section ``images``; the version may be missing."""
        (tmp_path / name).write_text("admin: {x: 1}\nimages:\n  Spark: h/spark\n  b: h/b:1\n")
        want = [Image("Spark", "h/spark"), Image("b", "h/b", "1")]
        assert ImageConfig.auto(str(tmp_path / name)).images == want
        assert ImageConfig.auto(tmp_path / name).images == want

    @pytest.mark.parametrize("text", ["", "admin: {}", "images:", "images: {}"])
    def test_yaml_without_images(self, tmp_path: Path, text: str) -> None:
        """An empty file too, over which flytekit stumbles."""
        (tmp_path / "c.yaml").write_text(text)
        assert ImageConfig.auto(tmp_path / "c.yaml") == ImageConfig(None, [])

    @pytest.mark.parametrize("name", ["config", "flytekit.config", "c.ini"])
    def test_ini(self, tmp_path: Path, name: str) -> None:
        """Any other name is an ini file; names are in lower case, defaults and %-interpolation are configparser's."""
        (tmp_path / name).write_text("[DEFAULT]\nHost = h\n[images]\nSpark = %(host)s/spark\nb = h/b:1\n")
        images = ImageConfig.auto(str(tmp_path / name)).images
        assert {image.name: image.fqn for image in images or ()} == {
            "host": "h",
            "spark": "h/spark",
            "b": "h/b",
        }

    def test_a_missing_yaml_file_is_an_error_and_a_missing_ini_file_a_warning(self, tmp_path: Path) -> None:
        """flytekit says nothing of the second."""
        with pytest.raises(NotFound):
            ImageConfig.auto(str(tmp_path / "c.yaml"))
        with pytest.warns(ImageWarning, match="is not there"):
            assert ImageConfig.auto(str(tmp_path / "c.ini")) == ImageConfig(None, [])

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("c.yaml", "images: [a]"),
            ("c.yaml", "images: x"),
            ("c.yaml", "[1]"),
            ("c.yaml", "images: {a: 1}"),
            ("c.yaml", "images: {1: h/a:1}"),
            ("c.yaml", "a: [\n"),
            ("c.yaml", b"\xff\xfe\xfa"),
            ("c.ini", b"[images]\na = \xff"),
            ("c.ini", "a = 1"),
            ("c.ini", "[images]\na = %(b)s"),
            ("c.ini", "[internal]\n"),
        ],
    )
    def test_a_file_that_makes_no_sense_is_named(self, tmp_path: Path, name: str, text: str | bytes) -> None:
        """The error is bad input, and begins with the file."""
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(BadInput) as caught:
            ImageConfig.auto(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))

    def test_a_config_file_that_flytekit_has_read(self) -> None:
        """Its ConfigFile has either of the two."""
        ini = configparser.ConfigParser()
        ini.read_string("[images]\nspark = h/spark:v2")
        for file in (
            SimpleNamespace(legacy_config=ini, yaml_config=None),
            SimpleNamespace(legacy_config=None, yaml_config={"images": {"spark": "h/spark:v2"}}),
        ):
            assert ImageConfig.auto(file).images == [SPARK]

    @pytest.mark.parametrize("value", [1, b"c.yaml", ["c.yaml"]])
    def test_what_is_no_path_is_refused(self, value: Any) -> None:
        """As ours."""
        with pytest.raises(TaskImageError):
            ImageConfig.auto(value)

    def test_files_are_looked_for_where_flytekit_looks(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last of these is found first."""
        places = {
            home / ".flyte/config.yaml": "images: {a: h/home-yaml:1}",
            home / ".flyte/config": "[images]\na = h/home-ini:1",
            Path("flytekit.config"): "[images]\na = h/work:1",
            tmp_path / "named.yaml": "images: {a: h/named:1}",
        }
        for path, text in places.items():
            path.write_text(text)
            if path.name == "named.yaml":
                monkeypatch.setenv("FLYTECTL_CONFIG", str(path))
            images = ImageConfig.auto().images or []
            assert images[0].fqn in text
        monkeypatch.setenv("_FLYTECTL_CONFIG_PYFLYTE_OVERRIDE", str(home / ".flyte/config.yaml"))
        assert (ImageConfig.auto().images or [])[0].fqn == "h/home-yaml"

    def test_a_named_file_that_is_missing_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a warning, as flytekit has it."""
        monkeypatch.setenv("FLYTECTL_CONFIG", "nowhere.yaml")
        with pytest.warns(ImageWarning, match="nowhere"):
            assert ImageConfig.auto() == ImageConfig(None, [])


class TestDefaultImage:
    def test_it_is_for_this_python_and_flytekit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``latest`` where flytekit is not installed, or is a development version."""
        python = f"py{sys.version_info.major}.{sys.version_info.minor}"
        for installed, suffix in (("1.16.31", "1.16.31"), ("1.17.0.dev3", "latest")):
            monkeypatch.setattr("importlib.metadata.version", lambda _, version=installed: version)
            assert default_image() == f"cr.flyte.org/flyteorg/flytekit:{python}-{suffix}"
        monkeypatch.undo()
        assert default_image().startswith(f"cr.flyte.org/flyteorg/flytekit:{python}-")

    def test_the_environment_names_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """FLYTE_INTERNAL_IMAGE, for auto_default_image too."""
        monkeypatch.setenv("FLYTE_INTERNAL_IMAGE", "h/internal:v0")
        assert default_image() == "h/internal:v0"
        assert ImageConfig.auto_default_image().default_image == Image("default", "h/internal", "v0")
