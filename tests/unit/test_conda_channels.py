"""Conda channels: which are asked and how locks name them, what is solved, and what is fetched."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from tests.channels import Channel, CondaFile
from tests.sources import Mirror

from taskimage.adapters.conda import Conda, Solution
from taskimage.adapters.conda.channels import channels
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.errors import (
    BadInput,
    CannotBuild,
    IntegrityError,
    NotFound,
    TaskImageError,
    Unreachable,
)
from taskimage.model.oci import Platform

AMD64 = Platform.parse("linux/amd64")
DIRECT = {"NO_PROXY": "127.0.0.1"}


@pytest.fixture
def forge(tmp_path: Path) -> Channel:
    """A channel with two versions of Python, and packages for any and for one."""
    channel = Channel(tmp_path / "channels/conda-forge")
    for version in ("3.11.8", "3.12.1"):
        channel.add(
            {"bin/python": CondaFile(b"")}, name="python", version=version, depends=["__glibc >=2.17"]
        )
    channel.add({"site-packages/demo.py": CondaFile(b"")}, name="demo", noarch="python", depends=["python"])
    for version in ("1.0", "2.0"):
        channel.add({"lib/libtool.so": CondaFile(b"")}, name="tool", version=version)
    channel.add({}, name="new", depends=["__glibc >=2.99"])
    channel.add({}, name="gpu", depends=["__cuda >=12"])
    return channel


@pytest.fixture
def mirror(tmp_path: Path, forge: Channel) -> Iterator[Mirror]:
    server = Mirror(tmp_path / "channels")
    yield server
    server.close()


def _conda(tmp_path: Path, root: str, *, offline: bool = False, **environ: str) -> Conda:
    environ = {**DIRECT, "CONDA_CHANNEL_ALIAS": root, **environ}
    store = Store(tmp_path / "home")
    return Conda(store, Http(environ, pauses=(), offline=offline), environ=environ, offline=offline)


def _solved(conda: Conda, *packages: str, **about: Any) -> Solution:
    usual: dict[str, Any] = {"channels": (), "python": "3.11", "platform": AMD64, "glibc": (2, 36)}
    return conda.resolve(packages, **{**usual, **about})


def _names(solution: Solution) -> list[str]:
    return [f"{pin.name} {pin.version}" for pin in solution.packages]


# -- which channels ------------------------------------------------------------------------------------


def test_conda_forge_is_asked_first_and_addresses_get_aliases() -> None:
    found = channels(["nvidia", "https://example.org/t/token/own/", "conda-forge/label/dev"], {})
    assert [(one.alias, one.url) for one in found] == [
        ("conda-forge", None),
        ("nvidia", None),
        ("conda_channels-2", "https://example.org/t/token/own"),
        ("conda-forge/label/dev", None),
    ]


def test_named_channels_are_below_the_mirror_that_the_environment_names() -> None:
    found = channels(["nvidia"], {"CONDA_CHANNEL_ALIAS": "https://mirror.example.org/conda/"})
    assert [one.url for one in found] == [
        "https://mirror.example.org/conda/conda-forge",
        "https://mirror.example.org/conda/nvidia",
    ]


@pytest.mark.parametrize(
    "text", ["", "a b", "../x", "http://example.org/x", "ftp://example.org/x", "file://host/x", "https:///x"]
)
def test_what_is_no_channel_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="wanted"):
        channels([text], {})


def test_an_error_about_an_address_has_no_password() -> None:
    with pytest.raises(BadInput) as raised:
        channels(["http://user:canary@example.org/x"], {})
    assert "canary" not in str(raised.value)


# -- solving -------------------------------------------------------------------------------------------


def test_an_environment_has_what_is_wanted_and_the_wanted_python(tmp_path: Path, mirror: Mirror) -> None:
    found = _solved(_conda(tmp_path, mirror.url), "demo", "tool <2")
    assert _names(found) == ["demo 1.0", "python 3.11.8", "tool 1.0"]
    assert found.python.version == "3.11.8"
    assert [pin.name for pin in found.of_python] == ["demo"]
    demo = found.packages[0]
    assert (demo.channel, demo.subdir, demo.file) == ("conda-forge", "noarch", "demo-1.0-0.conda")
    assert demo.size == (tmp_path / "channels/conda-forge/noarch/demo-1.0-0.conda").stat().st_size


def test_a_channel_may_be_a_folder(tmp_path: Path, forge: Channel) -> None:
    own = Channel(tmp_path / "own channel")
    own.add({}, name="mine")
    own_address = (tmp_path / "own channel").as_uri()
    conda = _conda(tmp_path, forge.folder.parent.as_uri())
    found = _solved(conda, "mine", channels=[own_address])
    mine = found.packages[0]
    assert (mine.name, mine.channel) == ("mine", "conda_channels-1")
    moved: list[int] = []
    conda.fetch(found.packages, channels=[own_address], moved=moved.append)
    assert sum(moved) == sum(pin.size for pin in found.packages)


def test_an_address_may_carry_a_password_that_nothing_keeps(tmp_path: Path, mirror: Mirror) -> None:
    own = Channel(tmp_path / "channels/t/token/own")
    own.add({}, name="mine")
    address = mirror.url.replace("://", "://user:canary@") + "/t/token/own"
    conda = _conda(tmp_path, mirror.url)
    found = _solved(conda, "mine", channels=[address])
    conda.fetch(found.packages, channels=[address], moved=lambda _: None)
    assert found.packages[0].channel == "conda_channels-1"
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"canary" in path.read_bytes() or "canary" in path.name]


def test_what_is_kept_is_preferred_while_it_serves(tmp_path: Path, mirror: Mirror) -> None:
    conda = _conda(tmp_path, mirror.url)
    old = _solved(conda, "tool <2").packages
    assert _names(_solved(conda, "tool", keep=old)) == ["python 3.11.8", "tool 1.0"]
    assert _names(_solved(conda, "tool")) == ["python 3.11.8", "tool 2.0"]
    assert _names(_solved(conda, "tool >=2", keep=old)) == ["python 3.11.8", "tool 2.0"]


def test_the_image_decides_what_can_run_and_not_this_machine(tmp_path: Path, mirror: Mirror) -> None:
    conda = _conda(tmp_path, mirror.url)
    with pytest.raises(CannotBuild, match=r"no environment of 'new', 'python=3\.11' for linux/amd64"):
        _solved(conda, "new")
    assert "new 1.0" in _names(_solved(conda, "new", glibc=(2, 99)))
    with pytest.raises(CannotBuild, match="no environment of 'gpu'"):
        _solved(conda, "gpu")
    assert "gpu 1.0" in _names(_solved(_conda(tmp_path, mirror.url, CONDA_OVERRIDE_CUDA="12.4"), "gpu"))


def test_solving_works_where_an_event_loop_runs_already(tmp_path: Path, mirror: Mirror) -> None:
    import asyncio

    async def solved() -> Solution:
        return _solved(_conda(tmp_path, mirror.url), "tool")

    assert "tool 2.0" in _names(asyncio.run(solved()))


@pytest.mark.parametrize(
    ("packages", "about", "error"),
    [
        (["none"], {}, CannotBuild("No candidates were found for none")),
        (["a b=="], {}, BadInput("conda_packages has what is no match specification")),
        (["tool"], {"python": "3.9"}, CannotBuild("no environment of 'tool', 'python=3.9' for linux/amd64")),
        (["tool"], {"platform": Platform.parse("linux/arm")}, CannotBuild("wanted one of linux/amd64")),
        (["tool"], {"channels": ["absent"]}, Unreachable("a conda channel cannot be read")),
    ],
)
def test_what_cannot_be_solved_says_why(
    tmp_path: Path,
    mirror: Mirror,
    packages: list[str],
    about: dict[str, Any],
    error: TaskImageError,
) -> None:
    with pytest.raises(type(error), match=re.escape(error.message)):
        _solved(_conda(tmp_path, mirror.url), *packages, **about)


def test_an_unknown_channel_is_told_with_what_may_be_named(tmp_path: Path, mirror: Mirror) -> None:
    with pytest.raises(Unreachable) as raised:
        _solved(_conda(tmp_path, mirror.url), "tool", channels=["absent"])
    assert "conda_channels wants names, such as bioconda, and https:// or file:// addresses" in str(
        raised.value
    )


def test_an_error_of_a_channel_has_no_token(tmp_path: Path, forge: Channel) -> None:
    wanted = "http://user:canary@127.0.0.1:1/t/canary/own"
    with pytest.raises(Unreachable) as raised:
        _solved(_conda(tmp_path, forge.folder.parent.as_uri()), "tool", channels=[wanted])
    assert "canary" not in str(raised.value)


def test_offline_nothing_is_solved(tmp_path: Path, forge: Channel) -> None:
    with pytest.raises(Unreachable, match="not solved offline"):
        _solved(_conda(tmp_path, forge.folder.parent.as_uri(), offline=True), "tool")


def test_without_py_rattler_an_error_names_the_extra(tmp_path: Path, forge: Channel) -> None:
    with (
        patch.dict(sys.modules, {"rattler": None}),
        pytest.raises(CannotBuild, match=re.escape("install 'taskimage[conda]'")),
    ):
        _solved(_conda(tmp_path, forge.folder.parent.as_uri()), "tool")


# -- fetching ------------------------------------------------------------------------------------------


def test_packages_are_fetched_from_any_mirror_without_solving(tmp_path: Path, mirror: Mirror) -> None:
    pins = _solved(_conda(tmp_path, mirror.url), "demo").packages
    mirror.asked.clear()
    conda = _conda(tmp_path / "other", mirror.url)
    with patch.dict(sys.modules, {"rattler": None}):
        conda.fetch(pins, channels=(), moved=lambda _: None)
    assert sorted(mirror.asked) == sorted(f"/conda-forge/{pin.subdir}/{pin.file}" for pin in pins)


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_only_the_locked_bytes_are_taken(tmp_path: Path, mirror: Mirror, forge: Channel, scheme: str) -> None:
    root = mirror.url if scheme == "http" else forge.folder.parent.as_uri()
    conda = _conda(tmp_path, root)
    pins = [pin for pin in _solved(conda, "tool").packages if pin.name == "tool"]
    path = forge.folder / "linux-64/tool-2.0-0.conda"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IntegrityError):
        conda.fetch(pins, channels=(), moved=lambda _: None)
    path.unlink()
    with pytest.raises(NotFound):
        conda.fetch(pins, channels=(), moved=lambda _: None)


def test_a_channel_that_is_no_longer_named_is_an_error(tmp_path: Path, forge: Channel) -> None:
    own = Channel(tmp_path / "own")
    own.add({}, name="mine")
    conda = _conda(tmp_path, forge.folder.parent.as_uri())
    pins = _solved(conda, "mine", channels=[own.folder.as_uri()]).packages
    with pytest.raises(BadInput, match="locked from the channel 'conda_channels-1', which is not known here"):
        conda.fetch(pins, channels=(), moved=lambda _: None)
