"""Python packages on a base image that has some already: what counts as installed, and what overrides it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sources import Index

from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI, Resolution
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile, read_requirements
from taskimage.adapters.store import Store
from taskimage.model.base import Distribution
from taskimage.model.errors import CannotBuild, NotFound
from taskimage.model.events import Event, Notice, Warned
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform

SITE = "/usr/lib/python3/dist-packages"


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    yield made
    made.close()


@pytest.fixture
def events() -> list[Event]:
    return []


Resolve = Callable[..., Resolution]


@pytest.fixture
def resolve(store: Store, index: Index, tmp_path: Path, events: list[Event]) -> Resolve:
    """A function that resolves packages for Python 3.11.2 on linux/amd64."""
    environ = {"HOME": str(tmp_path), "UV_HTTP_RETRIES": "0", "UV_DEFAULT_INDEX": index.url}
    pypi = PyPI(store, Http(environ, pauses=()), environ=environ, listener=events.append)

    def resolve(*packages: str, requirements: Sequence[RequirementsFile] = (), **more: Any) -> Resolution:
        options: dict[str, Any] = {"python": "3.11.2", "platform": Platform("linux", "amd64"), **more}
        return pypi.resolve(Asked(packages=packages, requirements=requirements), **options)

    return resolve


def has(name: str, version: str, *requires: str) -> Distribution:
    return Distribution(name=name, version=version, location=SITE, requires=requires)


def wheels(resolution: Resolution) -> dict[str, str]:
    return {pin.name: pin.version for pin in resolution.wheels}


def installed(resolution: Resolution) -> dict[str, str]:
    return {one.name: one.version for one in resolution.installed}


def requirements(folder: Path, text: str) -> tuple[RequirementsFile, ...]:
    (folder / "requirements.txt").write_text(text)
    return read_requirements(folder / "requirements.txt", name="requirements.txt")


# -- what counts ---------------------------------------------------------------------------------------------


def test_what_the_base_has_is_not_installed_again(index: Index, resolve: Resolve) -> None:
    index.add("pandas", "2.0", needs=["numpy>=1.20"])
    index.add("numpy", "1.24.2", tag="cp311-cp311-manylinux_2_36_x86_64")
    index.add("numpy", "2.0")
    found = resolve("pandas", installed=[has("numpy", "1.24.2"), has("six", "1.16")])
    assert wheels(found) == {"pandas": "2.0"}
    assert found.installed == (has("numpy", "1.24.2"),)


def test_nothing_is_installed_where_the_base_has_all_of_it(resolve: Resolve) -> None:
    """No index has it, whatever folder, address or Debian package it came from."""
    base = [has("ours", "1.0", "theirs>=2", "there @ git+https://example.org/there"), has("theirs", "2.1"),
            has("there", "0.1")]  # fmt: skip
    found = resolve("Ours[extra]>=1", installed=base)
    assert wheels(found) == {}
    assert installed(found) == {"ours": "1.0", "theirs": "2.1", "there": "0.1"}


def test_dependencies_that_the_base_lacks_are_installed(index: Index, resolve: Resolve) -> None:
    index.add("more", "1.0")
    base = [has("tool", "1.0", 'more; extra == "all"')]
    assert wheels(resolve("tool", installed=base)) == {}
    assert wheels(resolve("tool[all]", installed=base)) == {"more": "1.0"}


def test_the_metadata_of_the_base_counts_not_that_of_the_same_version_on_an_index(
    index: Index, resolve: Resolve
) -> None:
    index.add("tool", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64", needs=["absent"])
    assert installed(resolve("tool", installed=[has("tool", "1.0")])) == {"tool": "1.0"}


@pytest.mark.parametrize("requires", ["what (>3<4", "", "a\nb"])
def test_a_dependency_that_cannot_be_read_is_passed_over(resolve: Resolve, requires: str) -> None:
    assert installed(resolve("old", installed=[has("old", "0.1", requires)])) == {"old": "0.1"}


@pytest.mark.parametrize("one", [has("odd", "1.0-from-a-fork"), has("../../odd", "1.0"), has("odd", "")])
def test_what_has_no_name_or_version_to_compare_does_not_count(
    index: Index, resolve: Resolve, store: Store, one: Distribution
) -> None:
    index.add("odd", "0.9")
    found = resolve("odd", installed=[one])
    assert (wheels(found), found.installed) == ({"odd": "0.9"}, ())
    assert not list(store.home.rglob("odd-1*"))


@pytest.mark.parametrize("glibc", [(2, 17), (2, 27), (2, 35), (2, 41)])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_it_counts_on_every_platform_and_libc(
    resolve: Resolve, architecture: str, glibc: tuple[int, int]
) -> None:
    target = {"platform": Platform("linux", architecture), "glibc": glibc}
    assert installed(resolve("tool", installed=[has("tool", "1.0")], **target)) == {"tool": "1.0"}


def test_it_counts_beside_several_indexes(index: Index, store: Store, tmp_path: Path) -> None:
    other = Index()
    try:
        index.add("app", "1.0", needs=["tool", "lib"])
        index.add("tool", "2.0")
        other.add("tool", "2.1")
        other.add("lib", "1.0")
        environ = {"HOME": str(tmp_path), "UV_DEFAULT_INDEX": index.url, "UV_INDEX": f"other={other.url}"}
        pypi = PyPI(store, Http(environ, pauses=()), environ=environ)
        found = pypi.resolve(
            Asked(packages=["app"]),
            python="3.11.2",
            platform=Platform("linux", "amd64"),
            installed=[has("tool", "1.0")],
        )
    finally:
        other.close()
    assert [(pin.name, pin.index) for pin in found.wheels] == [("app", "pypi"), ("lib", "other")]
    assert installed(found) == {"tool": "1.0"}


def test_a_base_s_distribution_in_another_spelling_of_the_version_is_the_same(
    index: Index, resolve: Resolve
) -> None:
    index.add("tool", "1.0")
    assert installed(resolve("tool==1.0", installed=[has("tool", "v1.0.0-0")])) == {}
    assert installed(resolve("tool==1.0", installed=[has("tool", "v1.0.0")])) == {"tool": "v1.0.0"}


# -- what overrides ------------------------------------------------------------------------------------------


def test_another_version_than_the_base_s_overrides_it(index: Index, resolve: Resolve) -> None:
    index.add("numpy", "2.0")
    found = resolve("numpy>=2", installed=[has("numpy", "1.24.2")])
    assert (wheels(found), found.installed) == ({"numpy": "2.0"}, ())


def test_the_versions_of_a_lock_are_kept_though_they_override_the_base(
    index: Index, resolve: Resolve
) -> None:
    """What was upgraded once stays so, until everything is."""
    index.add("numpy", "2.0")
    index.add("numpy", "2.1")
    keep: list[WheelPin] = list(resolve("numpy==2.0").wheels)
    base = [has("numpy", "1.24.2")]
    assert wheels(resolve("numpy", keep=keep, installed=base)) == {"numpy": "2.0"}
    assert wheels(resolve("numpy", installed=base)) == {}


def test_what_goes_with_the_base_is_chosen_rather_than_what_is_newest_and_that_is_told(
    index: Index, resolve: Resolve, events: list[Event]
) -> None:
    index.add("pandas", "2.0", needs=["numpy>=1.20", "six"])
    index.add("pandas", "3.0", needs=["numpy>=2", "six"])
    index.add("numpy", "2.0")
    base = [has("numpy", "1.24.2"), has("six", "1.16")]
    found = resolve("pandas", installed=base)
    assert (wheels(found), installed(found)) == ({"pandas": "2.0"}, {"numpy": "1.24.2", "six": "1.16"})
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "pandas is 2.0, not 3.0: the base's numpy 1.24.2 stays, unless it is upgraded (-P NAME)"
    ]
    upgraded = resolve("pandas", installed=base, upgrade_packages=["numpy"])
    assert wheels(upgraded) == {"pandas": "3.0", "numpy": "2.0"}
    assert len(events) == 1


def test_only_what_does_not_fit_is_overridden(index: Index, resolve: Resolve) -> None:
    index.add("app", "1.0", needs=["one>=2", "two>=2", "three"])
    for name in ("one", "two", "three"):
        index.add(name, "2.0")
    base = [has("one", "1.0"), has("two", "1.0"), has("three", "1.0"), has("four", "1.0")]
    found = resolve("app", installed=base)
    assert wheels(found) == {"app": "1.0", "one": "2.0", "two": "2.0"}
    assert installed(found) == {"three": "1.0"}


@pytest.mark.parametrize("name", ["pip", "setuptools", "wheel"])
def test_what_installs_packages_holds_no_other_back(index: Index, resolve: Resolve, name: str) -> None:
    index.add("app", "1.0", needs=[name])
    index.add("app", "2.0", needs=[f"{name}>=2"])
    index.add(name, "2.0")
    assert wheels(resolve("app", installed=[has(name, "1.0")])) == {"app": "2.0", name: "2.0"}
    assert wheels(resolve(name, installed=[has(name, "1.0")])) == {}


def test_a_base_that_contradicts_itself_counts_as_it_is(index: Index, resolve: Resolve) -> None:
    index.add("lib", "2.0")
    base = [has("tool", "1.0", "lib>=2"), has("lib", "1.0")]
    assert installed(resolve("tool", "lib", installed=base)) == {"lib": "1.0", "tool": "1.0"}


def test_an_upgrade_goes_past_the_base_for_the_named_ones(index: Index, resolve: Resolve) -> None:
    for name in ("one", "two"):
        index.add(name, "2.0")
    base = [has("one", "1.0+cu121"), has("two", "1.0")]
    found = resolve("one", "two", installed=base, upgrade_packages=["One"])
    assert (wheels(found), installed(found)) == ({"one": "2.0"}, {"two": "1.0"})


def test_an_upgrade_stays_with_the_base_where_nothing_newer_fits(index: Index, resolve: Resolve) -> None:
    index.add("one", "0.9")
    assert installed(resolve("one", installed=[has("one", "1.0")], upgrade_packages=["one"])) == {
        "one": "1.0"
    }


def test_a_requirement_with_hashes_wants_the_file_and_not_what_the_base_has(
    index: Index, resolve: Resolve, tmp_path: Path
) -> None:
    index.add("tool", "1.0")
    (pin,) = resolve("tool").wheels
    lines = f"tool==1.0 --hash={pin.digest}\nother==1.0 ; python_version < '3' --hash={pin.digest}\nother"
    base = [has("tool", "1.0"), has("other", "1.0")]
    found = resolve(requirements=requirements(tmp_path, lines), installed=base)
    assert (found.wheels, installed(found)) == ((pin,), {"other": "1.0"})


def test_what_the_override_breaks_in_the_base_is_told(
    index: Index, resolve: Resolve, events: list[Event]
) -> None:
    index.add("numpy", "2.0")
    base = [
        has("numpy", "1.24.2"), has("pandas", "1.5.3", "numpy<2", "numpy>=1.20"), has("fine", "1.0", "numpy"),
        has("elsewhere", "1.0", "numpy<2; python_version < '3'"), has("always", "1.0", "numpy<1"),
    ]  # fmt: skip
    resolve("numpy", installed=base)
    assert events == []
    resolve("numpy>=2", installed=base)
    assert [event.text for event in events if isinstance(event, Warned)] == [
        "pandas 1.5.3 of the base wants numpy<2, and gets 2.0"
    ]


# -- versions that were built for the base -------------------------------------------------------------------

TORCH = has("torch", "2.4.0+cu121")


@pytest.fixture
def torch(index: Index) -> None:
    """An index with two versions of a pair that goes together."""
    for pair, version in [("0.19", "2.4.0"), ("0.24", "2.9.0")]:
        index.add("torch", version, needs=["driver"])
        index.add("vision", pair, needs=[f"torch=={version}"])
    index.add("driver", "12")


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    "wanted", ["torch", "torch==2.4.0", "torch==2.4.*", "torch>=2", "torch==2.4.0+cu121"]
)
def test_a_version_with_a_local_label_is_found_though_no_index_has_it(resolve: Resolve, wanted: str) -> None:
    found = resolve(wanted, installed=[TORCH])
    assert (found.wheels, found.installed) == ((), (TORCH,))


def test_a_prerelease_that_the_base_has_is_good_enough(resolve: Resolve) -> None:
    base = has("torch", "2.5.0a0+872d972e41.nv24.08")
    assert resolve("torch>=2.4", installed=[base]).installed == (base,)


@pytest.mark.usefixtures("torch")
def test_what_goes_with_it_is_chosen_rather_than_what_is_newest(resolve: Resolve) -> None:
    found = resolve("vision", installed=[TORCH])
    assert (wheels(found), found.installed) == ({"vision": "0.19"}, (TORCH,))


@pytest.mark.usefixtures("torch")
@pytest.mark.usefixtures("torch")
def test_it_is_the_last_to_give_way(index: Index, resolve: Resolve) -> None:
    index.add("plugin", "1.0", needs=["torch==2.4.0", "lib>=2"])
    index.add("plugin", "2.0", needs=["torch==2.9.0", "lib>=2"])
    index.add("lib", "2.0")
    found = resolve("plugin", installed=[TORCH, has("lib", "1.0")])
    assert (wheels(found), found.installed) == ({"plugin": "1.0", "lib": "2.0"}, (TORCH,))


@pytest.mark.usefixtures("torch")
def test_it_is_overridden_where_nothing_goes_with_it(resolve: Resolve) -> None:
    found = resolve("vision==0.24", installed=[TORCH])
    assert (wheels(found), found.installed) == ({"vision": "0.24", "torch": "2.9.0", "driver": "12"}, ())


@pytest.mark.usefixtures("torch")
def test_errors_are_those_of_a_resolution_without_it(resolve: Resolve) -> None:
    with pytest.raises(CannotBuild, match=r"do not fit together.*vision\S* depends on torch==2\.9\.0"):
        resolve("vision==0.24", "torch<2.9", installed=[TORCH])
    with pytest.raises(NotFound, match="no package 'nowhere'"):
        resolve("nowhere", installed=[TORCH])
