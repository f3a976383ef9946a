"""Build backends: what one leaves behind in its sandbox is not trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from taskimage.adapters.backend import Backend
from taskimage.adapters.sandbox import Ended, Job
from taskimage.model.errors import CannotBuild
from taskimage.transform.sdist import BuildSystem


class Leaving:
    """A sandbox in which all that happens is that ``leave`` puts something into the folder of results."""

    name: ClassVar[str] = "leaving"
    warning: ClassVar[str] = ""
    overlays = False

    def __init__(self, leave: Callable[[Path], object]) -> None:
        self._leave = leave

    def problem(self) -> str | None:
        return None

    def run(self, job: Job) -> Ended:
        self._leave(job.volumes[0].source / "out")
        return Ended(0)


def built(folder: Path, leave: Callable[[Path], object]) -> Path | list[str]:
    sdist = folder / "sdist.tar.gz"
    sdist.touch()
    backend = Backend(system=BuildSystem(), sdist=sdist.name, files={sdist.name: sdist}, given=())
    job = backend.job(folder / "scratch", root=folder, python="/python", base=None)
    return backend.run(Leaving(leave), job)


def wants(data: bytes) -> Callable[[Path], object]:
    return lambda out: (out / "requires.json").write_bytes(data)


def test_what_a_backend_wants_is_a_list_of_texts(tmp_path: Path) -> None:
    assert built(tmp_path, wants(b'["wheel", "six>=1"]')) == ["wheel", "six>=1"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"7", b'{"a": 1}', b"[1]", b"\xff", b"[" * 200_000, b'["a",' + b" " * (1 << 21) + b'"b"]'],
)
def test_anything_else_that_it_wants_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CannotBuild, match="wants something that is no list of requirements"):
        built(tmp_path, wants(data))


def test_a_link_that_it_leaves_is_not_followed(tmp_path: Path) -> None:
    """Neither as what it wants, nor as its wheel."""
    (tmp_path / "secret").write_text('["secret"]')

    def leave(out: Path) -> None:
        (out / "requires.json").symlink_to(tmp_path / "secret")
        (out / "a-1-py3-none-any.whl").symlink_to(tmp_path / "secret")

    with pytest.raises(CannotBuild, match="gives 0 wheels"):
        built(tmp_path, leave)
