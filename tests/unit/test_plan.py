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


def wheel(name: str, size: int = 1000, version: str = "1") -> WheelPin:
    """A pin that nothing was ever fetched for."""
    digest = Digest.of(f"{name} {version}".encode())
    return WheelPin(name=name, version=version, index="default", file=f"{name}.whl", size=size, digest=digest)


def planned(*wheels: WheelPin) -> tuple[LayerPlan, ...]:
    """The plan for an environment of ``wheels`` and nothing else."""
    lock = PlatformLock(
        platform=Platform("linux", "amd64"),
        suite="bookworm",
        python=PythonPin(version="3.11.2", source="suite"),
        base=(),
        wheels=wheels,
    )
    return plan(lock, effects=["1"], environment=["opt/venv"], bytecode=[])


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
    deb = DebPin(
        package="python3-apt",
        version="1",
        architecture="amd64",
        archive="debian",
        suite="bookworm",
        path="pool/python3-apt.deb",
        size=1,
        digest=Digest.of(b"1"),
    )
    lock = PlatformLock(
        platform=Platform("linux", "amd64"),
        suite="bookworm",
        python=PythonPin(version="3.11.7", source=source),
        base=(),
        apt=(deb,),
    )
    plans = plan(lock, effects=["1"], environment=["opt/venv"], bytecode=["3.11.7", "1"])
    assert [item.debs for item in plans if item.kind == "bytecode"] == [(deb,)] * compiled


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
