"""Python packages from indexes on loopback, resolved by the real uv."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.sources import CANARY, Index

from taskimage.adapters.http import Answer, Http
from taskimage.adapters.pypi import PyPI, defaultindex, resolver
from taskimage.adapters.pypi.defaultindex import DefaultIndex
from taskimage.adapters.pypi.failures import explained
from taskimage.adapters.pypi.indexes import indexes
from taskimage.adapters.pypi.requirements import Requirements
from taskimage.adapters.pypi.resolver import Uv
from taskimage.adapters.pypi.simple import File, read_page
from taskimage.adapters.pypi.target import Target
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile, read_requirements
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import (
    BadInput,
    CannotBuild,
    IntegrityError,
    InvalidSpec,
    NotAllowed,
    NotFound,
    TaskImageError,
    Unreachable,
)
from taskimage.model.events import Event, Warned
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    yield made
    made.close()


@pytest.fixture
def second() -> Iterator[Index]:
    made = Index()
    yield made
    made.close()


Make = Callable[..., PyPI]


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Make:
    """A function that makes the adapter, with an environment of its own."""

    def made(
        default: Index | str | None = None,
        *,
        at: Store = store,
        offline: bool = False,
        events: list[Event] | None = None,
        **more: str,
    ) -> PyPI:
        url = default.url if isinstance(default, Index) else default
        environ = {
            "HOME": str(tmp_path),
            "UV_HTTP_RETRIES": "0",
            **more,
            **({"UV_DEFAULT_INDEX": url} if url else {}),
        }
        listener = (lambda _: None) if events is None else events.append
        return PyPI(
            at, Http(environ, pauses=(), offline=offline), environ=environ, offline=offline, listener=listener
        )

    return made


def resolve(pypi: PyPI, *packages: str, **more: Any) -> dict[str, WheelPin]:
    asked = {name: more.pop(name) for name in ("requirements", "index", "extra_indexes") if name in more}
    target: dict[str, Any] = {"python": "3.11.2", "platform": AMD64, **more}
    return {pin.name: pin for pin in pypi.resolve(Asked(packages=packages, **asked), **target).wheels}


def requirements(folder: Path, **files: str) -> tuple[RequirementsFile, ...]:
    """The file ``main`` and what it includes."""
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return read_requirements(folder / "main.txt", name="main.txt")


def everything_in(store: Store) -> bytes:
    paths = [path for path in store.home.rglob("*") if path.is_file()]
    return b"\n".join(str(path).encode() + path.read_bytes() for path in paths)


# -- resolving -----------------------------------------------------------------------------------------------


def test_what_is_wanted_comes_with_what_it_needs(index: Index, make: Make) -> None:
    file = index.add("app", "1.0", needs=["dep>=1"])
    index.add("dep", "1.5")
    pins = resolve(make(index), "App")
    assert [(pin.name, pin.version, pin.index) for pin in pins.values()] == [
        ("app", "1.0", "pypi"),
        ("dep", "1.5", "pypi"),
    ]
    assert pins["app"].file == file
    assert pins["app"].digest == Digest.of(index.files[file])
    assert pins["app"].size == len(index.files[file])


def test_nothing_wanted_is_nothing_resolved(make: Make) -> None:
    assert resolve(make("http://127.0.0.1:1/simple")) == {}


TAGS = [
    "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp311-cp311-manylinux_2_28_aarch64",
    "cp313-cp313-manylinux_2_28_x86_64", "cp311-cp311-musllinux_1_2_x86_64", "cp311-cp311-manylinux_2_39_x86_64",
    "cp39-abi3-manylinux_2_28_x86_64", "py3-none-any", "cp311-cp311-win_amd64", "cp311-cp311-macosx_11_0_arm64",
]  # fmt: skip


@pytest.mark.parametrize(
    ("python", "platform", "glibc", "tag"),
    [
        ("3.11.2", AMD64, (2, 36), TAGS[0]),
        ("3.11.2", ARM64, (2, 36), TAGS[1]),
        ("3.13.1", AMD64, (2, 36), TAGS[2]),
        ("3.11.2", AMD64, (2, 41), TAGS[4]),
        ("3.12.4", AMD64, (2, 36), TAGS[5]),
        ("3.12.4", AMD64, (2, 17), TAGS[6]),
        ("3.13.1", ARM64, (2, 36), TAGS[6]),
    ],
)
def test_the_best_wheel_for_the_target_is_chosen_whatever_the_host(
    index: Index, make: Make, *, python: str, platform: Platform, glibc: tuple[int, int], tag: str
) -> None:
    for each in TAGS:
        index.add("fast", "1.0", tag=each)
    pins = resolve(make(index), "fast", python=python, platform=platform, glibc=glibc)
    assert pins["fast"].file == f"fast-1.0-{tag}.whl"


def test_the_highest_build_number_is_chosen(index: Index, make: Make) -> None:
    index.add("built", "1.0", tag="2-py3-none-any")
    index.add("built", "1.0", tag="10-py3-none-any")
    assert resolve(make(index), "built")["built"].file == "built-1.0-10-py3-none-any.whl"


def test_markers_are_those_of_the_target(index: Index, make: Make) -> None:
    index.add("a", "1")
    index.add("b", "1")
    marked = ["a; platform_machine == 'aarch64'", "b; python_full_version < '3.13.1'"]
    assert set(resolve(make(index), *marked, python="3.13.1", platform=ARM64)) == {"a"}
    assert set(resolve(make(index), *marked, python="3.13.0", platform=AMD64)) == {"b"}


@pytest.mark.parametrize("told", ["beside the wheel", "on the page", "in the wheel"])
def test_an_upper_bound_of_requires_python_is_refused_though_uv_ignores_it(
    index: Index, make: Make, told: str
) -> None:
    index.core_metadata = told == "beside the wheel"
    old = index.add("old", "1.0", python=">=3.8,<3.13")
    older = index.add("older", "1.0", python="<3.12")
    if told == "on the page":
        index.bounds = {old: ">=3.8,<3.13", older: "<3.12"}
    assert set(resolve(make(index), "old", "older", python="3.11.2")) == {"old", "older"}
    with pytest.raises(CannotBuild, match=r"older 1\.0 wants Python <3\.12; the image has Python 3\.12\.1"):
        resolve(make(index), "old", "older", python="3.12.1")


def test_the_bound_of_a_wheel_is_asked_once(index: Index, make: Make) -> None:
    asked = f"/files/{index.add('app', '1.0', python='>=3.8')}.metadata"
    resolve(make(index), "app")
    first = index.asked.count(asked)
    resolve(make(index), "app", python="3.11.9")
    # uv asks each time, since the server says nothing about how long an answer is good.
    assert index.asked.count(asked) - first == first - 1


def test_versions_that_are_kept_move_only_when_asked(index: Index, make: Make) -> None:
    for version in ("1.0", "2.0"):
        index.add("a", version)
        index.add("b", version)
    pypi = make(index)
    old = resolve(pypi, "a<2", "b<2")
    keep = tuple(old.values())
    assert {pin.version for pin in resolve(pypi, "a", "b", keep=keep).values()} == {"1.0"}
    moved = resolve(pypi, "a", "b", keep=keep, upgrade_packages=["B"])
    assert (moved["a"].version, moved["b"].version) == ("1.0", "2.0")
    assert resolve(pypi, "a>1", "b", keep=keep)["a"].version == "2.0"


def test_a_size_that_the_index_does_not_tell_is_found_out(index: Index, make: Make) -> None:
    index.json = False
    file = index.add("app", "1.0")
    assert resolve(make(index), "app")["app"].size == len(index.files[file])


# -- indexes -------------------------------------------------------------------------------------------------


def test_each_wheel_is_pinned_with_the_index_that_it_came_from(
    index: Index, second: Index, make: Make
) -> None:
    """The spec's own and the environment's; no address is part of a pin."""
    index.add("public", "1.0", needs=["private"])
    second.add("private", "1.0")
    pins = resolve(make(index), "public", extra_indexes=[second.url])
    assert {pin.name: pin.index for pin in pins.values()} == {
        "public": "pypi",
        "private": "pip_extra_index_url-1",
    }
    pins = resolve(make(index, UV_INDEX=f"corp={second.url}"), "public")
    assert {pin.name: pin.index for pin in pins.values()} == {"public": "pypi", "private": "corp"}
    pins = resolve(make(UV_INDEX=second.url), "public", index=index.url)
    assert {pin.name: pin.index for pin in pins.values()} == {"public": "pip_index", "private": "extra-1"}


def test_indexes_of_a_requirements_file_are_asked(
    index: Index, second: Index, make: Make, tmp_path: Path
) -> None:
    index.add("public", "1.0")
    second.add("private", "1.0")
    lines = f"--index-url {index.url}\n--extra-index-url=${{WHERE}}\npublic\nprivate\n"
    files = requirements(tmp_path, main=lines)
    pypi = make(WHERE=second.url)
    pins = resolve(pypi, requirements=files)
    assert {pin.name: pin.index for pin in pins.values()} == {
        "public": "pip_index",
        "private": "requirements-1",
    }
    pypi.fetch(tuple(pins.values()), Asked(requirements=files), moved=lambda _: None)


@pytest.mark.parametrize("how", ["spec", "default", "named", "netrc"])
def test_credentials_reach_the_index_and_nothing_else(
    index: Index, make: Make, store: Store, tmp_path: Path, *, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not pins, files of the store, events, output, or errors."""
    index.add("app", "1.0", needs=["dep"])
    index.add("dep", "1.0")
    with_login = index.with_login()
    events: list[Event] = []
    options: dict[str, Any] = {}
    environ: dict[str, str] = {}
    if how == "spec":
        options["index"] = with_login
    elif how == "default":
        environ["UV_DEFAULT_INDEX"] = with_login
    elif how == "named":
        environ = {
            "UV_DEFAULT_INDEX": f"corp-1={index.url}",
            "UV_INDEX_CORP_1_USERNAME": "me",
            "UV_INDEX_CORP_1_PASSWORD": CANARY,
        }
    else:
        environ = {"UV_DEFAULT_INDEX": index.url, "NETRC": str(tmp_path / "netrc")}
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
    pypi = make(events=events, **environ)
    pins = resolve(pypi, "app", **options)
    pypi.fetch(tuple(pins.values()), Asked(**options), moved=lambda _: None)
    fresh = Store(tmp_path / "fresh")
    make(at=fresh, **environ).fetch(tuple(pins.values()), Asked(**options), moved=lambda _: None)
    failures = []
    for package in ("missing", "app==9"):
        with pytest.raises(TaskImageError) as caught:
            resolve(pypi, package, **options)
        failures.append(str(caught.value))
    index.password = "another"
    with pytest.raises(NotAllowed, match=r"127\.0\.0\.1:\d+ wants credentials") as refused:
        resolve(pypi, "other", **options)
    told = [repr(pins), repr(events), *failures, str(refused.value), *capfd.readouterr()]
    text = "\n".join(told).encode() + everything_in(store) + everything_in(fresh)
    for secret in (CANARY, base64.b64encode(f"me:{CANARY}".encode()).decode(), "s3cr3t"):
        assert secret.encode() not in text


