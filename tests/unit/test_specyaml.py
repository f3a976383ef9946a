"""YAML text -> `ImageSpec`: values, places, and every problem at once."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.errors import InvalidSpec
from taskimage.model.spec import FIELDS, MAX_BYTES, ImageSpec
from taskimage.model.spec.reading import read_spec
from taskimage.model.spec.served import unserved


def read(text: str | bytes) -> ImageSpec:
    data = text.encode() if isinstance(text, str) else text
    return read_spec(data, path="image.yaml")[0]


def problems(text: str | bytes) -> list[tuple[int, int, str]]:
    with pytest.raises(InvalidSpec) as caught:
        read(text)
    assert str(caught.value).startswith("image.yaml")
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_a_whole_spec_is_read() -> None:
    text = """
        name: Demo
        python_version: "3.11"
        packages: [numpy, pandas>=2]
        env: {A: b}
        entrypoint: []
        builder_options: {taskimage: {bytecode: false}}
    """
    expected = ImageSpec(
        name="demo",
        python_version="3.11",
        packages=["numpy", "pandas>=2"],
        env={"A": "b"},
        entrypoint=[],
        builder_options={"taskimage": {"bytecode": False}},
    )
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python_version: 3.10", "3.10"),
        ("python_version: 3.11", "3.11"),
        ("python_version: '3.10'", "3.10"),
        ("python_version: 3.11.4", "3.11.4"),
        ("python_version: null", None),
    ],
)
def test_a_python_version_means_what_is_written(text: str, expected: str | None) -> None:
    assert read(text).python_version == expected


def test_what_yaml_read_is_kept_beside_what_is_meant() -> None:
    origin = read("python_version: 3.10\nname: x").origin
    assert origin is not None
    assert origin.read == {"python_version": ("3.10", 3.1)}


def test_env_values_are_text_as_flytekit_writes_them_and_a_surprise_is_told() -> None:
    spec, warnings = read_spec(b"env: {A: 1, B: 1.10, C: yes, D: x, E: 1.5}", path="i.yaml")
    assert spec.env == {"A": "1", "B": "1.1", "C": "True", "D": "x", "E": "1.5"}
    assert [warning.text.split(" ")[1] for warning in warnings] == ["env.B", "env.C"]
    assert warnings[0].text.startswith("i.yaml:1:16:")


def test_aliases_and_merged_keys_are_read_as_yaml_says() -> None:
    text = "packages: &p [a, b]\nruntime_packages: *p\nenv: {<<: {A: '1', B: '2'}, B: '3'}\n"
    spec = read(text)
    assert (spec.runtime_packages, spec.env) == (("a", "b"), {"A": "1", "B": "3"})


def test_a_file_may_start_with_a_byte_order_mark_and_end_lines_as_windows_does() -> None:
    assert read(b"\xef\xbb\xbfname: a\r\npackages:\r\n  - b\r\n") == ImageSpec(name="a", packages=["b"])


def test_every_problem_is_listed_with_its_place() -> None:
    text = """\
pakages: [numpy]
packages: numpy
env:
  A: 1
  B: [x]
