"""What compiles an image's bytecode: which interpreter, where it comes from, and what is said where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from tests.case import Case
from tests.sources import package

from taskimage.adapters.settings import Settings
from taskimage.model.base import BaseFacts
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, Unreachable
from taskimage.model.events import Event, Notice
from taskimage.model.lock import BasePin, DebPin, PlatformLock, PythonPin
from taskimage.model.oci import Platform
from taskimage.verbs.base import Base
from taskimage.verbs.standin import StandIns, inputs_of, known_ways
from taskimage.verbs.tools import Tools

AMD64, ARM64, S390X = (Platform("linux", name) for name in ("amd64", "arm64", "s390x"))
MAC = Platform.of_host("darwin", "arm64")
UNKNOWN = Platform.of_host("linux", "loongarch64")

SUITE = PythonPin(version="3.11.2", source="suite")
STANDALONE = PythonPin(version="3.12.7", source="standalone", path="x.tar.gz", digest=Digest.of(b"x"))
CONDA = PythonPin(version="3.12.7", source="conda")


def of_base(path: str) -> PythonPin:
    return PythonPin(version="3.11.2", source="base", path=path)


@pytest.mark.parametrize(
    ("python", "here", "ways"),
    [
        (SUITE, AMD64, ("debian", "standalone")),
        (SUITE, S390X, ("debian", "standalone")),
        (SUITE, MAC, ("standalone",)),
        (SUITE, UNKNOWN, ("standalone",)),
        (STANDALONE, AMD64, ("standalone",)),
        (CONDA, AMD64, ("standalone",)),
        (of_base("/usr/bin/python3.11"), AMD64, ("debian", "standalone")),
        (of_base("/usr/bin/python3.11"), MAC, ("standalone",)),
        (of_base("/usr/local/bin/python3.11"), AMD64, ("standalone",)),
    ],
)
def test_where_a_machine_may_have_the_same_version_from(
    python: PythonPin, here: Platform, ways: Sequence[str]
) -> None:
    assert known_ways(python, here) == ways


# -- what is found -------------------------------------------------------------------------------------------


def deb(version: str, architecture: str = "arm64") -> DebPin:
    name = "python{}.{}-minimal".format(*version.split("."))
    return DebPin(
        package=name, version=version, architecture=architecture, archive="debian", suite="bookworm",
        path=f"pool/{name}_{version}_{architecture}.deb", size=1, digest=Digest.of(version.encode()),
    )  # fmt: skip


ARM = PlatformLock(platform=ARM64, suite="bookworm", python=SUITE, base=(deb("3.11.2-6"),))


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def tools(case: Case, heard: list[Event], monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Tools that know the archive of ``case``, and a mirror of standalone builds that has none."""
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", case.mirror.url)
    return Tools(Settings.load(case.environ), heard.append)


def publish(case: Case, *versions: str) -> None:
    """The archive has an interpreter for amd64 in these versions."""
    packages = []
    for version in versions:
        body = f"libc6 for {version}".encode()
        case.mirror.write(f"pool/main/python3.11-minimal_{version}.deb", body)
        packages.append(package("python3.11-minimal", version, body, Depends="libc6"))
    case.archive.publish("bookworm", *packages, package("libc6", "2.36-9"))


def versions(lock: PlatformLock) -> dict[str, str]:
    return {pin.package: pin.version for pin in lock.base}


def test_an_image_for_this_machine_has_its_own(tools: Tools, case: Case) -> None:
    ours = StandIns(tools=tools, lock=ARM, here=ARM64)
    assert ours.find() is ARM
    assert not ours.is_needed
    assert not case.mirror.asked


@pytest.mark.parametrize(("version", "is_needed"), [("3.11.2", False), ("3.11.4", True)])
def test_the_same_image_for_this_machine_has_it_where_it_is_of_the_same_version(
    tools: Tools,
    version: str,
    is_needed: bool,  # noqa: FBT001
) -> None:
    other = dataclasses.replace(ARM, platform=AMD64, python=PythonPin(version=version, source="suite"))
    ours = StandIns(tools=tools, lock=ARM, others=(ARM, other), here=AMD64)
    assert ours.is_needed == is_needed
    assert is_needed or ours.find() is other


def test_debian_has_the_same_packages_for_this_machine(tools: Tools, case: Case, heard: list[Event]) -> None:
    publish(case, "3.11.2-6", "3.11.2-7", "3.11.4-1")
    found = StandIns(tools=tools, lock=ARM, here=AMD64).find()
    assert versions(found) == {"libc6": "2.36-9", "python3.11-minimal": "3.11.2-6"}
    assert (found.platform, found.python) == (AMD64, SUITE)
    said = "bytecode for linux/arm64 is compiled by Debian CPython 3.11.2 for linux/amd64"
    assert Notice(said) in heard