def test_a_password_is_taken_from_the_keyring_program(
    index: Index, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("app", "1.0")
    index.with_login()
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1 $3" = "get me" ] && echo "{CANARY}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    url = index.url.replace("://", "://me@")
    assert resolve(make(UV_KEYRING_PROVIDER="subprocess"), "app", index=url)
    with pytest.raises(NotAllowed):
        resolve(make(), "app", index=url)


def test_pips_own_settings_are_not_read_and_that_is_said(index: Index, make: Make) -> None:
    """Once, however often packages are resolved."""
    events: list[Event] = []
    pypi = make(events=events, offline=True, PIP_INDEX_URL=index.url)
    for _ in range(2):
        with pytest.raises(Unreachable):
            resolve(pypi, "a")
    assert [event.hint for event in events if isinstance(event, Warned)] == ["set UV_DEFAULT_INDEX instead"]


@pytest.mark.parametrize(
    "url", ["file:///srv/simple", "index.example/simple", "", "https://", "https://[x/simple"]
)
def test_an_address_that_is_no_index_is_bad_input(make: Make, url: str) -> None:
    with pytest.raises(BadInput, match="not the address of a package index"):
        resolve(make("http://127.0.0.1:1"), "a", extra_indexes=[url])


def test_an_address_that_is_no_index_is_shown_without_its_password() -> None:
    with pytest.raises(BadInput) as caught:
        indexes(Asked(index=f"ftp://me:{CANARY}@x.example/"), {})
    assert CANARY not in str(caught.value)


# -- what cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ("missing", NotFound, "no package 'missing' on"),
        ("lost", NotFound, "no package 'missing' on the package index, which 'lost' depends on"),
        ("cv2", NotFound, "perhaps 'opencv-python-headless' is meant"),
        ("app==9", NotFound, "no version of the package fits 'app==9'"),
        ("app>=9", NotFound, "no version of the package fits 'app>=9'"),
        ("windows", CannotBuild, r"no wheel of 'windows.*' for Python 3\.11\.2 on linux/amd64"),
        ("source", CannotBuild, r"no wheel of 'source.*' for Python 3\.11\.2 on linux/amd64"),
        ("built", CannotBuild, r"no wheel of 'source.*' for .*, which 'built' depends on"),
        ("range>=1,<2", CannotBuild, r"no wheel of 'range>=1\.1' for"),
        ("conflict app>=1", CannotBuild, "do not fit together for .*app<1.*app>=1"),
        ("app<1 app>1", CannotBuild, "do not fit together for .*app<1"),
    ],
)
def test_what_cannot_be_resolved_is_named(
    index: Index, make: Make, wanted: str, error: type[TaskImageError], says: str
) -> None:
    index.add("app", "1.0")
    index.add("windows", "1.0", tag="cp311-cp311-win_amd64")
    index.files["source-1.0.tar.gz"] = b"no wheel"
    index.add("range", "0.1")
    index.files |= {f"range-1.{minor}.tar.gz": b"no wheel" for minor in (1, 2)}
    index.add("lost", "1.0", needs=["missing>2"])
    index.add("built", "1.0", needs=["source"])
    index.add("conflict", "1.0", needs=["app<1"])
    with pytest.raises(error, match=says) as caught:
        resolve(make(index), *wanted.split())
    assert caught.value.hint
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    ("package", "error"),
    [
        ("./folder", CannotBuild), ("-e .", CannotBuild), ("pkg.whl", CannotBuild), ("/abs/pkg-1.tar.gz", CannotBuild),
        ("git+https://host.example/repo", CannotBuild), ("pkg @ https://host.example/pkg-1.tar.gz", CannotBuild),
        ("https://host.example/pkg-1.zip", CannotBuild), ("pkg @ https://me:it@host.example/pkg-1-py3-none-any.whl", BadInput),
        ("pkg @ https://host.example/${TOKEN}/pkg-1-py3-none-any.whl", BadInput),
        ("pkg @ https://host.example/pkg-1-py3-none-any.whl?token=${TOKEN}", BadInput),
        ("pkg @ file:///pkg-1-py3-none-any.whl", CannotBuild), ("https://host.example/pkg.whl", BadInput),
        ("--find-links x", CannotBuild), ("--no-binary :all:", CannotBuild), ("a --hash=sha512:00", CannotBuild),
        ("???", InvalidSpec), ("a==", InvalidSpec), ("--colour", InvalidSpec), ("a >= 1 <2", InvalidSpec),
    ],
)  # fmt: skip
def test_a_requirement_that_is_not_served_or_not_one_is_refused_by_name(
    make: Make, package: str, error: type[TaskImageError]
) -> None:
    with pytest.raises(error, match="packages:2"):
        resolve(make("http://127.0.0.1:1"), "numpy", package)


