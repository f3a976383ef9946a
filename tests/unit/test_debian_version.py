"""Versions sort as Debian policy 5.6.12 says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.errors import BadInput
from taskimage.transform.deb.version import OPERATORS, sort_key

# Each is lower than the next.
ASCENDING = [
    "0~~", "0~~a", "0~", "0", "0.1~bpo12+1", "0.1", "0.1-0+deb12u1", "0.1-1~", "0.1-1", "0.1-1+b1", "0.1-1.1", "0.1-2",
    "0.1-10", "0.1a", "0.1a1", "0.1b", "0.1+dfsg-1", "0.1.0", "0.9", "0.10", "1.0~rc1-1", "1.0~rc1-1+b1", "1.0-1",
    "1:0.1", "1:0.1-1", "1:1.2.13.dfsg-1", "2:0",
]  # fmt: skip
EQUAL = [("0", "0-0"), ("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0-1", "1.0-01"), ("1.0a", "1.0a0")]
WRONG = ["", "1:", ":1", "a:1", "1.0 1", "1_0", "1.0/2", "1.0-1\n", "1.0-", "1:2:3", "é", "1" * 600, "1.0()"]


def test_a_list_in_ascending_order_is_what_sorting_gives() -> None:
    shuffled = random.Random(7).sample(ASCENDING, len(ASCENDING))
    assert sorted(shuffled, key=sort_key) == ASCENDING


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_different_spellings_of_one_version_are_equal(one: str, other: str) -> None:
    assert sort_key(one) == sort_key(other)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not a Debian version"):
        sort_key(text)


@given(*[st.from_regex(r"\A([0-9]:)?[0-9][a-c0-3.+~-]{0,8}[0-3]\Z")] * 2)
@settings(max_examples=100)
def test_a_tilde_sorts_before_the_end_and_a_plus_after_it(one: str, other: str) -> None:
    """Any two versions compare, and one with a suffix lies on the suffix's side."""
    low, high = sorted((one, other), key=sort_key)
    assert OPERATORS["<="](sort_key(low), sort_key(high))
    assert sort_key(f"{one}~") < sort_key(one) < sort_key(f"{one}+")


@pytest.mark.parametrize(
    ("operator", "holds"),
    [("<<", (True, False, False)), ("<=", (True, True, False)), ("=", (False, True, False)),
     (">=", (False, True, True)), (">>", (False, False, True)), ("<", (True, True, False)),
     (">", (False, True, True))],
)  # fmt: skip
def test_relations_mean_what_policy_says(operator: str, holds: tuple[bool, ...]) -> None:
    """`<` and `>` are obsolete spellings of `<=` and `>=` (policy 7.1)."""
    versions = ("1.0-1", "1.0-2", "1.0-3")
    assert tuple(OPERATORS[operator](sort_key(item), sort_key("1.0-2")) for item in versions) == holds
