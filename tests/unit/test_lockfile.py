"""The lock's text: byte-stable, read back whole, refused with a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.lock import BasePin, DebPin, Lock, PlatformLock, PythonPin, Wants, WheelPin
from taskimage.model.lockchanges import diff, stale
from taskimage.model.lockfile import dumps, loads
from taskimage.model.oci import Platform

DEB = DebPin(
    package="bash", version="5.2.15-2+b8", architecture="amd64", archive="debian", suite="bookworm",
    path="pool/main/b/bash/bash_5.2.15-2+b8_amd64.deb", size=1491000, digest=Digest.of(b"bash"),
)  # fmt: skip
WHEEL = WheelPin(
    name="idna", version="3.10", index="default", file="idna-3.10-py3-none-any.whl", size=70442,
    digest=Digest.of(b"idna"),
)  # fmt: skip
WANTS = Wants(python="3.11", platforms=("linux/amd64",), suite="bookworm", packages=("idna",))
LOCK = Lock(
    wants=WANTS,
    platforms=(
        PlatformLock(
            platform=Platform("linux", "amd64"),
            suite="bookworm",
            python=PythonPin(version="3.11.2", source="suite"),
            base=(DEB,),
            wheels=(WHEEL,),
        ),
    ),
)


def test_a_lock_is_read_back_as_it_was() -> None:
    assert loads(dumps(LOCK), where="x") == LOCK


@pytest.mark.parametrize("name", ["base_image", "python_exec", "installer"])
def test_what_few_specs_want_stands_in_a_lock_only_then(name: str) -> None:
    assert name.replace("_", "-") not in dumps(LOCK)
    wanted = dataclasses.replace(LOCK, wants=dataclasses.replace(WANTS, **{name: "x"}))  # type: ignore[arg-type]
    assert loads(dumps(wanted), where="x") == wanted
    assert stale(LOCK, wanted.wants)


def test_each_input_has_a_line_of_its_own() -> None:
    lines = dumps(LOCK).splitlines()
    assert sum("sha256" in line for line in lines) == 2
    assert (
        '    { name = "idna", version = "3.10", index = "default", file = "idna-3.10-py3-none-any.whl", '
        f'size = 70442, sha256 = "{WHEEL.digest.hex}" }},'
    ) in lines


def test_the_text_has_no_time_and_no_host() -> None:
    assert "://" not in dumps(LOCK)


def test_a_standalone_interpreter_is_pinned_by_digest() -> None:
    python = PythonPin(
        version="3.12.7", source="standalone", path="20241016/c.tar.gz", size=5, digest=Digest.of(b"")
    )
    platform = dataclasses.replace(LOCK.platforms[0], python=python)
    lock = dataclasses.replace(LOCK, platforms=(platform,))
    assert loads(dumps(lock), where="x") == lock


@pytest.mark.parametrize("hidden", [False, True])
def test_a_base_image_is_pinned_with_what_is_used_and_what_is_replaced_of_it(*, hidden: bool) -> None:
    image = BasePin(
        name="ghcr.io/org/base:v1", digest=Digest.of(b"index"), manifest=Digest.of(b"manifest"), glibc="2.36",
        links=("home var/home",), installed=("numpy 1.24.2",), replaced=("six 1.17.0",), environment_hidden=hidden,
    )  # fmt: skip
    lock = dataclasses.replace(LOCK, platforms=(dataclasses.replace(LOCK.platforms[0], image=image),))
    text = dumps(lock)
    assert loads(text, where="x") == lock
    assert 'base-replaced = [\n    "six 1.17.0",\n]\n' in text
    assert ("environment-hidden = true" in text) == hidden
    with pytest.raises(BadInput, match="environment-hidden = 'no' is no bool"):
        loads(
            text.replace('glibc = "2.36"', 'environment-hidden = "no"').replace(
                ", environment-hidden = true", ""
            ),
            where="x",
        )


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4))
def test_any_text_survives(packages: list[str]) -> None:
    lock = dataclasses.replace(LOCK, wants=dataclasses.replace(WANTS, packages=tuple(packages)))
    assert loads(dumps(lock), where="x") == lock


@given(
    st.permutations(
        [DEB, dataclasses.replace(DEB, package="dash"), dataclasses.replace(DEB, package="zlib1g")]
    )
)
def test_the_order_of_inputs_has_no_meaning(debs: list[DebPin]) -> None:
    one, other = (
        dataclasses.replace(LOCK, platforms=(dataclasses.replace(LOCK.platforms[0], base=tuple(order)),))
        for order in (debs, sorted(debs))
    )
    assert dumps(one) == dumps(other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "not toml [", "not a lock"),
        (lambda text: "", "it has no lock-version"),
        (lambda text: text.replace("lock-version = 1", "lock-version = 2"), "newer taskimage"),
        (
            lambda text: text.replace("lock-version = 1", 'lock-version = 2\nrequires = "7.1"'),
            "taskimage '7.1' or newer",
        ),
        (lambda text: text.replace("wheels = [", "wheel = ["), "'wheels' is missing"),
        (lambda text: text.replace("size = 70442", 'size = "x"'), "size = 'x' is no int"),
        (lambda text: text.replace(WHEEL.digest.hex, "beef"), "not a digest"),
        (lambda text: text.replace("name = ", "nmae = "), "nmae"),
        (lambda text: text.replace("pool/main", "pool/../.."), "no plain path"),
        (lambda text: text.replace("pool/main", "/pool"), "no plain path"),
        (lambda text: text.replace("linux/amd64", "plan9/amd64"), "not a platform"),
    ],
)
def test_a_text_that_is_no_lock_is_refused_with_the_reason(change: object, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        loads(change(dumps(LOCK)), where="image.lock.toml")  # type: ignore[operator]
    assert "image.lock.toml" in str(caught.value)
    assert reason in str(caught.value)


def test_a_lock_is_fresh_for_what_it_was_made_for_in_any_order() -> None:
    wants = dataclasses.replace(WANTS, packages=("a", "b"))
    lock = dataclasses.replace(LOCK, wants=wants)
    assert stale(lock, dataclasses.replace(WANTS, packages=("b", "a"))) == ()


def test_a_stale_lock_says_what_changed() -> None:
    wants = dataclasses.replace(WANTS, python="3.12", packages=("idna", "numpy"), apt_packages=("git",))
    assert stale(LOCK, wants) == (
        "python_version: '3.11' is locked, '3.12' is wanted",
        "packages: 'numpy' is wanted and not locked",
        "apt_packages: 'git' is wanted and not locked",
    )


def test_a_diff_names_each_input_that_changed() -> None:
    newer = dataclasses.replace(WHEEL, version="3.11", digest=Digest.of(b"new"))
    platform = dataclasses.replace(LOCK.platforms[0], wheels=(newer,), base=())
    assert diff(LOCK, dataclasses.replace(LOCK, platforms=(platform,))) == (
        "- linux/amd64 deb bash 5.2.15-2+b8 (1.5 MB)",
        "~ linux/amd64 wheel idna 3.10 -> 3.11 (70.4 kB)",
    )


def test_a_diff_tells_sizes_and_licences_before_and_after_where_they_differ() -> None:
    newer = dataclasses.replace(WHEEL, version="3.11", size=2_000_000, digest=Digest.of(b"new"))
    platform = dataclasses.replace(LOCK.platforms[0], wheels=(newer,))
    licences = {WHEEL.digest: "BSD-3-Clause", newer.digest: "MIT"}
    assert diff(LOCK, dataclasses.replace(LOCK, platforms=(platform,)), licences=licences) == (
        "~ linux/amd64 wheel idna 3.10 -> 3.11 (70.4 kB -> 2.0 MB, BSD-3-Clause -> MIT)",
    )
    same = dict.fromkeys(licences, "MIT")
    assert diff(LOCK, dataclasses.replace(LOCK, platforms=(platform,)), licences=same) == (
        "~ linux/amd64 wheel idna 3.10 -> 3.11 (70.4 kB -> 2.0 MB, MIT)",
    )


def test_other_bytes_of_one_version_are_told_by_their_digests() -> None:
    other = dataclasses.replace(WHEEL, digest=Digest.of(b"other"))
    platform = dataclasses.replace(LOCK.platforms[0], wheels=(other,))
    assert diff(LOCK, dataclasses.replace(LOCK, platforms=(platform,))) == (
        f"~ linux/amd64 wheel idna 3.10 ({WHEEL.digest.short} -> {other.digest.short}, 70.4 kB)",
    )


@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_lock_that_a_merge_left_in_conflict_says_how_to_go_on(kind: Callable[[str], str | bytes]) -> None:
    text = 'lock-version = 1\n<<<<<<< HEAD\npython = "3.11"\n=======\npython = "3.12"\n>>>>>>> other\n'
    with pytest.raises(BadInput, match="not a lock") as caught:
        loads(kind(text), where="image.lock.toml")
    assert "take either side's lock whole" in str(caught.value)