@pytest.mark.parametrize(
    "wanted",
    [
        "x @ https://host.example/${HOME}/x-1-py3-none-any.whl", "--extra-index-url https://${HOME}.example/simple",
        "-r /etc/passwd", "-e .", "./folder", "https://host.example/x-1-py3-none-any.whl", "", "a\nb",
        "a; python_version > '3\n--index-url https://host.example/${HOME}\n'",
    ],
)  # fmt: skip
def test_what_an_sdist_wants_is_named_and_nothing_else(wanted: str) -> None:
    """Nowhere but the indexes that are known is asked for it, and no variable of this machine gets anywhere."""
    with pytest.raises(CannotBuild, match="only packages of an index are given"):
        Requirements.of_stranger(["setuptools>=40.8.0", wanted])


def test_the_versions_extras_and_markers_that_an_sdist_wants_are_kept() -> None:
    wanted = ["setuptools>=40.8.0", " wheel\n", 'Cython[a]<4; python_version >= "3"']
    found = [str(line.requirement) for line in Requirements.of_stranger(wanted).lines]
    assert found == ["setuptools>=40.8.0", "wheel", 'Cython[a]<4; python_version >= "3"']


def test_a_platform_that_uv_does_not_know_is_refused(make: Make) -> None:
    with pytest.raises(CannotBuild, match="linux/s390x"):
        resolve(make("http://127.0.0.1:1"), "a", platform=Platform("linux", "s390x"))


