"""Packages without a wheel: which sdist is taken, and what comes of it, with a builder that needs no sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.archives import make_wheel
from tests.sdists import make_sdist
from tests.sources import Index

from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI, Resolution
from taskimage.adapters.pypi.locks.poetrylock import PoetryLock
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.specfiles.requirementsfile import read_requirements
from taskimage.adapters.store import Store
from taskimage.model.base import Distribution
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.model.lock import SdistPin, WheelPin
from taskimage.model.oci import Platform

Resolve = Callable[..., Resolution]


class Maker:
    """Builds wheels that say what ``needs`` has for their version, and tells what it was asked to build."""

    def __init__(self, store: Store, needs: Mapping[str, Sequence[str]]) -> None:
        self.names = frozenset({"old"})
        self.asked: list[str] = []
        self.dry = False
        self._store = store
        self._needs = needs

    def built(self, sdist: WheelPin) -> WheelPin | None:
        assert (
            hashlib.sha256(self._store.input_path(sdist.digest).read_bytes()).hexdigest() == sdist.digest.hex
        )
        self.asked.append(f"{sdist.name} {sdist.version}")
        if self.dry:
            return None
        file, data = make_wheel(sdist.name, sdist.version, needs=self._needs.get(sdist.version, ()))
        with self._store.pending_input(Digest.of(data), len(data), where=file) as pending:
            pending.write(data)
        of = SdistPin(file=sdist.file, size=sdist.size, digest=sdist.digest, tools=("setuptools==80.0",))
        return WheelPin(
            name=sdist.name, version=sdist.version, index=sdist.index,
            file=file, size=len(data), digest=Digest.of(data), sdist=of,
        )  # fmt: skip


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    yield made
    made.close()


def publish(index: Index, name: str, *versions: str) -> None:
    for version in versions:
        file, data = make_sdist(name, version, {"setup.py": b"raise SystemExit('it has run')\n"})
        index.files[file] = data


@pytest.fixture
def builder(store: Store) -> Maker:
    return Maker(store, {"1.0": ["dep"], "2.0": ["dep<2"], "3.0": ["dep<1"]})


@pytest.fixture
def resolve(store: Store, index: Index, builder: Maker, tmp_path: Path) -> Resolve:
    environ = {"HOME": str(tmp_path), "UV_HTTP_RETRIES": "0", "UV_DEFAULT_INDEX": index.url}
    pypi = PyPI(store, Http(environ, pauses=()), environ=environ)

    def resolve(*packages: str, allowed: bool = True, requirements: Any = (), **more: Any) -> Resolution:
        target: dict[str, Any] = {"python": "3.11.2", "platform": Platform("linux", "amd64"), **more}
        asked = Asked(packages=packages, requirements=requirements)
        return pypi.resolve(asked, builder=builder if allowed else None, **target)

    return resolve


def versions(found: Resolution) -> dict[str, str]:
    return {pin.name: pin.version for pin in found.wheels}


def test_without_leave_a_package_that_has_no_wheel_is_named_with_the_choices(
    index: Index, resolve: Resolve
) -> None:
    index.add("app", "1.0", needs=["old"])
    publish(index, "old", "1.0")
    with pytest.raises(CannotBuild, match=r"no wheel of 'old(==1\.0)?'.*'app' depends on") as caught:
        resolve("app", allowed=False)
    assert "pip_extra_index_url" in str(caught.value.hint)
    assert "builder_options: {taskimage: {build_sdists: [old]}}" in str(caught.value.hint)


def test_what_was_built_is_pinned_with_its_sdist_and_brings_what_it_needs(
    index: Index, resolve: Resolve, store: Store
) -> None:
    publish(index, "old", "1.0")
    index.add("dep", "1.5")
    pins = {pin.name: pin for pin in resolve("old").wheels}
    assert set(pins) == {"old", "dep"}
    pin = pins["old"]
    assert (pin.version, pin.index, pin.file) == ("1.0", "pypi", "old-1.0-py3-none-any.whl")
    assert store.input_path(pin.digest).stat().st_size == pin.size
    source = index.files["old-1.0.tar.gz"]
    assert pin.sdist == SdistPin(
        file="old-1.0.tar.gz", size=len(source), digest=Digest.of(source), tools=("setuptools==80.0",)
    )
    assert pin.published.digest == Digest.of(source)
    assert pins["dep"].sdist is None


def test_a_version_whose_needs_cannot_be_met_makes_way_for_an_older_one(
    index: Index, resolve: Resolve, builder: Maker
) -> None:
    """What an sdist needs is known when it is built, and not before."""
    publish(index, "old", "1.0", "2.0", "3.0")
    index.add("dep", "1.5")
    assert versions(resolve("old", "dep")) == {"old": "2.0", "dep": "1.5"}
    assert builder.asked == ["old 3.0", "old 2.0"]


def test_of_a_version_that_has_a_wheel_nothing_is_built(
    index: Index, resolve: Resolve, builder: Maker
) -> None:
    publish(index, "old", "1.0")
    index.add("old", "1.0")
    found = resolve("old")
    assert found.wheels[0].sdist is None
    assert builder.asked == []


def test_what_a_base_has_is_not_built(index: Index, resolve: Resolve, builder: Maker) -> None:
    publish(index, "old", "1.0")
    there = Distribution(name="old", version="1.0", location="/usr/lib/python3/dist-packages")
    found = resolve("old", installed=[there])
    assert (found.wheels, found.installed) == ((), (there,))
    assert builder.asked == []


def test_a_wheel_for_another_platform_is_no_wheel(index: Index, resolve: Resolve) -> None:
    publish(index, "old", "1.0")
    index.add("old", "1.0", tag="cp311-cp311-win_amd64")
    index.add("dep", "1.0")
    assert [pin.sdist is not None for pin in resolve("old").wheels if pin.name == "old"] == [True]


def test_what_is_kept_stays_and_is_asked_for_again(index: Index, resolve: Resolve, builder: Maker) -> None:
    publish(index, "old", "1.0")
    index.add("dep", "1.0")
    keep = resolve("old").wheels
    publish(index, "old", "2.0")
    assert versions(resolve("old", keep=keep)) == {"old": "1.0", "dep": "1.0"}
    assert versions(resolve("old", keep=keep, upgrade_packages=["old"])) == {"old": "2.0", "dep": "1.0"}


def test_a_page_with_an_sdist_of_another_package_offers_nothing(index: Index, resolve: Resolve) -> None:
    file, data = make_sdist("old", "1.0", {})
    index.files["old-fashioned-2.0.tar.gz"] = data  # on the page of "old" by how the index finds its files
    index.files[file] = data
    index.add("dep", "1.0")
    assert versions(resolve("old"))["old"] == "1.0"


def test_a_python_that_the_index_excludes_is_not_built_for(
    index: Index, resolve: Resolve, builder: Maker
) -> None:
    publish(index, "old", "1.0", "2.0")
    index.add("dep", "1.0")
    index.bounds["old-2.0.tar.gz"] = ">=3.12"
    assert versions(resolve("old"))["old"] == "1.0"
    assert builder.asked == ["old 1.0"]


def test_a_withdrawn_sdist_is_taken_only_where_its_version_is_kept(
    index: Index, resolve: Resolve, builder: Maker
) -> None:
    publish(index, "old", "1.0", "2.0")
    index.add("dep", "1.0")
    keep = resolve("old").wheels
    index.yanked = {"old-2.0.tar.gz"}
    assert versions(resolve("old"))["old"] == "1.0"
    assert versions(resolve("old", keep=keep))["old"] == "2.0"


def test_what_would_be_built_is_told_where_nothing_is(index: Index, resolve: Resolve, builder: Maker) -> None:
    publish(index, "old", "1.0")
    index.add("dep", "1.0")
    builder.dry = True
    found = resolve("old", "dep")
    assert found.unbuilt == ("old 1.0",)
    assert versions(found) == {"dep": "1.0"}


def test_hashes_of_a_requirements_file_are_those_of_the_sdist(
    index: Index, resolve: Resolve, builder: Maker, tmp_path: Path
) -> None:
    publish(index, "old", "1.0")
    index.add("dep", "1.0")
    right = hashlib.sha256(index.files["old-1.0.tar.gz"]).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"old==1.0 --hash=sha256:{right}\n")
    assert versions(resolve(requirements=read_requirements(path, name="requirements.txt")))["old"] == "1.0"
    path.write_text(f"old==1.0 --hash=sha256:{64 * '0'}\n")
    builder.asked.clear()
    with pytest.raises(IntegrityError, match=r"'old-1\.0\.tar\.gz' has none of the hashes"):
        resolve(requirements=read_requirements(path, name="requirements.txt"))
    assert builder.asked == []


def test_an_sdist_that_is_not_what_the_index_says_is_not_built(
    index: Index, resolve: Resolve, builder: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(index, "old", "1.0")
    honest = Index.answer

    def lying(self: Index, path: str, authorization: str) -> tuple[int, str, bytes]:
        status, kind, body = honest(self, path, authorization)
        return status, kind, body + b"more" if path.startswith("/files/") else body

    monkeypatch.setattr(Index, "answer", lying)
    with pytest.raises(IntegrityError):
        resolve("old")
    assert builder.asked == []


def pylock(index: Index, sha256: str) -> str:
    url = f"{index.url.removesuffix('/simple')}/files/old-1.0.tar.gz"
    return (
        'lock-version = "1.0"\ncreated-by = "a test"\n[[packages]]\nname = "old"\nversion = "1.0"\n'
        f'sdist = {{ url = "{url}", hashes = {{ sha256 = "{sha256}" }} }}\n'
    )


def uv_lock(index: Index, sha256: str) -> str:
    url = f"{index.url.removesuffix('/simple')}/files/old-1.0.tar.gz"
    return (
        'version = 1\nrequires-python = ">=3.9"\n'
        '[[package]]\nname = "project"\nversion = "0"\nsource = { virtual = "." }\ndependencies = [{ name = "old" }]\n'
        '[package.metadata]\nrequires-dist = [{ name = "old" }]\n'
        f'[[package]]\nname = "old"\nversion = "1.0"\nsource = {{ registry = "{index.url}" }}\n'
        f'sdist = {{ url = "{url}", hash = "sha256:{sha256}", size = 1 }}\n'
    )


PROJECT = '[project]\nname = "project"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = ["old"]\n'


@pytest.mark.parametrize(("name", "text"), [("pylock.toml", pylock), ("uv.lock", uv_lock)])
def test_what_a_lock_file_has_as_an_sdist_alone_is_built_of_it(  # noqa: PLR0917 - a table
    index: Index, resolve: Resolve, builder: Maker, tmp_path: Path, name: str, text: Callable[[Index, str], str]
) -> None:  # fmt: skip
    publish(index, "old", "1.0")
    source = index.files["old-1.0.tar.gz"]
    made = text(index, hashlib.sha256(source).hexdigest()).replace("size = 1 ", f"size = {len(source)} ")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / name).write_text(made)
    files = read_requirements(tmp_path / name, name=name)
    with pytest.raises(CannotBuild, match=r"no wheel of 'old==1\.0'"):
        resolve(requirements=files, allowed=False)
    (pin,) = resolve(requirements=files).wheels
    assert pin.sdist is not None
    assert pin.sdist.digest == Digest.of(source)
    assert builder.asked == ["old 1.0"]


def test_a_poetry_lock_tells_the_sdist_by_its_name() -> None:
    entry = {
        "name": "Old",
        "version": "1.0",
        "files": [
            {"file": "old-1.0-py3-none-any.whl", "hash": f"sha256:{64 * '0'}"},
            {"file": "old-1.0.tar.gz", "hash": f"sha256:{64 * '1'}"},
        ],
    }
    lock = PoetryLock({"package": [entry], "metadata": {"lock-version": "2.1"}}, {}, where="poetry.lock")
    (package,) = lock.packages()
    assert package.sdist is not None
    assert (package.sdist.filename, package.sdist.hashes) == ("old-1.0.tar.gz", {"sha256": 64 * "1"})