apt_packages: [git, 7]
name: 'a b'
name: c
builder_options: {taskimage: {bytcode: true}}
"""
    assert problems(text) == [
        (1, 1, "unknown key 'pakages'"),
        (2, 11, "packages is 'numpy'; wanted a list of text"),
        (5, 6, "env.B is ['x']; wanted text"),
        (6, 21, "apt_packages[1] is 7; wanted text"),
        (8, 1, "key 'name' comes twice; it is first in line 7"),
        (9, 31, "unknown switch 'bytcode'"),
    ]


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("pakages", "packages"),
        ("apt-packages", "apt_packages"),
        ("python", "python_version"),
        ("apt", "apt_packages"),
        ("Registry", "registry"),
        ("pip_extra_index_urls", "pip_extra_index_url"),
    ],
)
def test_an_unknown_key_has_a_suggestion(key: str, suggested: str) -> None:
    with pytest.raises(InvalidSpec, match=rf"did you mean {suggested}\?"):
        read(f"{key}: x")


def test_a_key_like_no_other_is_told_what_is_known() -> None:
    with pytest.raises(InvalidSpec, match="ImageSpec"):
        read("zzz: x")


BAD: list[tuple[str | bytes, tuple[int, int], str]] = [
    ("", (1, 1), "the file is empty"),
    ("# nothing\n", (1, 1), "the file is empty"),
    ("null", (1, 1), "wanted a mapping at the top"),
    ("- name: a", (1, 1), "wanted a mapping at the top"),
    ("just text", (1, 1), "wanted a mapping at the top"),
    ("a: [", (1, 5), "not YAML"),
    ("name: a: b", (1, 8), "not YAML"),
    ("name: a\n---\nname: b", (2, 1), "not YAML: a spec is one document"),
    ("name: a\n\tb: c", (2, 1), "not YAML"),
    ("name: *x", (1, 7), "undefined alias"),
    (b"name: \xff", (1, 7), "byte 0xff is not UTF-8"),
    (b"name: a\nb: \x00", (2, 4), "may not hold the character"),
    ("name: \x07", (1, 7), "may not hold the character"),
    ("name: !!python/object:os.system {}", (1, 7), "name cannot be read"),
    ("name: !!bool x", (1, 7), "name cannot be read"),
    ("name: !!timestamp x", (1, 7), "name cannot be read"),
    ("env: {A: 2024-13-45}", (1, 6), "env cannot be read"),
    ("env: {? [a] : b}", (1, 6), "env cannot be read"),
    ("? [a]\n: b", (1, 3), "unknown key"),
    ("1: a", (1, 1), "unknown key '1'"),
    ("env: {on: a}", (1, 7), "True is not a name"),
    ("<<: 3", (1, 1), "cannot be merged"),
    ("name: 2024-01-01", (1, 7), "name is 2024-01-01"),
    ("cuda: " + "1:" * 200 + "1", (1, 7), "a number of 401 digits"),
    ("packages: &a [*a]", (1, 15), "an alias of what it stands in"),
    ("env: &a {A: *a}", (1, 13), "an alias of what it stands in"),
    ("packages: " + "[" * 99, (1, 42), "nests deeper than 32 levels"),
    ("packages: [" + "a," * 12_000 + "]", (1, 20_010), "more parts than a spec may hold"),
    (b" " * (MAX_BYTES + 1), (0, 0), "larger than a spec may be"),
    (b"a" * 10_000_000, (0, 0), "larger than a spec may be"),
]


@pytest.mark.parametrize(("text", "place", "message"), BAD, ids=[repr(text[:40]) for text, *_ in BAD])
def test_what_is_no_spec_is_refused_at_its_place(
    text: str | bytes, place: tuple[int, int], message: str
) -> None:
    [(line, column, said)] = problems(text)
    assert message in said
    assert (line, column) == place


def test_the_same_anchor_in_two_places_is_looked_at_once() -> None:
    found = problems("packages: &p [{a: 1, a: 2}]\ncopy: *p")
    assert [message for _, _, message in found if "twice" in message] == [
        "key 'a' comes twice; it is first in line 1"
    ]


def test_no_hint_shows_a_password() -> None:
    with pytest.raises(InvalidSpec) as caught:
        read("pip_extra_index_url: https://me:hunter2@example.org")
    assert "hunter2" not in str(caught.value)


def test_tabs_are_explained() -> None:
    with pytest.raises(InvalidSpec, match="never with tabs"):
        read("env:\n\tA: b")


@pytest.mark.parametrize("item", ["[{}]", "{{<<: [{}]}}", "{{a: [{}]}}"])
def test_aliases_that_multiply_are_refused_and_never_written_out(item: str) -> None:
    lines = ["x0: &x0 {a: b}"]
    lines += [
        f"x{level}: &x{level} " + item.format(", ".join([f"*x{level - 1}"] * 9)) for level in range(1, 40)
    ]
    [(line, _, message)] = problems("\n".join(lines))
    assert "more than a spec may hold" in message
    assert line < 10


def test_aliases_that_nest_deep_are_refused() -> None:
    lines = ["x0: &x0 [a]", *(f"x{level}: &x{level} [*x{level - 1}]" for level in range(1, 2000))]
    [(line, _, message)] = problems("\n".join(lines))
    assert "more than a spec may hold" in message
    assert line < 40


def test_of_very_many_problems_the_first_are_told() -> None:
    found = problems("\n".join(f"k{number}: x" for number in range(500)))
    assert len(found) == 51
    assert found[-1][2] == "and 450 more problems from here on"


def test_what_is_not_served_has_its_place() -> None:
    spec = read("name: a\nbuilder: envd\npackages:\n  - numpy\n  - -r other.txt\n")
    assert unserved(spec) == (
        "image.yaml:2:10: builder 'envd' is another one; wanted taskimage, default or none",
        "image.yaml:5:5: packages[1] is '-r other.txt': options among packages are not served",
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), VALUES, max_size=4))
def test_any_mapping_is_a_spec_or_has_problems(document: dict[str, object]) -> None:
    """Never another error."""
    with contextlib.suppress(InvalidSpec):
        spec = read(yaml.safe_dump(document))
        assert spec.id == spec.id


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.text("nam: -[]{}&*!|>'\"%@#?,\n\t<1.x", max_size=40).map(str.encode))
def test_any_bytes_are_a_spec_or_have_problems(data: bytes) -> None:
    """Never another error."""
    with contextlib.suppress(InvalidSpec):
        read(data)
