"""Maintainer scripts that are not followed, as far as nothing must run: what is left to them, and where they cannot."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from tests.archives import make_deb
from tests.case import Case

from taskimage.adapters.sandbox.bubblewrap import Bubblewrap
from taskimage.adapters.sandbox.namespaces import Namespaces
from taskimage.model.oci import Platform
from taskimage.transform.deb import Deb
from taskimage.transform.effects.emulation import Effects, effects, effects_before
from taskimage.transform.effects.leftout import is_left_out
from taskimage.transform.entry import Entry
from taskimage.verbs import administration
from taskimage.verbs.scripts import merged

MakePackage: TypeAlias = Callable[..., Deb]
AMD64 = Platform.parse("linux/amd64")
UNKNOWN = "#!/bin/sh\nmake-something --now\n"


def before(*debs: Deb, waived: tuple[str, ...] = (), below: tuple[Entry, ...] = ()) -> Effects:
    def follow(left: set[tuple[str, str]]) -> Effects:
        return effects(debs, platform=AMD64, users=(), below=below, left=left)

    return effects_before(follow, waived=waived)


def status(made: Effects, package: str) -> list[str]:
    """What dpkg's record says of a package, apart from what its control file does."""
    [entry] = [entry for entry in made.entries if entry.path == "var/lib/dpkg/status"]
    assert entry.body is not None
    with entry.body.open() as stream:
        paragraphs = stream.read().decode().split("\n\n")
    [found] = [text for text in paragraphs if f"Package: {package}\n" in text]
    return [line for line in found.splitlines() if line.startswith(("Status", "Config-Version"))]


def paths(made: Effects) -> set[str]:
    return {entry.path for entry in made.entries}


# -- what is done before -------------------------------------------------------------------------------


def test_a_package_whose_script_is_not_followed_waits_to_be_configured(make_package: MakePackage) -> None:
    """Nothing of that script is done before, and all of the others."""
    one = make_package(scripts={"postinst": "#!/bin/sh\nmkdir /one\nmake-something\n"}, Package="one")
    other = make_package(scripts={"postinst": "#!/bin/sh\nmkdir /other\n"}, Package="other")
    made = before(one, other)
    assert [(script.package, script.script) for script in made.unknown] == [("one", "postinst")]
    assert "one" not in paths(made)
    assert "other" in paths(made)
    assert status(made, "one") == ["Status: install ok unpacked"]
    assert status(made, "other") == ["Status: install ok installed"]


def test_what_needs_the_outcome_of_such_a_script_is_not_followed_either(make_package: MakePackage) -> None:
    """Its folder has an owner who is there when both scripts have run."""
    one = make_package(
        scripts={"postinst": "#!/bin/sh\nadduser --system one\nmake-something\n"}, Package="one"
    )
    other = make_package(
        scripts={"postinst": "#!/bin/sh\ninstall -d -o one /srv/one\n"}, Package="other", Depends="one"
    )
    assert {script.package for script in before(one, other).unknown} == {"one", "other"}


def test_with_a_preinst_the_whole_package_is_left(make_package: MakePackage) -> None:
    scripts = {"preinst": UNKNOWN, "postinst": "#!/bin/sh\nmkdir /one\n"}
    made = before(make_package(scripts=scripts, Package="one"))
    assert [script.script for script in made.unknown] == ["preinst"]
    assert "one" not in paths(made)


def test_a_waived_script_is_followed_as_far_as_it_can_be(make_package: MakePackage) -> None:
    scripts = {"postinst": "#!/bin/sh\nmkdir /one\nmake-something\n"}
    made = before(make_package(scripts=scripts, Package="one"), waived=("one",))
    assert made.unknown == ()
    assert "one" in paths(made)
    assert status(made, "one") == ["Status: install ok installed"]


def test_dpkg_knows_which_version_was_configured_before(make_package: MakePackage) -> None:
    record = b"Package: one\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.5-1\n"
    base = (Entry.file("var/lib/dpkg/status", record),)
    made = before(make_package(scripts={"postinst": UNKNOWN}, Package="one"), below=base)
    assert status(made, "one") == ["Status: install ok unpacked", "Config-Version: 0.5-1"]


# -- what becomes of it --------------------------------------------------------------------------------


