"""Specs that were read before: the same spec with the same places, or read as if for the first time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.case import Case

from taskimage.adapters.store import Store
from taskimage.model.errors import InvalidSpec
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.reading import read_spec
from taskimage.model.spec.record import dumps, loads
from taskimage.verbs.knownspec import KnownSpecs

GOOD = sorted((Path(__file__).parents[1] / "corpus" / "good").glob("*.yaml"))

# What YAML reads in another way than it is meant, and what has an order.
ODD = b"""\
name: Demo
python_version: 3.10
env: {ZED: 1, ALPHA: "two"}
builder_options: {other: [1, 1.0, true, null, {z: 1, a: 2}]}
"""


def shown(spec: ImageSpec) -> str:
    """All of a spec, with the order of its mappings and the type of each value."""
    return f"{spec!r} {spec.origin!r}"


@pytest.fixture
def known(tmp_path: Path) -> KnownSpecs:
    return KnownSpecs(Store(tmp_path / "home"))


def remembered(known: KnownSpecs, data: bytes) -> ImageSpec:
    """The spec that ``data`` holds, which is known from now on."""
    spec, _ = known.read(data, path="image.yaml")
    known.keep()
    return spec


def records(home: Path) -> list[Path]:
    return sorted((home / "records" / "specs").glob("*"))


@pytest.mark.parametrize("data", [ODD, *(path.read_bytes() for path in GOOD)])
def test_a_record_is_the_spec_that_was_read_or_there_is_none(data: bytes) -> None:
    spec, _ = read_spec(data, path="image.yaml")
    if text := dumps(spec):
        again = loads(text, path="image.yaml")
        assert (again, again.origin) == (spec, spec.origin)
        assert shown(again) == shown(spec)
        assert again.id == spec.id


def test_most_specs_have_a_record() -> None:
    records = [dumps(read_spec(path.read_bytes(), path="image.yaml")[0]) for path in GOOD]
    assert len([text for text in records if text]) > len(GOOD) / 2


@pytest.mark.parametrize(
    "line",
    [
        "pip_index: https://me:hunter2@packages.corp/simple",
        "pip_extra_index_url: [https://me:hunter2@packages.corp/simple]",
        "pip_extra_args: --index-url https://me:hunter2@packages.corp/simple",
        "base_image: {name: below}",
    ],
)
def test_there_is_no_record_of_passwords_nor_of_a_spec_on_a_spec(line: str) -> None:
    spec, _ = read_spec(f"name: demo\n{line}\n".encode(), path="image.yaml")
    assert dumps(spec) is None


def test_what_no_file_holds_has_no_record() -> None:
    assert dumps(ImageSpec(name="demo")) is None


def test_a_spec_is_remembered_by_the_bytes_of_its_file_whatever_that_is_called(
    known: KnownSpecs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = remembered(known, ODD)
    monkeypatch.setattr("taskimage.model.spec.reading.read_spec", lambda *_, **__: pytest.fail("read again"))
    again, warnings = known.read(ODD, path="two.yaml")
    assert (again, warnings) == (spec, ())
    assert again.origin
    assert again.origin.place(("env", "ALPHA")) == "two.yaml:3:22"


def test_what_is_remembered_is_for_its_owner_s_eyes(known: KnownSpecs, tmp_path: Path) -> None:
    remembered(known, ODD)
    (record,) = records(tmp_path / "home")
    assert record.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "spoilt", [b"", b"[]", b'{"values": 1}', b'{"values": {"name": "-"}, "places": [], "read": {}}']
)
def test_a_spoilt_record_is_none(known: KnownSpecs, tmp_path: Path, spoilt: bytes) -> None:
    spec = remembered(known, ODD)
    (record,) = records(tmp_path / "home")
    record.write_bytes(spoilt)
    again = remembered(known, ODD)
    assert shown(again) == shown(spec)
    assert shown(loads(record.read_bytes(), path="image.yaml")) == shown(spec)


def test_a_spec_that_is_warned_of_is_read_and_warned_of_each_time(known: KnownSpecs, tmp_path: Path) -> None:
    first, second = (known.read(b"env: {A: 1.10}", path="image.yaml")[1] for _ in range(2))
    known.keep()
    assert first == second != ()
    assert records(tmp_path / "home") == []


def test_a_spec_with_problems_is_not_remembered(known: KnownSpecs, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(InvalidSpec) as caught:
            known.read(b"name: demo\nnmae: x\n", path="image.yaml")
        assert [(problem.line, problem.column) for problem in caught.value.problems] == [(2, 1)]
    known.keep()
    assert records(tmp_path / "home") == []


def test_a_store_that_cannot_be_used_does_not_keep_a_spec_from_being_read(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    assert remembered(KnownSpecs(Store(tmp_path / "home")), ODD).name == "demo"


def test_an_error_has_the_same_place_when_the_spec_is_known(case: Case) -> None:
    (case.folder / "tasks.py").write_text("1")
    case.spec(copy=["tasks.py"])
    case.build()
    assert len(records(case.home)) == 1
    (case.folder / "tasks.py").unlink()
    said = case.fails(3)
    assert f"{case.spec_path}:" in said
    case.use_another_store()
    assert case.fails(3) == said


def test_a_spec_whose_build_is_refused_is_not_remembered(case: Case) -> None:
    case.spec(copy=["missing"])
    case.fails(3)
    assert records(case.home) == []
