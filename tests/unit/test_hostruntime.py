"""The flytekit that is added to an image is the one of the environment that builds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.case import Case

from taskimage.model.lock import Wants
from taskimage.verbs.hostruntime import runtime_requirement

_FIELDS = {"packages": [], "apt_packages": [], "builder_options": {"taskimage": {"bytecode": False}}}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The METADATA of a flytekit that this environment seems to have."""
    monkeypatch.syspath_prepend(str(tmp_path))
    metadata = tmp_path / "flytekit-9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    return metadata


def has(installed: Path, version: str) -> None:
    installed.write_text(f"Metadata-Version: 2.1\nName: flytekit\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("version", "requirement"),
    [
        ("1.15.4", "flytekit==1.15.4"),
        ("1.16.0b1", "flytekit==1.16.0b1"),
        ("1.16.32.dev3+g1a2b", "flytekit>=1.15"),
        ("0.0.0+develop", "flytekit>=1.15"),
    ],
)
def test_it_is_the_host_s_version_unless_no_index_has_it(
    installed: Path, version: str, requirement: str
) -> None:
    has(installed, version)
    assert runtime_requirement(_wants("flytekit")) == (requirement,)


def test_nothing_is_added_where_nothing_is_missing() -> None:
    assert runtime_requirement(_wants("")) == ()


def test_where_the_host_has_none_the_index_decides() -> None:
    assert runtime_requirement(_wants("flytekit")) == ("flytekit>=1.15",)


def test_a_resolution_is_not_that_of_another_environment(case: Case, installed: Path) -> None:
    """Two environments share a store; what was resolved in one is not taken in the other."""
    for version in ("1.0", "2.0"):
        case.index.add("flytekit", version, files={"flytekit.py": b""})
    references = []
    for version in ("1.0", "2.0", "1.0"):
        has(installed, version)
        case.spec(**_FIELDS)
        references.append(case.build())
    assert references[0] == references[2] != references[1]


def _wants(runtime: str) -> Wants:
    return Wants(python="3.11", platforms=("linux/amd64",), suite="bookworm", runtime=runtime)
