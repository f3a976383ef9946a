"""Sdists of a spec, as far as nothing must run: who may build them, and where they are refused."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.case import Case
from tests.sdists import make_sdist

from taskimage.adapters.sandbox.bubblewrap import Bubblewrap
from taskimage.adapters.sandbox.namespaces import Namespaces
from taskimage.model.digest import Digest
from taskimage.model.lock import SdistPin, WheelPin
from taskimage.model.lockfile import dumps, loads
from taskimage.model.oci import Platform
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import unserved
from taskimage.verbs import sdists

ALLOWED = {"taskimage": {"runtime": "none", "bytecode": False, "build_sdists": ["Old"]}}


@pytest.fixture
def old(case: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The index has ``old`` as an sdist alone, and the spec allows it; the host is what the archive is for."""
    monkeypatch.setattr(sdists, "host_linux", lambda: Platform("linux", "amd64"))
    file, data = make_sdist("old", "1.0", {"setup.py": b""})
    case.index.files[file] = data
    case.spec(packages=["demo", "old"], builder_options=ALLOWED)
    return case


def test_a_host_of_another_architecture_is_told_before_anything_is_fetched_for_it(
    old: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdists, "host_linux", lambda: Platform("linux", "arm64"))
    for command in ("lock", "build"):
        said = old.fails(7, command, str(old.spec_path))
        assert "no wheel of 'old==1.0', and it cannot be built here" in said
        assert "the image is for linux/amd64, and this host is linux/arm64" in said
        assert "hint: choose a version of old or another package that has a wheel" in said
        assert "do this on a linux/amd64 host" in said
    assert not [path for path in old.mirror.asked if path.endswith(".deb")]


def test_where_there_is_no_sandbox_the_choices_are_told(old: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of root does not do: it keeps processes and network of the host in reach."""
    for kind in (Bubblewrap, Namespaces):
        monkeypatch.setattr(kind, "problem", lambda _: "not here")
    said = old.fails(7, "lock", str(old.spec_path))
    assert "it cannot be built here: no sandbox works on this host" in said
    assert "name an index that has it; or install bubblewrap" in said


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="sdists are built on Linux")
def test_check_says_what_would_be_built(old: Case) -> None:
    _, out, err = old.run("check", str(old.spec_path))
    assert "would be built: old 1.0" in out + err
    assert not [path for path in old.mirror.asked if path.endswith(".deb")]


PIN = WheelPin(
    name="old", version="1.0", index="pypi", file="old-1.0-py3-none-any.whl", size=3, digest=Digest.of(b"w"),
    sdist=SdistPin(file="old-1.0.tar.gz", size=4, digest=Digest.of(b"s"), tools=("setuptools==80.0", "wheel==1")),
)  # fmt: skip


@pytest.mark.parametrize("tools", [(), ("setuptools==80.0", "wheel==1")])
def test_a_lock_says_what_was_built_in_one_line_and_is_read_back(case: Case, tools: tuple[str, ...]) -> None:
    import dataclasses

    case.lock()
    text = case.lock_path.read_text()
    lock = loads(text, where="lock")
    (platform,) = lock.platforms
    assert PIN.sdist is not None
    pin = dataclasses.replace(PIN, sdist=dataclasses.replace(PIN.sdist, tools=tools))
    built = dataclasses.replace(
        lock, platforms=(dataclasses.replace(platform, wheels=(*platform.wheels, pin)),)
    )
    written = dumps(built)
    assert loads(written, where="lock") == built
    (line,) = set(written.splitlines()) - set(text.splitlines())
    named = ', tools = ["setuptools==80.0", "wheel==1"]' if tools else ""
    assert line == (
        '    { name = "old", version = "1.0", index = "pypi", file = "old-1.0-py3-none-any.whl", size = 3, '
        f'sha256 = "{Digest.of(b"w").hex}", sdist = {{ file = "old-1.0.tar.gz", size = 4, '
        f'sha256 = "{Digest.of(b"s").hex}"{named} }} }},'
    )


@pytest.mark.parametrize(
    "sdist",
    ['"old.tar.gz"', "{ file = 'x' }", "{ file = '../x', size = 1, sha256 = 'HEX' }",
     "{ file = 'x', size = '1', sha256 = 'HEX' }", "{ file = 'x', size = 1, sha256 = 'HEX', tools = [1] }"],
)  # fmt: skip
def test_a_lock_with_an_sdist_that_is_none_is_refused(case: Case, sdist: str) -> None:
    case.lock()
    text = case.lock_path.read_text()
    changed = text.replace('" },\n]', f'", sdist = {sdist.replace("HEX", 64 * "0")} }},\n]')
    assert changed != text
    case.lock_path.write_text(changed)
    assert "not a lock" in case.fails(2)


def test_what_may_be_built_is_what_a_lock_was_made_for(case: Case) -> None:
    case.lock()
    assert "build-sdists" not in case.lock_path.read_text()
    case.spec(builder_options=ALLOWED)
    assert "build_sdists: 'Old' is wanted and not locked" in case.fails(2)


@pytest.mark.parametrize("name", ["old>=1", "old[x]", "", "-old", ["old"]])
def test_build_sdists_takes_names_alone(case: Case, name: Any) -> None:
    case.spec(builder_options={"taskimage": {"build_sdists": [name]}})
    assert "build_sdists[0]" in case.fails(2)


def test_a_bound_on_time_that_sdists_would_not_follow_is_refused() -> None:
    spec = ImageSpec(pip_extra_args="--exclude-newer 2024-01-01", builder_options=ALLOWED)
    assert any("exclude-newer" in line for line in unserved(spec))
