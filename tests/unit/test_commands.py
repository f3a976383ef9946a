"""`commands` of a spec, as far as nothing must run: when their layer is another, and where they are refused."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.case import Case

from taskimage.adapters.sandbox.bubblewrap import Bubblewrap
from taskimage.adapters.sandbox.namespaces import Namespaces
from taskimage.model.digest import Digest
from taskimage.model.oci import Platform
from taskimage.model.spec import ImageSpec
from taskimage.transform.plan import LayerPlan
from taskimage.verbs import administration
from taskimage.verbs.commands import commands_plan

BELOW = LayerPlan(kind="files", origin="x", parameters=("a",))
SPEC: dict[str, Any] = {"commands": ["ls", "true"], "env": {"A": "b"}}


def key(spec: dict[str, Any], *below: LayerPlan, base: Digest | None = None) -> Digest:
    return commands_plan(ImageSpec(**spec), below or (BELOW,), base).key


@pytest.mark.parametrize(
    "other",
    [
        {"commands": ["true", "ls"]},
        {"commands": ["ls", "uv --version"]},
        {"env": {"A": "c"}},
        {"builder_options": {"taskimage": {"network": True}}},
    ],
)
def test_what_commands_see_is_in_the_key_of_their_layer(other: dict[str, Any]) -> None:
    assert key(SPEC | other) != key(SPEC)


def test_all_that_is_below_is_in_the_key() -> None:
    changed = LayerPlan(kind="files", origin="x", parameters=("b",))
    assert len({key(SPEC), key(SPEC, changed), key(SPEC, BELOW, changed), key(SPEC, base=BELOW.key)}) == 4


@pytest.mark.parametrize(
    "other", [{"name": "other"}, {"entrypoint": ["x"]}, {"env": {"A": "b"}, "registry": "r"}]
)
def test_what_they_do_not_see_is_not(other: dict[str, Any]) -> None:
    assert key(SPEC | other) == key(SPEC)


@pytest.fixture
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is what the archive of these tests is for."""
    monkeypatch.setattr(administration, "host_linux", lambda: Platform("linux", "amd64"))


def test_another_architecture_is_refused_with_the_way_out_and_before_packages_are_fetched(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administration, "host_linux", lambda: Platform("linux", "arm64"))
    case.spec(commands=["ls"])
    said = case.fails(7)
    assert "image.yaml:" in said
    assert "they are for linux/amd64, and this host is linux/arm64" in said
    assert "hint: build on a linux/amd64 host" in said
    assert not [path for path in case.mirror.asked if path.endswith(".deb")]


def test_where_there_is_no_sandbox_the_way_out_is_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Bubblewrap, Namespaces):
        monkeypatch.setattr(kind, "problem", lambda _: "not here")
    case.spec(commands=["ls"])
    said = case.fails(7)
    assert "`commands` cannot be run here: no sandbox works on this host" in said
    assert "install bubblewrap" in said


@pytest.mark.usefixtures("amd64")
@pytest.mark.skipif(os.uname().sysname != "Linux", reason="commands need Linux")
def test_an_image_without_a_shell_says_so(case: Case) -> None:
    """The archive of these tests has no program in it."""
    case.spec(commands=["ls"])
    said = case.fails(7)
    assert "cannot start '/bin/sh' in the image" in said
    assert "they need a shell" in said


def test_a_command_of_blanks_is_no_command(case: Case) -> None:
    case.spec(commands=["ls", " "])
    assert "commands[1]" in case.fails(2)


def test_certificate_authorities_that_are_no_certificates_are_refused(case: Case) -> None:
    options = {"taskimage": {"runtime": "none", "bytecode": False, "ca_certificates": ["corp.pem"]}}
    case.spec(builder_options=options)
    assert "ca_certificates" in case.fails(3)
    (case.folder / "corp.pem").write_text("no certificate")
    assert "corp.pem: no certificate in it" in case.fails(2)
