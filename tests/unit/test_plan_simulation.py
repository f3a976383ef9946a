"""The simulation that the plan's constants are chosen by: a year of a fleet, and the laws that hold for any."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import pytest
from benchmarks.plan.catalogue import Catalogue, read
from benchmarks.plan.fleet import Build, Habits, year
from benchmarks.plan.layering import Way, docker, ours
from benchmarks.plan.nodes import Layer, Node, Pull
from benchmarks.plan.simulation import Outcome, Pool, simulate

from taskimage.model.lock import PlatformLock
from taskimage.transform.plan import WHEELS, plan

STILL = Habits(relock=0, bump=0, add=0, edit=0, debian=False)
ROOMY = Pool(nodes=3, room=10**15, starts=30, replaced=0)


@pytest.fixture(scope="module")
def packages() -> Catalogue:
    return read()


@pytest.fixture(scope="module")
def lively(packages: Catalogue) -> Sequence[Sequence[Build]]:
    return list(year(packages, images=8))


@pytest.fixture(scope="module")
def lock(lively: Sequence[Sequence[Build]]) -> PlatformLock:
    return next(build.lock for day in reversed(lively) for build in day)


def pulled(outcome: Outcome) -> Pull:
    return Pull(sum(pull.blobs for pull in outcome.pulls), sum(pull.chains for pull in outcome.pulls))


def test_a_package_needs_only_packages_that_are_in_the_table(packages: Catalogue) -> None:
    assert {name for package in packages.values() for name in package.requires} <= packages.keys()
    assert all(package.releases for package in packages.values())


def test_equal_seeds_are_equal_years(packages: Catalogue, lively: Sequence[Sequence[Build]]) -> None:
    def told(days: Sequence[Sequence[Build]]) -> list[list[object]]:
        return [[(build.image, build.source, build.lock) for build in day] for day in days]

    assert told(list(year(packages, images=8))) == told(lively)
    assert told(list(year(packages, images=8, seed=2))) != told(lively)
    assert simulate(ours("a"), lively, ROOMY) == simulate(ours("b"), lively, ROOMY)


@pytest.mark.parametrize("way", [ours("ours"), docker("all", apart=False)], ids=lambda way: way.title)
def test_without_updates_a_machine_pulls_each_layer_once(packages: Catalogue, way: Way) -> None:
    still = list(year(packages, images=10, habits=STILL))
    outcome = simulate(way, still, Pool(nodes=1, room=10**15, starts=30, replaced=0))
    assert pulled(outcome).blobs == outcome.stored


def test_what_is_sent_is_what_is_new_in_the_registry_and_no_machine_pulls_more_than_all_of_it(
    lively: Sequence[Sequence[Build]],
) -> None:
    outcome = simulate(ours("ours"), lively, ROOMY)
    assert pulled(outcome).blobs <= outcome.stored * ROOMY.nodes
    assert pulled(outcome).blobs <= pulled(outcome).chains


def test_one_layer_for_all_packages_is_stored_and_pulled_again_whenever_one_changes(
    lively: Sequence[Sequence[Build]],
) -> None:
    planned, in_one = (simulate(way, lively, ROOMY) for way in (ours("o"), docker("d", apart=False)))
    assert in_one.stored > 5 * planned.stored
    assert pulled(in_one).blobs > 2 * pulled(planned).blobs


def test_the_layers_are_those_of_the_plan_and_another_order_keeps_them(lock: PlatformLock) -> None:
    plans = plan(lock, effects=["1"], environment=["opt/venv"], bytecode=[lock.python.version])
    layers = ours("o").layers(lock)
    assert [layer.name for layer in layers] == [
        (item.kind, tuple(pin.digest for pin in item.pins)) for item in plans
    ]
    assert layers[0].name == ("environment", ())
    other = ours("b", order=lambda group: group[0].name, huge=sys.maxsize).layers(lock)
    assert layers[0] != other[0]
    assert set(other) == set(layers)


def test_the_biggest_wheel_stands_lowest(lock: PlatformLock) -> None:
    one_by_one = ours("b", dataclasses.replace(WHEELS, big=0, most_big=10**6), huge=sys.maxsize)
    sizes = [one.size.bit_length() for one in one_by_one.layers(lock)][-len(lock.wheels) :]
    assert sizes == sorted(sizes, reverse=True)


def test_a_machine_counts_blobs_by_digest_and_layers_by_all_that_is_below_them() -> None:
    """The second image has the blob of the first on another layer: nothing to fetch, and all to unpack."""
    node = Node(room=1000)
    assert node.start(1, [Layer(chain=1, blob=1, size=10), Layer(chain=2, blob=2, size=5)]) == Pull(15, 15)
    assert node.start(2, [Layer(chain=3, blob=2, size=5)]) == Pull(0, 5)
    assert node.start(1, []) is None


def test_a_full_machine_puts_away_what_was_started_longest_ago() -> None:
    node = Node(room=20)
    layers = {image: [Layer(chain=image, blob=image, size=10)] for image in (1, 2, 3)}
    for image in (1, 2, 1, 3):
        node.start(image, layers[image])
    assert node.start(1, layers[1]) is None
    assert node.start(2, layers[2]) == Pull(10, 10)
