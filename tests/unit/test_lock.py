"""Locking, end to end on a tiny archive and index of our own: what is kept, what moves, and when it is stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.case import Case

from taskimage.model.lock import Lock
from taskimage.verbs.lock import lock_path, read_lock


def locked(case: Case) -> Lock:
    """What the lock beside the spec says."""
    found = read_lock(lock_path(case.spec_path))
    assert found is not None
    return found


def wheels(case: Case) -> dict[str, str]:
    """The versions of the locked wheels."""
    return {pin.name: pin.version for pin in locked(case).platforms[0].wheels}


@pytest.fixture
def two(case: Case) -> Case:
    """A lock of two packages, each of which has a newer version since."""
    for name in ("a", "b"):
        case.index.add(name, "1.0")
    case.spec(packages=["a", "b"])
    case.lock()
    for name in ("a", "b"):
        case.index.add(name, "2.0")
    return case


def test_the_lock_stands_beside_the_spec_and_its_path_is_the_result(case: Case) -> None:
    code, out, _ = case.run("lock", str(case.spec_path))
    assert (code, Path(out.strip())) == (0, case.spec_path.with_name("image.lock.toml"))


def test_a_fresh_lock_stays_and_nothing_is_asked(two: Case) -> None:
    before = lock_path(two.spec_path).read_bytes()
    two.mirror.asked.clear()
    two.index.asked.clear()
    two.lock()
    assert lock_path(two.spec_path).read_bytes() == before
    assert (two.mirror.asked, two.index.asked) == ([], [])


def test_the_same_wants_give_the_same_bytes_on_another_machine(case: Case) -> None:
    case.lock()
    before = lock_path(case.spec_path).read_bytes()
    lock_path(case.spec_path).unlink()
    case.use_another_store()
    case.lock()
    assert lock_path(case.spec_path).read_bytes() == before


def test_versions_stay_while_the_spec_allows_them(two: Case) -> None:
    two.index.add("c", "1.0")
    two.spec(packages=["a", "b>=2", "c"])
    two.lock()
    assert wheels(two) == {"a": "1.0", "b": "2.0", "c": "1.0"}


def test_upgrade_takes_the_newest_of_everything(two: Case) -> None:
    code, _, err = two.run("lock", "--upgrade", str(two.spec_path))
    assert (code, wheels(two)) == (0, {"a": "2.0", "b": "2.0"})
    assert "~ linux/amd64 wheel a 1.0 -> 2.0" in err


def test_one_package_is_upgraded_by_name(two: Case) -> None:
    assert two.run("lock", "-P", "b", str(two.spec_path))[0] == 0
    assert wheels(two) == {"a": "1.0", "b": "2.0"}


def test_a_name_that_is_nowhere_in_the_lock_is_told(two: Case) -> None:
    code, _, err = two.run("lock", "-P", "B", "-P", "bee", "-P", "libc6", str(two.spec_path))
    assert (code, wheels(two)) == (0, {"a": "1.0", "b": "2.0"})
    assert "has no package 'bee' to upgrade" in err
    assert err.count("to upgrade") == 1


def test_an_older_lock_is_compared_with(two: Case, tmp_path: Path) -> None:
    old = tmp_path / "old.lock.toml"
    old.write_bytes(lock_path(two.spec_path).read_bytes())
    two.run("lock", "--upgrade", str(two.spec_path))
    code, _, err = two.run("lock", "--diff", str(old), str(two.spec_path))
    assert code == 0
    assert "~ linux/amd64 wheel b 1.0 -> 2.0" in err


def test_check_says_what_is_stale_and_writes_nothing(two: Case) -> None:
    assert two.run("lock", "--check", str(two.spec_path))[0] == 0
    before = lock_path(two.spec_path).read_bytes()
    two.spec(packages=["a", "b", "c"])
    code, out, err = two.run("lock", "--check", str(two.spec_path))
    assert (code, out) == (1, "")
    assert "packages: 'c' is wanted and not locked" in err
    assert f"run `taskimage lock {two.spec_path}`" in err
    assert lock_path(two.spec_path).read_bytes() == before


def test_what_the_spec_leaves_to_the_host_the_lock_decides(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskimage.verbs.lock.host_python", lambda: "3.11")
    case.spec(python_version=None, platform=None)
    case.lock()
    monkeypatch.setattr("taskimage.verbs.lock.host_python", lambda: "3.14")
    assert case.run("lock", "--check", str(case.spec_path))[0] == 0
    case.run("lock", "--upgrade", str(case.spec_path))
    assert locked(case).wants.python == "3.11"


def test_check_without_a_lock_differs(case: Case) -> None:
    code, out, err = case.run("lock", "--check", str(case.spec_path))
    assert (code, out) == (1, "")
    assert "there is no lock" in err


def test_an_edited_include_of_the_requirements_makes_the_lock_stale(two: Case) -> None:
    folder = two.spec_path.parent
    (folder / "requirements.txt").write_text("-r more.txt\n")
    (folder / "more.txt").write_text("a\n")
    two.spec(packages=[], requirements="requirements.txt")
    two.lock()
    assert wheels(two) == {"a": "1.0"}
    (folder / "more.txt").write_text("a\nb\n")
    assert two.run("lock", "--check", str(two.spec_path))[0] == 1
    two.lock()
    assert wheels(two).keys() == {"a", "b"}


def test_flytekit_is_added_where_nothing_names_it(case: Case) -> None:
    case.index.add("flytekit", "1.16.31")
    case.spec(packages=[], builder_options={"taskimage": {"bytecode": False}})
    case.lock()
    assert wheels(case) == {"flytekit": "1.16.31"}


@pytest.mark.parametrize("named", ["flytekit", "flytekit==1.0", "Flytekit [x] >= 1"])
def test_flytekit_is_the_one_that_the_spec_names(case: Case, named: str) -> None:
    case.index.add("flytekit", "1.0")
    case.spec(packages=[named], builder_options={"taskimage": {"bytecode": False}})
    case.lock()
    assert locked(case).wants.packages == (named,)


def test_no_address_of_an_index_is_in_the_lock(case: Case) -> None:
    """Some indexes carry a token in their path."""
    case.spec(pip_index=case.index.url, pip_extra_index_url=[f"{case.index.url}?x"])
    case.lock()
    assert "127.0.0.1" not in lock_path(case.spec_path).read_text()
    case.spec(pip_index=f"{case.index.url}/other")
    assert case.run("lock", "--check", str(case.spec_path))[0] == 1


# -- Debian packages -----------------------------------------------------------------------------------


def debs(case: Case) -> dict[str, str]:
    """The versions of the locked packages that the spec names."""
    return {pin.package: pin.version for pin in locked(case).platforms[0].apt}


@pytest.fixture
def moved_on(case: Case) -> Case:
    """A lock of ``tool``, of which the archive has a newer version alone since, beside ``other``."""
    case.lock()
    case.publish_versions({"tool": "2.0-1", "other": "1.0-1"})
    return case


def test_a_debian_package_stays_while_the_mirror_has_its_file(moved_on: Case) -> None:
    """Its index no longer lists it, and what it depends on is written in the package."""
    moved_on.spec(apt_packages=["tool", "other"])
    moved_on.lock()
    assert debs(moved_on) == {"tool": "1.0-1", "other": "1.0-1"}


def test_a_debian_package_stays_while_the_store_has_it(moved_on: Case) -> None:
    moved_on.build()
    (moved_on.mirror.root / "pool/main/tool_1.0-1.deb").unlink()
    moved_on.spec(apt_packages=["tool", "other"])
    moved_on.lock()
    assert debs(moved_on) == {"tool": "1.0-1", "other": "1.0-1"}


def test_a_debian_package_that_nobody_has_any_more_is_renewed(moved_on: Case) -> None:
    (moved_on.mirror.root / "pool/main/tool_1.0-1.deb").unlink()
    moved_on.spec(apt_packages=["tool", "other"])
    moved_on.lock()
    assert debs(moved_on) == {"tool": "2.0-1", "other": "1.0-1"}


@pytest.mark.parametrize("words", [["-U"], ["-P", "tool"]])
def test_a_debian_package_is_upgraded_on_request(moved_on: Case, words: list[str]) -> None:
    assert moved_on.run("lock", *words, str(moved_on.spec_path))[0] == 0
    assert debs(moved_on) == {"tool": "2.0-1"}


def test_another_debian_package_is_upgraded_alone(moved_on: Case) -> None:
    assert moved_on.run("lock", "-P", "other", str(moved_on.spec_path))[0] == 0
    assert debs(moved_on) == {"tool": "1.0-1"}


def test_what_is_built_from_one_source_is_upgraded_together(case: Case) -> None:
    case.publish_versions(
        {"tool": "1.0-1", "more": "1.0-1"}, tool={"Source": "tools"}, more={"Source": "tools"}
    )
    case.spec(apt_packages=["tool", "more"])
    case.lock()
    case.publish_versions(
        {"tool": "2.0-1", "more": "2.0-1"}, tool={"Source": "tools"}, more={"Source": "tools"}
    )
    assert case.run("lock", "-P", "tool", str(case.spec_path))[0] == 0
    assert debs(case) == {"tool": "2.0-1", "more": "2.0-1"}


def test_locked_packages_that_exclude_what_is_wanted_are_renewed_and_that_is_told(moved_on: Case) -> None:
    moved_on.publish_versions({"tool": "2.0-1", "other": "1.0-1"}, other={"Depends": "tool (>= 2)"})
    moved_on.spec(apt_packages=["tool", "other"])
    code, _, err = moved_on.run("lock", str(moved_on.spec_path))
    assert (code, debs(moved_on)) == (0, {"tool": "2.0-1", "other": "1.0-1"})
    assert "the newest Debian packages are taken" in err


# -- several specs -------------------------------------------------------------------------------------


def test_several_specs_read_an_index_once(case: Case) -> None:
    other = case.spec_path.with_name("other.yaml")
    other.write_text(case.spec_path.read_text())
    code, out, err = case.run("lock", str(case.spec_path), str(other))
    assert (code, len(out.splitlines())) == (0, 2), err
    asked = [path for path in case.mirror.asked if "dists" in path]
    assert len(asked) == len(set(asked))


@pytest.fixture
def five(case: Case) -> list[Path]:
    """Five specs that share a chain of packages; two of them want the same, and each other one something of its own."""
    for number in range(6):
        case.index.add(f"chain{number}", "1.0", needs=[f"chain{number + 1}"] if number < 5 else [])
    paths = []
    for number, own in enumerate(("", "", "own2", "own3", "own4")):
        if own:
            case.index.add(own, "1.0")
        case.spec(name=f"n{number}", packages=["chain0", *filter(None, [own])])
        paths.append(case.spec_path.with_name(f"s{number}.yaml"))
        case.spec_path.rename(paths[-1])
    return paths


def test_what_several_specs_share_is_asked_for_once(case: Case, five: list[Path]) -> None:
    """Of an index that lets nothing be cached, too: pages, metadata, sizes."""
    code, _, err = case.run("lock", *map(str, five))
    assert code == 0, err
    together = len(case.index.asked)
    case.index.asked.clear()
    case.use_another_store()
    code, _, err = case.run("lock", "-U", str(five[0]))
    assert code == 0, err
    alone = len(case.index.asked)
    # A page, metadata, and the wheel's size or bound of each of three more packages.
    assert together <= alone + 3 * 4


def test_what_is_wanted_twice_is_resolved_once(
    case: Case, five: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from taskimage.adapters.pypi import PyPI

    calls: list[int] = []
    resolve = PyPI.resolve

    def counted(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        return resolve(*arguments, **more)

    monkeypatch.setattr(PyPI, "resolve", counted)
    assert case.run("lock", *map(str, five))[0] == 0
    assert len(calls) == 4
    first, second = (lock_path(path).read_text() for path in five[:2])
    assert first == second


def test_specs_in_one_call_see_an_index_as_it_is_at_one_moment(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is released while they are locked is for none of them, or for all."""
    other = case.spec_path.with_name("other.yaml")
    case.index.add("more", "1.0", needs=["demo"])
    other.write_text(case.spec_path.read_text().replace('"demo"\n ]', '"more"\n ]'))
    answer = case.index.answer

    def released(path: str, login: str) -> tuple[int, str, bytes]:
        if path.startswith("/simple/more"):
            case.index.add("demo", "9.0")
        return answer(path, login)

    monkeypatch.setattr(case.index, "answer", released)
    assert case.run("lock", str(case.spec_path), str(other))[0] == 0
    for path in (case.spec_path, other):
        assert "demo-1.0-" in lock_path(path).read_text()