def test_a_later_revision_of_the_same_python_serves_and_another_python_does_not(
    tools: Tools, case: Case
) -> None:
    publish(case, "3.11.2-7+b1", "3.11.20-1", "3.11.4-1")
    found = StandIns(tools=tools, lock=ARM, here=AMD64).find()
    assert versions(found)["python3.11-minimal"] == "3.11.2-7+b1"


def test_what_was_found_is_remembered_while_the_store_has_it(tools: Tools, case: Case) -> None:
    publish(case, "3.11.2-6")
    ours = StandIns(tools=tools, lock=ARM, here=AMD64)
    found = ours.find()
    for digest in inputs_of(found):
        tools.store.write_file(tools.store.input_path(digest), b"")
    case.close()
    offline = dataclasses.replace(tools, offline=True)
    assert StandIns(tools=offline, lock=ARM, here=AMD64).find() == found
    tools.store.input_path(next(inputs_of(found))).unlink()
    with pytest.raises(Unreachable):
        StandIns(tools=dataclasses.replace(tools), lock=ARM, here=AMD64).find()


def standalone(case: Case, tools: Tools, version: str, here: Platform) -> str:
    """The mirror has the standalone build of ``version``; where it is there."""
    with pytest.raises(Exception, match="not there"):
        tools.cpython.resolve(version, here)
    path = case.mirror.asked[-1].lstrip("/")
    case.mirror.write(path.replace("%2B", "+"), b"a build")
    return path


@pytest.mark.parametrize(
    ("python", "base"),
    [(STANDALONE, ()), (CONDA, ()), (PythonPin(version="3.12.7", source="suite"), (deb("3.12.7-1"),))],
)
@pytest.mark.parametrize("here", [AMD64, MAC])
def test_else_it_is_a_standalone_build_of_exactly_the_same_version(
    tools: Tools, case: Case, python: PythonPin, base: tuple[DebPin, ...], here: Platform
) -> None:
    lock = dataclasses.replace(ARM, python=python, base=base)
    path = standalone(case, tools, "3.12.7", here)
    found = StandIns(tools=tools, lock=lock, here=here).find()
    assert (found.platform, found.python.version, found.python.path) == (here, "3.12.7", path)
    assert found.base == ()
    assert StandIns(tools=tools, lock=lock, here=here).find() == found, "it is remembered"


def test_where_there_is_none_it_says_what_was_looked_for_and_what_to_do(tools: Tools, case: Case) -> None:
    publish(case, "3.11.4-1")
    with pytest.raises(CannotBuild) as caught:
        StandIns(tools=tools, lock=ARM, here=AMD64).find()
    assert caught.value.exit_code == 7
    said = caught.value.message
    assert "no CPython 3.11.2 was found that runs on this machine, linux/amd64" in said
    assert "the bytecode for linux/arm64" in said
    assert "no package 'python3.11-minimal=3.11.2-*' in bookworm for amd64" in said
    assert "no standalone CPython '3.11.2' for linux/amd64 is known" in said
    for choice in ("build on a machine of linux/arm64", "`bytecode: false`", "`taskimage lock --upgrade`"):
        assert choice in (caught.value.hint or "")


# -- on a base image -----------------------------------------------------------------------------------------


class Known(Base):
    """A base image of which nothing is there but what is known of it."""

    facts = BaseFacts()


def on_base(tools: Tools, os_release: dict[str, str], status: str) -> StandIns:
    manifest = Digest.of(b"base")
    pin = BasePin(name="example.org/base:1", digest=manifest, manifest=manifest)
    base = Known(tools, pin, ARM64)
    base.facts = BaseFacts(os_release=os_release, texts={"var/lib/dpkg/status": status})
    lock = PlatformLock(platform=ARM64, suite="", python=of_base("/usr/bin/python3.11"), image=pin)
    return StandIns(tools=tools, lock=lock, base=base, here=AMD64)


STATUS = "Package: python3.11-minimal\nStatus: install ok installed\nVersion: 3.11.2-6\nArchitecture: arm64\n"
DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}


def test_a_base_of_debian_has_it_from_debian(tools: Tools, case: Case) -> None:
    publish(case, "3.11.2-6")
    found = on_base(tools, DEBIAN, STATUS).find()
    assert versions(found)["python3.11-minimal"] == "3.11.2-6"
    assert found.image is None


@pytest.mark.parametrize(
    ("os_release", "status"),
    [({"ID": "ubuntu", "VERSION_CODENAME": "bookworm"}, STATUS), ({"ID": "fedora"}, ""), (DEBIAN, "")],
)
def test_another_base_has_not(tools: Tools, case: Case, os_release: dict[str, str], status: str) -> None:
    publish(case, "3.11.2-6")
    with pytest.raises(CannotBuild, match=r"is not Debian's package 'python3\.11-minimal'"):
        on_base(tools, os_release, status).find()