@pytest.mark.parametrize(("status", "error"), [(403, NotAllowed), (500, Unreachable), (404, NotFound)])
def test_an_index_that_refuses_is_an_error_of_its_family(
    index: Index, make: Make, status: int, error: type[TaskImageError]
) -> None:
    index.status = status
    with pytest.raises(error):
        resolve(make(index), "app")


def test_an_index_that_is_not_there_is_unreachable(make: Make) -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9: Connection refused"):
        resolve(make("http://127.0.0.1:9/simple"), "app")


def test_offline_only_what_was_seen_before_is_resolved(index: Index, make: Make) -> None:
    index.add("app", "1.0")
    pins = resolve(make(index), "app")
    asked = len(index.asked)
    assert resolve(make(index, offline=True), "app") == pins
    with pytest.raises(Unreachable, match="offline"):
        resolve(make(index, offline=True), "other")
    with pytest.raises(Unreachable, match="app-1"):
        make(index, offline=True).fetch(tuple(pins.values()), Asked(), moved=lambda _: None)
    assert len(index.asked) == asked


def test_uvs_older_way_of_saying_it_is_understood() -> None:
    said = """  x No solution found when resolving dependencies:
  ╰─▶ Because a was not found in the package registry and you require a, we can
      conclude that your requirements are unsatisfiable.
"""
    error = explained(said, Target("3.11.2", AMD64, (2, 36)))
    assert isinstance(error, NotFound)
    assert "'a'" in str(error)