def test_what_scripts_change_takes_the_place_of_what_was_made_before() -> None:
    made = [Entry.file("a", b"1"), Entry.file("b", b"1"), Entry.file("d/e", b"1"), Entry.file("z", b"")]
    changed = [
        Entry.file("a", b"2"),
        Entry.file(".wh.b", b""),
        Entry.file(".wh.c", b""),
        Entry.file(".wh.d", b""),
        Entry.directory("f"),
    ]
    found = merged(made, changed, there={"c", "z"})
    assert [entry.path for entry in found] == [".wh.c", "a", "f", "z"]
    assert found[1] == Entry.file("a", b"2")


def test_a_file_takes_the_place_of_a_folder() -> None:
    made = [Entry.directory("a"), Entry.file("a/b", b"")]
    assert merged(made, [Entry.symlink("a", "c")], there=()) == (Entry.symlink("a", "c"),)


@pytest.mark.parametrize(
    "path",
    [
        "var/log/apache2/access.log", "var/cache/debconf/config.dat", "var/lib/dpkg/status-old", "var/lib/dpkg/updates/1",
        "var/lib/dpkg/lock", "etc/passwd-", "etc/machine-id", "etc/ssh/ssh_host_rsa_key", "etc/rc2.d/S01apache2",
        "usr/lib/python3/dist-packages/__pycache__/x.pyc", "etc/systemd/system/multi-user.target.wants/x.service",
        "var/lib/postgresql/15/main/PG_VERSION", "var/lib/texmf/web2c/tex/tex.fmt", "var/lib/mysql/ibdata1",
    ],
)  # fmt: skip
def test_what_passes_or_tells_machines_apart_is_left_out(path: str) -> None:
    assert is_left_out(path)


@pytest.mark.parametrize(
    "path",
    ["var/log/apache2", "var/lib/dpkg/status", "var/lib/dpkg/alternatives/awk", "etc/passwd", "var/lib/mysql",
     "etc/ssh/sshd_config", "var/lib/texmf/web2c/pdftex/pdflatex.fmt", "etc/systemd/system/x.service"],
)  # fmt: skip
def test_what_an_image_is_made_for_is_kept(path: str) -> None:
    assert not is_left_out(path)


# -- where they cannot run -----------------------------------------------------------------------------


@pytest.fixture
def script(case: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    """An archive whose package does something that nobody knows."""
    monkeypatch.setattr(administration, "host_linux", lambda: Platform("linux", "amd64"))
    case.publish({"tool": make_deb({}, Package="tool", scripts={"postinst": UNKNOWN})})
    case.spec()
    return case


WAY = "waive_scripts: [tool]"


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="asks for a sandbox")
def test_where_there_is_no_sandbox_both_ways_out_are_told(
    script: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (Bubblewrap, Namespaces):
        monkeypatch.setattr(kind, "problem", lambda _: "not here")
    said = script.fails(7)
    assert "cannot be run here: no sandbox works on this host" in said
    assert "tool: its postinst runs make-something --now" in said
    assert "install bubblewrap" in said
    assert WAY in said


def test_on_another_architecture_both_ways_out_are_told(
    script: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administration, "host_linux", lambda: Platform("linux", "arm64"))
    said = script.fails(7)
    assert "they are for linux/amd64, and this host is" in said
    assert "build on a linux/amd64 host and push there" in said
    assert WAY in said


def test_on_another_system_both_ways_out_are_told(script: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    said = script.fails(7)
    assert "they are for linux/amd64, and this host is darwin" in said
    assert "build on a linux/amd64 host and push there" in said
    assert WAY in said


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="scripts need Linux")
def test_an_image_in_which_nothing_runs_says_so(script: Case) -> None:
    """The archive of these tests has no program in it."""
    said = script.fails(7)
    assert "cannot start '/bin/sh' in the image" in said
    assert WAY in said


# -- the key -------------------------------------------------------------------------------------------


def layers(case: Case, **options: Any) -> list[dict[str, Any]]:
    case.spec(builder_options={"taskimage": {"runtime": "none", "bytecode": False, **options}})
    digest = case.build().partition("@sha256:")[2]
    blobs = case.home / "oci" / "blobs" / "sha256"
    return list(json.loads((blobs / digest).read_bytes())["layers"])


def test_a_waiver_is_in_the_key_where_it_is_for_a_package_of_the_image(script: Case) -> None:
    """With and without it the same packages give other layers; the names of others mean nothing."""
    waived = layers(script, waive_scripts=["tool"])
    assert layers(script, waive_scripts=["other", "tool"]) == waived
    script.publish()
    code, _, _ = script.run("build", "--force", str(script.spec_path))
    assert code == 0
    followed = layers(script)
    assert layers(script, waive_scripts=["other"]) == followed
    assert layers(script, waive_scripts=["tool"]) != followed
