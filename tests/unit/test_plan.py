"""The plan: stable groups, few layers, and nothing lost."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.lock import BasePin, DebPin, PlatformLock, PythonPin, WheelPin
from taskimage.model.oci import Platform
from taskimage.transform.plan import LayerPlan, plan

IMAGE = BasePin(name="base", digest=Digest.of(b""), manifest=Digest.of(b""))


def wheel(name: str, size: int = 1000, version: str = "1") -> WheelPin:
    """A pin that nothing was ever fetched for."""
    digest = Digest.of(f"{name} {version}".encode())
    return WheelPin(name=name, version=version, index="default", file=f"{name}.whl", size=size, digest=digest)


def deb(package: str) -> DebPin:
    """A pin of a Debian package that nothing was ever fetched for."""
    return DebPin(
        package=package, version="1", architecture="amd64", archive="debian", suite="bookworm",
        path=f"pool/{package}.deb", size=1, digest=Digest.of(package.encode()),
    )  # fmt: skip


def planned(
    *wheels: WheelPin, base: tuple[DebPin, ...] = (), image: BasePin | None = None
) -> tuple[LayerPlan, ...]:
    """The plan for an environment of ``wheels`` on Debian's ``base`` and on a base ``image``, or on nothing else."""
    lock = PlatformLock(
        platform=Platform("linux", "amd64"),
        suite="bookworm",
        python=PythonPin(version="3.11.2", source="suite"),
        base=base,
        image=image,
        wheels=wheels,
    )
    return plan(lock, effects=["1"], environment=["opt/venv"], bytecode=[])


def stacked(plans: tuple[LayerPlan, ...]) -> list[str]:
    """The layers of a plan by kind, those of wheels by the wheels' names."""
    return [" ".join(pin.name for pin in item.wheels) or item.kind for item in plans]


pins = st.lists(
    st.builds(wheel, st.text("abcdef", min_size=1, max_size=4), st.integers(1, 1 << 24)),
    max_size=120,
    unique_by=lambda pin: pin.name,
)


@settings(max_examples=40)
@given(pins)
def test_every_wheel_is_in_one_layer_and_there_are_not_many_layers(wheels: list[WheelPin]) -> None:
    plans = planned(*wheels)
    assert sorted(pin.name for item in plans for pin in item.wheels) == sorted(pin.name for pin in wheels)
    assert len(plans) <= 60


@settings(max_examples=40)
@given(pins, st.randoms(use_true_random=False))
def test_the_order_of_a_lock_has_no_meaning(wheels: list[WheelPin], shuffle: object) -> None:
    other = list(wheels)
    shuffle.shuffle(other)  # type: ignore[attr-defined]
    assert planned(*wheels) == planned(*other)


@settings(max_examples=40)
@given(pins.filter(bool))
def test_one_changed_wheel_changes_one_layer(wheels: list[WheelPin]) -> None:
    changed = dataclasses.replace(wheels[0], version="2", digest=Digest.of(b"2"))
    before = {item.key for item in planned(*wheels)}
    after = {item.key for item in planned(changed, *wheels[1:])}
    assert len(before - after) == len(after - before) == 1


@pytest.mark.parametrize(("source", "compiled"), [("suite", 1), ("standalone", 0)])
def test_debian_s_python_is_compiled_by_no_other_interpreter(source: str, compiled: int) -> None:
    apt = deb("python3-apt")
    lock = PlatformLock(
        platform=Platform("linux", "amd64"),
        suite="bookworm",
        python=PythonPin(version="3.11.7", source=source),
        base=(),
        apt=(apt,),
    )
    plans = plan(lock, effects=["1"], environment=["opt/venv"], bytecode=["3.11.7", "1"])
    assert [item.debs for item in plans if item.kind == "bytecode"] == [(apt,)] * compiled


def test_what_is_hidden_of_a_base_changes_the_environment_s_layer_and_no_other() -> None:
    """The base says which files that are, so another base is another layer; where nothing is hidden it is not."""

    def keys(manifest: bytes = b"1", **fields: object) -> dict[str, Digest]:
        image = BasePin(name="base", digest=Digest.of(b""), manifest=Digest.of(manifest), **fields)  # type: ignore[arg-type]
        lock = PlatformLock(
            platform=Platform("linux", "amd64"), suite="", image=image, wheels=(wheel("idna"),),
            python=PythonPin(version="3.11.2", source="base", path="/usr/bin/python3.11"),
        )  # fmt: skip
        plans = plan(lock, effects=["1"], environment=["opt/venv"], bytecode=[])
        return {item.kind: item.key for item in plans if item.kind != "effects"}

    plain, one, other = keys(), keys(replaced=("idna 1",)), keys(replaced=("idna 2",))
    whole, moved = keys(environment_hidden=True), keys(b"2", replaced=("idna 1",))
    assert len({found["environment"] for found in (plain, one, other, whole, moved)}) == 5
    assert len({found["wheels"] for found in (plain, one, other, whole, moved)}) == 1
    assert plain == keys(b"2")


def test_a_big_wheel_has_a_layer_of_its_own() -> None:
    plans = planned(wheel("torch", 800 << 20), wheel("idna"), wheel("attrs"))
    assert ("torch",) in [tuple(pin.name for pin in item.wheels) for item in plans]


def test_the_bigger_a_wheel_the_lower_it_stands_and_groups_are_above() -> None:
    wheels = [wheel(name, size << 20) for name, size in (("a", 2), ("b", 7), ("c", 1), ("d", 4))]
    stack = stacked(planned(*wheels, wheel("idna")))
    assert stack == ["effects", "environment", "b", "d", "a", "c", "idna"]


@pytest.mark.parametrize("size", [(1 << 20) + 1, (2 << 20) - 1])
def test_a_release_of_another_size_stays_where_it_was_within_a_power_of_two(size: int) -> None:
    others = [wheel("b", 3 << 19), wheel("c", 5 << 18)]
    assert stacked(planned(wheel("a", 1 << 20), *others)) == stacked(planned(wheel("a", size), *others))


def test_huge_wheels_stand_below_debian_s_packages_on_the_environment_s_own_files() -> None:
    """A wheel may bring a file that the environment has too, and wins: of the two, the environment is below."""
    wheels = wheel("torch", 800 << 20), wheel("numpy", 8 << 20), wheel("pip", 2 << 20)
    stack = stacked(planned(*wheels, base=(deb("dash"),)))
    assert stack == ["environment", "torch", "numpy", "debs", "effects", "pip"]


def test_on_a_base_image_all_of_the_environment_is_above_what_looks_at_the_base() -> None:
    stack = stacked(planned(wheel("torch", 800 << 20), base=(deb("dash"),), image=IMAGE))
    assert stack == ["debs", "effects", "environment", "torch"]


@settings(max_examples=40)
@given(pins, st.sampled_from([None, IMAGE]))
def test_wheels_stand_on_the_environment_whatever_is_below(
    wheels: list[WheelPin], image: BasePin | None
) -> None:
    kinds = [item.kind for item in planned(*wheels, base=(deb("dash"),), image=image)]
    assert "wheels" not in kinds[: kinds.index("environment")]


@settings(max_examples=40)
@given(pins)
def test_what_wheels_stand_on_makes_no_other_layers_of_them(wheels: list[WheelPin]) -> None:
    alone, on_base = (
        {item.key for item in planned(*wheels, image=image) if item.kind == "wheels"}
        for image in (None, IMAGE)
    )
    assert alone == on_base