# -- requirements files ----------------------------------------------------------------------------------------


def test_includes_and_constraints_are_followed(index: Index, make: Make, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        for version in ("1.0", "2.0"):
            index.add(name, version)
    main = "# all of it\n-r more.txt\na \\\n  <2  # why\n\n-cpins.txt\n"
    files = requirements(tmp_path, main=main, more="-r main.txt\nb\n", pins="b<2\nc<2\n")
    pins = resolve(make(index), "c", requirements=files)
    assert {name: pin.version for name, pin in pins.items()} == {"a": "1.0", "b": "1.0", "c": "1.0"}


def test_a_hash_in_a_requirements_file_is_compared_though_uv_ignores_it(
    index: Index, make: Make, tmp_path: Path
) -> None:
    file = index.add("app", "1.0")
    right, wrong = Digest.of(index.files[file]).hex, "0" * 64
    lines = f"app==1.0 \\\n    --hash=sha256:{wrong} \\\n    --hash=sha256:{{}}\n"
    assert resolve(make(index), requirements=requirements(tmp_path, main=lines.format(right)))
    with pytest.raises(IntegrityError, match=r"main\.txt:1.*'app'"):
        resolve(make(index), requirements=requirements(tmp_path, main=lines.format(wrong)))


def test_hashes_choose_among_the_wheels(index: Index, make: Make, tmp_path: Path) -> None:
    index.add("app", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    pure = index.add("app", "1.0")
    lines = f"app --hash sha256:{Digest.of(index.files[pure]).hex}\napp; python_version < '3' --hash=sha256:{'0' * 64}\n"
    assert resolve(make(index), requirements=requirements(tmp_path, main=lines))["app"].file == pure


def test_all_problems_of_a_requirements_file_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as caught:
        Requirements.read((), requirements(tmp_path, main="a\n!!\nb\n==1\n"), {})
    assert [problem.line for problem in caught.value.problems] == [2, 4]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TOKEN"):
        Requirements.read((), requirements(tmp_path, main="-i https://${TOKEN}@x.example/simple\n"), {})


# -- fetching --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("json", [True, False])
def test_a_machine_that_did_not_resolve_finds_the_files_by_their_names(
    index: Index, make: Make, tmp_path: Path, *, json: bool
) -> None:
    index.json = json
    for version in ("1.0", "2.0"):
        index.add("app", version)
    index.add("dep", "1.0")
    pins = resolve(make(index), "app<2", "dep")
    there = Store(tmp_path / "there")
    index.asked.clear()
    moved: list[int] = []
    make(index, at=there).fetch(tuple(pins.values()), Asked(), moved=moved.append)
    assert sum(moved) == sum(pin.size for pin in pins.values())
    for pin in pins.values():
        assert there.input_path(pin.digest).read_bytes() == index.files[pin.file]
    pages = [path for path in index.asked if path.startswith("/simple")]
    assert sorted(pages) == ["/simple/app/", "/simple/dep/"]


def test_a_machine_that_resolved_asks_for_no_pages(index: Index, make: Make) -> None:
    index.add("app", "1.0")
    pins = resolve(make(index), "app")
    index.asked.clear()
    make(index).fetch(tuple(pins.values()), Asked(), moved=lambda _: None)
    assert index.asked == [f"/files/{pins['app'].file}"]


def test_another_mirror_is_asked_for_its_own_addresses(index: Index, second: Index, make: Make) -> None:
    """What one mirror told is no use when the default index is another one."""
    index.add("app", "1.0")
    second.add("app", "1.0")
    pins = resolve(make(index), "app")
    index.asked.clear()
    make(second).fetch(tuple(pins.values()), Asked(), moved=lambda _: None)
    assert index.asked == []


def test_a_file_that_moved_is_found_again(index: Index, make: Make, store: Store) -> None:
    index.add("app", "1.0")
    pins = resolve(make(index), "app")
    for path in (store.home / "records" / "urls").iterdir():
        path.write_text(path.read_text().replace("/files/", "/old/"))
    make(index).fetch(tuple(pins.values()), Asked(), moved=lambda _: None)
    assert store.input_path(pins["app"].digest).exists()


def test_a_file_that_is_gone_or_changed_is_named(index: Index, make: Make, tmp_path: Path) -> None:
    file = index.add("app", "1.0")
    index.add("app", "2.0")
    pins = tuple(resolve(make(index), "app<2").values())
    index.files[file] += b"x"
    with pytest.raises(IntegrityError, match=file):
        make(index, at=Store(tmp_path / "there")).fetch(pins, Asked(), moved=lambda _: None)
    del index.files[file]
    with pytest.raises(NotFound, match=file):
        make(index, at=Store(tmp_path / "there")).fetch(pins, Asked(), moved=lambda _: None)


def test_bytes_that_are_not_the_locked_ones_are_not_kept(index: Index, make: Make, store: Store) -> None:
    file = index.add("app", "1.0")
    pins = resolve(make(index), "app")
    index.files[file] = index.files[file][::-1]
    with pytest.raises(IntegrityError):
        make(index).fetch(tuple(pins.values()), Asked(), moved=lambda _: None)
    assert not store.input_path(pins["app"].digest).exists()


def test_an_index_that_this_machine_does_not_know_is_bad_input(
    index: Index, second: Index, make: Make
) -> None:
    second.add("app", "1.0")
    pins = resolve(make(index, UV_INDEX=f"corp={second.url}"), "app")
    with pytest.raises(BadInput, match="'corp'"):
        make(index).fetch(tuple(pins.values()), Asked(), moved=lambda _: None)


# -- pages -------------------------------------------------------------------------------------------------------

PAGE = "https://index.example/simple/app/"
NAME, HEX = "app-1.0-py3-none-any.whl", "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("kind", "body", "file"),
    [
        ("text/html", f'<a href="../../f/{NAME}#sha256={HEX}">x</a>', File(NAME, f"https://index.example/f/{NAME}", HEX)),
        (
            "application/vnd.pypi.simple.v1+html",
            f'<base href="https://files.example/r/"><a data-requires-python="&gt;=3.8" href="{NAME}">x</a>',
            File(NAME, f"https://files.example/r/{NAME}", None, ">=3.8"),
        ),
        ("text/html", f"<A HREF='/f/{NAME.replace('-', '%2D')}#md5=00'>x</A>", File(NAME, f"https://index.example/f/{NAME.replace('-', '%2D')}")),
        (
            "application/vnd.pypi.simple.v1+json",
            f'{{"meta": {{"api-version": "1.4"}}, "files": [{{"filename": "{NAME}", "url": "x/{NAME}", "hashes": {{}}, "yanked": true}}]}}',
            File(NAME, f"{PAGE}x/{NAME}", yanked=True),
        ),
    ],
)  # fmt: skip
def test_a_page_lists_its_files(kind: str, body: str, file: File) -> None:
    assert read_page(Answer(PAGE, kind, body.encode())) == (file,)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", "<form action=/login><input name=password></form>"), ("text/html", "<a href=/login>log in</a>"),
        ("text/html", f"<a href='file:///etc/{NAME}'>x</a>"), ("text/html", "\udcff"), ("text/plain", "hello"), ("", ""),
        ("application/vnd.pypi.simple.v1+json", "<html>"), ("application/vnd.pypi.simple.v1+json", "[]"),
        ("application/vnd.pypi.simple.v1+json", '{"meta": {"api-version": "2.0"}, "files": []}'),
        ("application/vnd.pypi.simple.v1+json", '{"meta": {"api-version": "1.0"}, "files": [{"filename": 1}]}'),
        ("application/vnd.pypi.simple.v1+json", '{"meta": {"api-version": "1.0"}, "files": null}'),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_page_of_an_index_cannot_be_trusted(kind: str, body: str) -> None:
    with pytest.raises(Unreachable, match="no page of a package index"):
        read_page(Answer(PAGE, kind, body.encode(errors="surrogateescape")))


def test_the_tags_of_a_target_are_the_hosts_own_when_it_is_the_target() -> None:
    """The same order that `packaging.tags` gives on such a machine, as far as manylinux goes."""
    tags = [str(tag) for tag in Target("3.11.2", AMD64, (2, 36)).tags]
    assert tags[0] == "cp311-cp311-manylinux_2_36_x86_64"
    wanted = ["cp311-cp311-manylinux2014_x86_64", "cp311-abi3-manylinux_2_36_x86_64", "cp311-none-linux_x86_64",
              "cp310-abi3-manylinux_2_36_x86_64", "py311-none-manylinux_2_36_x86_64", "py3-none-any"]  # fmt: skip
    places = [tags.index(tag) for tag in wanted]
    assert places == sorted(places)


def test_only_stated_variables_of_uv_are_honoured(index: Index, make: Make) -> None:
    """A lock must not depend on what else a machine has set."""
    for version in ("1.0", "2.0"):
        index.add("app", version)
    unstated: Mapping[str, str] = {"UV_RESOLUTION": "lowest", "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}
    assert resolve(make(index, **unstated), "app")["app"].version == "2.0"


def test_uv_s_own_default_index_is_told_without_running_the_interpreter(tmp_path: Path) -> None:
    """And is the same that uv writes into its output, for which it runs it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    uv = Uv(environ, tmp_path / "cache", tmp_path)
    told = DefaultIndex().address(uv)
    assert not list(tmp_path.glob("cache/interpreter-*"))
    assert uv.default_index() == told
    assert list(tmp_path.glob("cache/interpreter-*"))


def test_where_its_help_does_not_tell_the_default_index_uv_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    uv = Uv(environ, tmp_path / "cache", tmp_path)
    monkeypatch.setattr(defaultindex, "_IN_HELP", re.compile("(?!)"))
    assert DefaultIndex().address(uv) == uv.default_index()


def test_a_uv_that_is_not_there_is_told_by_whoever_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking it up early is no error yet."""

    def nowhere() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr(defaultindex, "uv_program", nowhere)
    monkeypatch.setattr(resolver, "uv_program", nowhere)
    index = DefaultIndex()
    index.look()
    with pytest.raises(FileNotFoundError, match="uv"):
        index.address(Uv({}, tmp_path / "cache", tmp_path))


def test_a_default_index_that_is_named_is_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(DefaultIndex, "look", lambda _: looked.append("looked"))
    for named in ({"UV_DEFAULT_INDEX": "https://index.example/simple"}, {}):
        PyPI(Store(tmp_path), Http(), environ=named).resolve(Asked(), python="3.11.2", platform=AMD64)
    assert looked == ["looked"]
