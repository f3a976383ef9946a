"""Python packages are asked for while Debian's lists are still read; a wrong guess costs time alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.case import Case

from taskimage.adapters.settings import Settings
from taskimage.model.lock import Wants
from taskimage.model.lockfile import loads
from taskimage.model.oci import Platform
from taskimage.verbs.foresight import STABLE, likely_ground
from taskimage.verbs.tools import Tools

WANTS = Wants(python="3.11", platforms=("linux/amd64",), suite="bookworm")
DEMO = {"files": {"demo.py": b"x = 1\n"}}


def test_the_package_index_is_asked_before_any_list_is_read(case: Case) -> None:
    assert case.lock_asks_the_index_while_lists_stall()


def test_a_right_guess_is_the_answer_and_nothing_is_asked_twice(case: Case) -> None:
    case.lock()
    assert len(case.pages) == 1


@pytest.mark.parametrize("make", [Case.build, Case.lock])
def test_what_is_remembered_or_locked_asks_nobody(case: Case, make: Callable[[Case], object]) -> None:
    make(case)
    assert case.pages
    case.index.asked.clear()
    make(case)
    assert not case.pages


def lock_of(case: Case) -> tuple[str, list[str]]:
    """The version of Python that is locked, and the wheels."""
    case.lock()
    [platform] = loads(case.lock_path.read_bytes(), where="lock").platforms
    return platform.python.version, [wheel.file for wheel in platform.wheels]


@pytest.mark.parametrize("python", ["3.11.2", "3.11.9"])
def test_a_marker_sees_the_version_that_there_is(case: Case, python: str) -> None:
    case.index.add("demo", "2.0", needs=["late; python_full_version >= '3.11.5'"], **DEMO)
    case.index.add("late", "1.0")
    case.publish(versions={"python3.11": f"{python}-6"})
    version, wheels = lock_of(case)
    assert version == python
    assert ("late-1.0-py3-none-any.whl" in wheels) is (python == "3.11.9")


def test_a_wheel_is_for_the_c_library_that_there_is(case: Case) -> None:
    case.index.add("demo", "1.1", tag="py3-none-manylinux_2_30_x86_64", **DEMO)
    case.publish(versions={"libc6": "2.28-1"})
    assert lock_of(case)[1] == ["demo-1.0-py3-none-any.whl"]


def test_an_error_is_that_of_the_version_that_there_is(case: Case) -> None:
    """The guess has found packages by then."""
    case.index.add("demo", "2.0", python="<3.11.5", **DEMO)
    case.publish(versions={"python3.11": "3.11.9-6"})
    case.spec(packages=["demo==2.0"])
    err = case.fails(7, "lock", str(case.spec_path))
    assert "wants Python <3.11.5; the image has Python 3.11.9" in err
    assert "3.11.2" not in err


def test_what_a_guess_cannot_have_is_no_error(case: Case) -> None:
    case.index.add("demo", "2.0", python=">=3.11.5", **DEMO)
    case.publish(versions={"python3.11": "3.11.9-6"})
    case.spec(packages=["demo==2.0"])
    assert lock_of(case) == ("3.11.9", ["demo-2.0-py3-none-any.whl"])


def test_an_error_of_the_ground_waits_for_no_package_index(case: Case) -> None:
    """And nothing goes on in the store behind it, as `Case.fails` looks."""
    case.index.stalls = "pages"
    case.spec(apt_packages=["nothing-of-that-name"])
    assert "no package 'nothing-of-that-name'" in case.fails(3)
    assert case.index.stalls


def likely(home: Path, wants: Wants = WANTS, *, offline: bool = False) -> tuple[object, ...] | None:
    tools = Tools(Settings(home=home), offline=offline)
    found = likely_ground(tools, wants, Platform.parse("linux/amd64"), ())
    return found.footing if found else None


@pytest.mark.parametrize("suite", STABLE)
def test_a_stable_suite_is_expected_to_keep_its_versions(tmp_path: Path, suite: str) -> None:
    python, glibc = STABLE[suite]
    for wanted in (python, python.rpartition(".")[0]):
        assert likely(tmp_path, replace(WANTS, suite=suite, python=wanted)) == (python, glibc, (), None)


def test_a_version_that_the_suite_lacks_is_expected_to_be_the_newest_standalone_build(tmp_path: Path) -> None:
    found = likely(tmp_path, replace(WANTS, python="3.12"))
    assert found is not None
    assert str(found[0]).startswith("3.12.")


@pytest.mark.parametrize(
    "wants",
    [
        replace(WANTS, suite="", base_image="debian:bookworm"),
        replace(WANTS, suite="sid"),
        replace(WANTS, conda_packages=("gdal",)),
        replace(WANTS, python="3.99"),
    ],
    ids=["a base image", "a suite that moves", "conda", "no such version"],
)
def test_where_nothing_can_be_guessed_nothing_is(tmp_path: Path, wants: Wants) -> None:
    assert likely(tmp_path, wants) is None


def test_nothing_is_guessed_offline(tmp_path: Path) -> None:
    assert likely(tmp_path, offline=True) is None
