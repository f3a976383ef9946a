"""A base image that is a spec: built first, as an image of its own, and pinned with what it is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.archives import make_deb, member, tar_of
from tests.case import Case

from taskimage.adapters import layout
from taskimage.adapters.store import Store
from taskimage.model.lockfile import loads
from taskimage.model.oci import Manifest
from taskimage.testing import Registry

LIBC = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0"
PYTHON = b"\x7fELF\x003.11.2\0"
BELOW = {
    "name": "below",
    "python_version": 3.11,
    "packages": ["demo"],
    "builder_options": {"taskimage": {"runtime": "none", "bytecode": False}},
}


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
def nested(case: Case) -> Case:
    """A case whose spec stands on another one, and adds a package to it."""
    case.publish(
        {
            "libc6": make_deb(
                {"lib64/libc.so.6": LIBC, "lib64/ld-linux-x86-64.so.2": b""},
                Package="libc6",
                Version="2.36-9",
            ),
            "python3.11": make_deb(
                data=tar_of([member("usr/bin/python3.11", PYTHON, 0o755)]),
                Package="python3.11",
                Version="3.11.2-6",
            ),
        }
    )
    case.index.add("other", "1.0", files={"other.py": b"y = 1\n"})
    case.spec(base_image=BELOW, packages=["other"], apt_packages=[])
    return case


def manifest(case: Case, name: str) -> Manifest:
    """The manifest of the image of this name in the store."""
    store = Store(case.home)
    found = [one for key, one in layout.images(store).items() if key.split(":")[0] == name]
    return layout.load(store, found[0].digest).manifest


def test_it_is_an_image_of_its_own_below_the_other(nested: Case) -> None:
    """The layers of the base are the lowest of the image that stands on it."""
    nested.build()
    below, above = manifest(nested, "below").layers, manifest(nested, "demo").layers
    assert [layer.digest for layer in above[: len(below)]] == [layer.digest for layer in below]
    assert len(above) > len(below)


def test_a_lock_pins_what_the_base_is_made_of(nested: Case) -> None:
    nested.lock()
    lock = loads(nested.lock_path.read_text(), where="lock")
    assert lock.base is not None
    assert [pin.name for pin in lock.base.platforms[0].wheels] == ["demo"]
    assert [pin.name for pin in lock.platforms[0].wheels] == ["other"]
    assert lock.base.wants.python == "3.11"


def test_the_same_lock_gives_the_same_base_in_another_store(nested: Case) -> None:
    nested.lock()
    first = nested.build()
    nested.use_another_store()
    assert nested.build() == first
    assert nested.build(SOURCE_DATE_EPOCH="1700000000").partition("@")[0] == first.partition("@")[0]


def test_a_lock_is_fresh_until_the_base_wants_something_else(nested: Case) -> None:
    nested.lock()
    text = nested.lock_path.read_text()
    nested.lock()
    assert nested.lock_path.read_text() == text
    nested.spec(base_image={**BELOW, "packages": ["demo==1.0"]}, packages=["other"], apt_packages=[])
    assert "base_image: packages: 'demo==1.0' is wanted and not locked" in nested.fails(2)
    nested.lock()
    nested.build()


def test_lock_check_looks_into_the_base(nested: Case) -> None:
    nested.lock()
    assert nested.run("lock", "--check", str(nested.spec_path))[0] == 0
    nested.spec(base_image={**BELOW, "packages": ["demo==1.0"]}, packages=["other"], apt_packages=[])
    code, out, err = nested.run("lock", "--check", str(nested.spec_path))
    assert (code, out) == (1, "")
    assert "base_image: packages: 'demo==1.0' is wanted and not locked" in err


def test_check_looks_into_the_base_and_builds_nothing(nested: Case) -> None:
    code, out, err = nested.run("check", str(nested.spec_path))
    assert code == 0, err
    assert [line for line in out.splitlines() if "sandbox" not in line] == [
        "ok      base_image: Debian bookworm for linux/amd64: has Python 3.11.2 and 21 packages",
        "ok      base_image: Python packages for linux/amd64: 1 wheel, one for each package",
        "ok      Debian bookworm for linux/amd64: has Python 3.11.2 and 21 packages",
        "ok      Python packages for linux/amd64: 1 wheel, one for each package",
    ]
    assert not (nested.home / "oci").exists()
    nested.lock()
    assert nested.run("check", str(nested.spec_path))[:2] == (0, out)


@pytest.mark.parametrize(
    ("base", "above", "place"),
    [
        ({"packages": ["nowhere"]}, {}, "base_image: Python packages"),
        ({"apt_packages": ["nowhere"]}, {}, "base_image: Debian bookworm"),
        ({}, {"packages": ["nowhere"]}, "Python packages"),
    ],
)
def test_check_names_what_cannot_be_had_and_for_which_of_them(
    nested: Case, base: dict[str, object], above: dict[str, object], place: str
) -> None:
    nested.spec(**{"base_image": {**BELOW, **base}, "packages": ["other"], "apt_packages": [], **above})
    code, out, _ = nested.run("check", str(nested.spec_path))
    assert code == 3
    problems = [line for line in out.splitlines() if line.startswith("PROBLEM")]
    assert problems[0].startswith(f"PROBLEM {place} for linux/amd64: ")


def test_check_asks_whether_both_may_be_pushed(nested: Case, registry: Registry) -> None:
    nested.spec(base_image=BELOW, packages=["other"], apt_packages=[], registry=registry.host)
    code, out, _ = nested.run("check", str(nested.spec_path))
    assert code == 0
    for subject in (f"base_image: registry {registry.host}/below", f"registry {registry.host}/demo"):
        assert f"ok      {subject}: takes a push" in out.splitlines()


def test_a_base_that_its_inputs_no_longer_give_is_told_and_locked_again(nested: Case) -> None:
    """What a base copies is no part of a lock, and moves its digest."""
    (nested.folder / "data.txt").write_text("one")
    nested.spec(base_image={**BELOW, "copy": ["data.txt"]}, packages=["other"], apt_packages=[])
    nested.lock()
    nested.build()
    (nested.folder / "data.txt").write_text("two")
    assert "is what its spec gives now" in nested.fails(2)
    nested.lock()
    nested.build()


def test_it_is_published_where_the_other_one_goes(nested: Case, registry: Registry) -> None:
    nested.spec(base_image=BELOW, packages=["other"], apt_packages=[], registry=registry.host)
    code, out, err = nested.run("build", str(nested.spec_path))
    assert code == 0, err
    assert out.startswith(f"{registry.host}/demo:")
    assert registry.tags("below")


def test_offline_the_store_has_the_base_that_something_new_stands_on(nested: Case) -> None:
    nested.lock()
    nested.build()
    nested.close()
    (nested.folder / "data.txt").write_text("new")
    nested.spec(base_image=BELOW, packages=["other"], apt_packages=[], copy=["data.txt"])
    code, _, err = nested.run("build", "--offline", str(nested.spec_path))
    assert code == 0, err


def test_what_is_wrong_with_it_has_its_place(nested: Case) -> None:
    nested.spec(base_image={"name": "a b", "pakages": []})
    err = nested.fails(2)
    assert re.search(r"image.yaml:\d+:\d+: base_image.name is 'a b'", err)
    assert re.search(r"image.yaml:\d+:\d+: unknown key 'pakages'", err)


def test_what_it_asks_for_is_refused_with_the_rest(nested: Case) -> None:
    nested.spec(base_image={**BELOW, "python_exec": "x"}, cudnn="8")
    err = nested.fails(7)
    assert "python_exec names an interpreter of a base image, and there is no base_image" in err
    assert "cudnn has nothing to choose" in err


def test_without_a_lock_what_would_be_made_is_not_known(nested: Case) -> None:
    assert "before that image is there" in nested.fails(7, "build", "--dry-run", str(nested.spec_path))


def test_it_is_vendored_with_what_it_is_made_of(nested: Case, tmp_path: Path) -> None:
    nested.lock()
    reference = nested.build()
    nested.use_another_store()
    folder = tmp_path / "vendor"
    code, _, err = nested.run("vendor", str(nested.spec_path), "-o", str(folder))
    assert code == 0, err
    code, out, err = nested.run("build", "--offline", str(nested.spec_path), TASKIMAGE_HOME=str(folder))
    assert (code, out.strip()) == (0, reference), err