def test_several_specs_have_the_password_of_their_index(case: Case) -> None:
    url = case.index.with_login()
    paths = []
    for number in range(2):
        case.index.add(f"p{number}", "1.0")
        case.spec(packages=["demo", f"p{number}"], pip_extra_index_url=[url])
        paths.append(str(case.spec_path.rename(case.spec_path.with_name(f"s{number}.yaml"))))
    code, _, err = case.run("lock", *paths, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple")
    assert code == 0, err


def test_a_lock_is_the_same_alone_and_among_others(case: Case) -> None:
    case.index.add("demo", "0.5")
    old = case.spec_path.with_name("old.yaml")
    old.write_text(case.spec_path.read_text().replace('"demo"\n ]', '"demo<1"\n ]'))
    case.lock()
    alone = lock_path(case.spec_path).read_bytes()
    lock_path(case.spec_path).unlink()
    assert case.run("lock", str(old), str(case.spec_path))[0] == 0
    assert lock_path(case.spec_path).read_bytes() == alone


def test_the_failure_of_one_spec_leaves_the_others_locked(case: Case) -> None:
    bad = case.spec_path.with_name("bad.yaml")
    bad.write_text(case.spec_path.read_text().replace('"demo"\n ]', '"no-such"\n ]'))
    code, out, err = case.run("lock", str(bad), str(case.spec_path))
    assert (code, out.strip()) == (3, str(lock_path(case.spec_path))), err


# -- licences ------------------------------------------------------------------------------------------


@pytest.fixture
def relicensed(case: Case, tmp_path: Path) -> Path:
    """A lock of a package that has another licence since, and is locked anew."""
    case.index.add("lib", "1.0", licence="MIT")
    case.spec(packages=["lib"])
    case.lock()
    old = tmp_path / "old.lock.toml"
    old.write_bytes(lock_path(case.spec_path).read_bytes())
    case.index.add("lib", "2.0", licence="BUSL-1.1")
    assert case.run("lock", "-U", str(case.spec_path))[0] == 0
    return old


def test_a_diff_tells_licences_by_the_metadata_that_the_index_has(case: Case, relicensed: Path) -> None:
    _, _, err = case.run("lock", "--diff", str(relicensed), str(case.spec_path))
    assert "~ linux/amd64 wheel lib 1.0 -> 2.0 (" in err
    assert "MIT -> BUSL-1.1)" in err


def test_a_diff_believes_no_metadata_of_another_digest(
    case: Case, relicensed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case.index, "metadata_hash", lambda _: {"sha256": "00" * 32})
    code, _, err = case.run("lock", "--diff", str(relicensed), str(case.spec_path))
    assert (code, "MIT" in err) == (0, False)


def test_a_diff_tells_licences_of_wheels_that_the_store_has(case: Case, relicensed: Path) -> None:
    case.build()
    case.close()
    _, _, err = case.run("lock", "--diff", str(relicensed), str(case.spec_path))
    assert "BUSL-1.1)" in err
