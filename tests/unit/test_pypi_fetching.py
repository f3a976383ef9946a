"""Wheels that their index lost: taken from another one by digest, or told with where was looked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.archives import make_wheel
from tests.case import Case
from tests.sources import CANARY, Index


@pytest.fixture
def other() -> Iterator[Index]:
    made = Index()
    yield made
    made.close()


@pytest.fixture
def lost(case: Case, other: Index) -> Case:
    """A lock of a wheel from the index that the spec names, which has lost it since; asked from another machine."""
    file = case.index.add("lib", "1.0", files={"lib.py": b"x = 1\n"})
    other.files[file] = case.index.files[file]
    case.spec(packages=["lib"], pip_extra_index_url=[case.index.url])
    case.environ["UV_DEFAULT_INDEX"] = other.url
    case.lock()
    assert 'index = "pip_extra_index_url-1"' in case.lock_path.read_text()
    del case.index.files[file]
    case.use_another_store()
    other.asked.clear()
    return case


def test_it_is_taken_from_another_index_by_its_digest_and_both_are_named(lost: Case, other: Index) -> None:
    before = lost.lock_path.read_bytes()
    code, _, err = lost.run("build", "--locked", str(lost.spec_path))
    assert code == 0, err
    ours, theirs = (index.url.split("/")[2] for index in (lost.index, other))
    assert (
        f"the index 'pip_extra_index_url-1' at {ours} no longer has 'lib-1.0-py3-none-any.whl':"
        f" taken from the index 'pypi' at {theirs}, by its digest" in err
    )
    assert lost.lock_path.read_bytes() == before


def test_a_file_that_is_listed_and_not_served_is_lost_too(
    lost: Case, other: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "lib-1.0-py3-none-any.whl"
    lost.index.files[file] = other.files[file]
    answer = lost.index.answer
    monkeypatch.setattr(
        lost.index,
        "answer",
        lambda path, login: (404, "text/plain", b"") if path.endswith(".whl") else answer(path, login),
    )
    assert lost.build()
    assert f"/files/{file}" in other.asked


def test_a_machine_that_saw_where_it_was_looks_elsewhere_as_well(case: Case, other: Index) -> None:
    """What the store remembers of addresses is out of date then."""
    file = case.index.add("lib", "1.0", files={"lib.py": b"x = 1\n"})
    other.files[file] = case.index.files[file]
    case.spec(packages=["lib"], pip_extra_index_url=[other.url])
    del other.files[file]
    case.lock()
    other.files[file] = case.index.files.pop(file)
    assert case.build()


def test_the_same_name_with_other_bytes_is_no_match_and_no_error_of_its_own(lost: Case, other: Index) -> None:
    """Whoever may publish that name on another index gets nothing into the image."""
    file, body = make_wheel("lib", "1.0", files={"lib.py": b"import evil\n"})
    other.files[file] = body
    err = lost.fails(3, "build", "--locked", str(lost.spec_path))
    assert f"cannot find {file!r} on any index that was asked" in err
    assert "(not there)" in err
    assert "(another file of that name)" in err
    for way in ("--upgrade-package lib", "`taskimage vendor`"):
        assert way in err


def test_an_index_that_gives_no_answer_may_have_it(lost: Case, other: Index) -> None:
    """Which is worth another try, and so another exit code."""
    other.status = 503
    assert "(no answer of use)" in lost.fails(5, "build", "--locked", str(lost.spec_path))


def test_an_index_that_lets_nobody_in_does_not_have_it(lost: Case, other: Index) -> None:
    other.password = CANARY
    assert "(not allowed)" in lost.fails(3, "build", "--locked", str(lost.spec_path))


def test_the_password_of_the_other_index_is_told_to_it_alone(lost: Case, other: Index) -> None:
    lost.environ["UV_DEFAULT_INDEX"] = other.with_login()
    code, _, err = lost.run("build", "--locked", str(lost.spec_path))
    assert (code, "s3cr3t" in err) == (0, False), err


def test_no_index_hears_a_name_that_another_one_still_has(lost: Case, other: Index) -> None:
    """The default index, which may be a public one, is asked last."""
    third = Index()
    file = "lib-1.0-py3-none-any.whl"
    third.files[file] = other.files[file]
    lost.environ["UV_INDEX"] = f"corp={third.url}"
    assert lost.build()
    third.close()
    assert other.asked == []


def test_only_indexes_of_the_spec_are_asked(lost: Case, other: Index) -> None:
    """With `pip_index` in place of the default one, nobody else hears the name."""
    lost.spec(packages=["lib"], pip_index=lost.index.url)
    text = lost.lock_path.read_text().replace('index = "pip_extra_index_url-1"', 'index = "pip_index"')
    lost.lock_path.write_text(text)
    assert lost.run("build", str(lost.spec_path))[0] != 0
    assert other.asked == []
