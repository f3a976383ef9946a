"""What of the plug-in needs no flytekit: which versions are served, and when it takes over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import taskimage.flyte
from taskimage import Image, NotFound
from taskimage.flyte import from_flytekit, to_flytekit
from taskimage.flyte.plugin import priority, unsupported


def test_names_are_a_promise() -> None:
    assert dir(taskimage.flyte) == sorted(taskimage.flyte.__all__) == ["from_flytekit", "to_flytekit"]
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = taskimage.flyte.other


def test_without_flytekit_there_is_nothing_to_convert_to() -> None:
    for convert in (to_flytekit, from_flytekit):
        with pytest.raises(NotFound, match="flytekit is not installed"):
            convert(Image("a", "h/b", tag="v1"))


@pytest.mark.parametrize(
    "version", ["1.15.4", "1.15.4b1", "1.15.5", "1.16.0", "1.16.31", "1.16.99.dev3+g1234", "0.0.0+develop"]
)
def test_versions_that_are_served(version: str) -> None:
    assert unsupported(version) is None


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.15.3", "too old"), ("1.9.0", "too old"), ("0.32.6", "too old"), ("", "too old"),
        ("1.17.0", "newer than"), ("2.0.0b1", "newer than"), ("10.0", "newer than"),
    ],
)  # fmt: skip
def test_versions_that_are_not(version: str, told: str) -> None:
    assert told in (unsupported(version) or "")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with docker and no settings."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def settings(environ: dict[str, str], text: str) -> None:
    folder = Path(environ["XDG_CONFIG_HOME"], "taskimage")
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(text)


def test_flytekits_own_builder_stays_where_it_could_work(environ: dict[str, str]) -> None:
    """Its priority is 1, and that of the builder that does nothing 0."""
    assert priority(environ) < 0
    settings(environ, 'registry = "localhost:5000"\n')
    assert priority(environ) < 0


def test_a_docker_that_cannot_be_run_is_none(environ: dict[str, str]) -> None:
    Path(environ["PATH"], "docker").chmod(0o644)
    assert 1 < priority(environ) < 5


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the folder is not chosen by the environment")
def test_a_setting_goes_before_every_builder(environ: dict[str, str]) -> None:
    settings(environ, 'flytekit = "default"\n')
    assert priority(environ) > 10
    assert priority({**environ, "TASKIMAGE_FLYTEKIT": "default"}) > 10


@pytest.mark.parametrize("text", ["flytekit = 'yes'", "flytekit = default", "flytekit = 1"])
def test_a_setting_that_means_nothing_is_an_error(environ: dict[str, str], text: str) -> None:
    settings(environ, text)
    with pytest.raises(ValueError, match=r"flytekit|Invalid"):
        priority(environ)


def test_importing_the_plug_in_needs_no_flytekit() -> None:
    subprocess.run([sys.executable, "-c", "import taskimage.flyte.plugin"], check=True)
