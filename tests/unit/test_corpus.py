"""Files as people write them: the good ones are read, and of each bad one is told what its message beside it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import Holds

from taskimage.model.errors import InvalidSpec
from taskimage.model.spec.reading import read_spec

CORPUS = Path(__file__).parents[1] / "corpus"
GOOD = sorted((CORPUS / "good").glob("*.yaml"))
BAD = sorted((CORPUS / "bad").glob("*.yaml"))


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_a_good_file_is_read_and_nothing_is_said(path: Path) -> None:
    spec, warnings = read_spec(path.read_bytes(), path=path.name)
    assert spec.name
    assert warnings == ()


@pytest.mark.parametrize("path", BAD, ids=name)
def test_a_bad_file_is_told_with_everything_that_is_wrong(path: Path, holds: Holds) -> None:
    with pytest.raises(InvalidSpec) as caught:
        read_spec(path.read_bytes(), path=path.name)
    holds(path.with_suffix(".txt"), f"{caught.value}\n")


@pytest.mark.parametrize("path", BAD, ids=name)
def test_a_message_has_a_place_and_no_password(path: Path) -> None:
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert re.match(rf"{re.escape(path.name)}:[1-9][0-9]*:[1-9][0-9]*: ", text)
    assert "hunter2" not in text


def test_every_message_belongs_to_a_file() -> None:
    assert len(BAD) >= 40
    assert len(GOOD) >= 20
    assert sorted((CORPUS / "bad").glob("*.txt")) == [path.with_suffix(".txt") for path in BAD]
