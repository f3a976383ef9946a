"""Source distributions as archives, and wheels as they are kept once they were built."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Container, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from tests.archives import make_wheel
from tests.sdists import make_sdist

from taskimage.adapters.backend import Backend
from taskimage.adapters.sandbox import Ended, Job
from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform.builtwheel import normalised
from taskimage.transform.sdist import BuildSystem, read_build_system
from taskimage.transform.zipmembers import read_members

SETUPTOOLS = BuildSystem(("setuptools>=40.8.0",), "setuptools.build_meta:__legacy__")


@pytest.mark.parametrize(
    ("project", "system"),
    [
        (None, SETUPTOOLS),
        ("[project]\nname = 'x'\n", SETUPTOOLS),
        ("[build-system]\nrequires = ['setuptools', 'wheel']\n", BuildSystem(("setuptools", "wheel"))),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'a.b:c'\nbackend-path = ['.']\n",
            BuildSystem((), "a.b:c", (".",)),
        ),
    ],
)
def test_the_build_system_is_read_and_is_setuptools_where_none_is_named(
    project: str | None, system: BuildSystem
) -> None:
    files = {"tests/pyproject.toml": b"[build-system]\nrequires = ['not this']\n"}
    file, data = make_sdist("app", "1.0", files | ({"pyproject.toml": project.encode()} if project else {}))
    assert read_build_system(io.BytesIO(data), where=file) == system
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app-1.0/pyproject.toml", project or "")
    assert read_build_system(io.BytesIO(out.getvalue()), where="app-1.0.zip") == system


def absurd_header() -> bytes:
    info = tarfile.TarInfo("app-1.0/a")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    return info.tobuf()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        make_sdist("app", "1.0", {"pyproject.toml": b"[build-system"})[1],
        make_sdist("app", "1.0", {"pyproject.toml": b"[build-system]\nrequires = [1]\n"})[1],
        make_sdist("app", "1.0", {"pyproject.toml": b"build-system = 1\n"})[1],
        make_sdist("app", "1.0", {"pyproject.toml": b"\xff"})[1],
        gzip.compress(absurd_header()),
    ],
)
def test_an_sdist_that_cannot_be_read_is_told_by_name(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"app-1\.0\.tar\.gz: not an sdist that can be read"):
        read_build_system(io.BytesIO(data), where="app-1.0.tar.gz")


def kept(
    folder: Path, members: Mapping[str, bytes], *, year: int, method: int, programs: Container[str] = ()
) -> Path:
    """A wheel of ``members``, packed in this way, as it is kept."""
    path = folder / f"{year}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            info.external_attr = (0o100755 if name in programs else 0o100600) << 16
            archive.writestr(info, data, method)
    path.write_bytes(normalised(lambda: path.open("rb"), where=path.name))
    return path


def test_the_same_files_give_the_same_wheel_however_they_were_packed(tmp_path: Path) -> None:
    record = "app-1.0.dist-info/RECORD"
    one = {"b": b"two", "a": b"one", record: b"b,,\na,,\nx,,\n"}
    other = {record: b"x,,\nb,,\na,,\n", "a": b"one", "b": b"two"}
    stored = kept(tmp_path, one, year=1999, method=zipfile.ZIP_STORED)
    deflated = kept(tmp_path, other, year=2024, method=zipfile.ZIP_DEFLATED)
    assert stored.read_bytes() == deflated.read_bytes()


def test_programs_of_a_wheel_stay_executable(tmp_path: Path) -> None:
    files = {"run": b"#!", "text": b""}
    path = kept(tmp_path, files, year=2000, method=zipfile.ZIP_DEFLATED, programs={"run"})
    members = read_members(lambda: path.open("rb"), where="w")
    assert {member.path: member.executable for member in members} == {"run": True, "text": False}


# -- what a build leaves behind ----------------------------------------------------------------------------------


class Played:
    """A sandbox in which something else than a build happens."""

    name: ClassVar[str] = "played"
    warning: ClassVar[str] = ""
    overlays = False

    def __init__(self, out: Path | None = None, *, code: int = 0, said: bytes = b"") -> None:
        self._link = out
        self._ended = Ended(code)
        self._said = said
        self.files: dict[str, bytes] = {}

    def problem(self) -> str | None:
        return None

    def run(self, job: Job) -> Ended:
        out = job.volumes[0].source / "out"
        if self._link:
            out.rmdir()
            out.symlink_to(self._link)
        for name, data in self.files.items():
            (out / name).write_bytes(data)
        if job.output is not None:
            open(job.output, "wb", closefd=False).write(self._said)  # noqa: SIM115
        return self._ended


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "scratch").mkdir()
    file, data = make_sdist("app", "1.0", {})
    (tmp_path / file).write_bytes(data)
    backend = Backend(system=SETUPTOOLS, sdist=file, files={file: tmp_path / file}, given=[])
    return backend.job(tmp_path / "scratch", root=tmp_path, python="/usr/bin/python3.11", base=None)


BACKEND = Backend(system=SETUPTOOLS, sdist="app-1.0.tar.gz", files={}, given=[])


def test_a_build_has_no_network_and_no_variable_of_this_machine(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert not job.network
    assert "SECRET" not in job.env
    assert [volume.target for volume in job.volumes] == ["/tmp", "/usr/bin/uv"]
    assert job.writable == ()


def test_one_wheel_is_taken(job: Job) -> None:
    sandbox = Played()
    sandbox.files["app-1.0-py3-none-any.whl"] = make_wheel("app", "1.0")[1]
    found = BACKEND.run(sandbox, job)
    assert isinstance(found, Path)
    assert found.name == "app-1.0-py3-none-any.whl"


def test_links_that_a_build_leaves_behind_are_not_followed(job: Job, tmp_path: Path) -> None:
    """They would lead into this machine's own files."""
    private = tmp_path / "private"
    private.mkdir()
    (private / "app-1.0-py3-none-any.whl").write_bytes(b"a secret of this machine")
    (private / "requires.json").write_text('["a secret of this machine"]')
    with pytest.raises(CannotBuild, match="gives 0 wheels"):
        BACKEND.run(Played(private), job)


def test_what_a_backend_wants_besides_is_told(job: Job) -> None:
    sandbox = Played()
    sandbox.files["requires.json"] = b'["wheel"]'
    assert BACKEND.run(sandbox, job) == ["wheel"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (b"error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", "[gcc, python3-dev]"),
        (b"make: g++: command not found", "[gcc, python3-dev]"),
        (b"a.c:1:10: fatal error: zlib.h: No such file or directory", "-dev"),
        (b"urllib.error.URLError: <urlopen error>", "without network"),
        (b"no idea", "choose a version or another package"),
    ],
)
def test_a_build_that_fails_shows_what_it_said_and_what_to_do(job: Job, said: bytes, hint: str) -> None:
    with pytest.raises(CannotBuild, match="ended with exit code 3") as caught:
        BACKEND.run(Played(code=3, said=b"\x1b[2J\n" + said + b"\n"), job)
    assert said.decode() in caught.value.message
    assert "\x1b" not in caught.value.message
    assert hint in str(caught.value.hint)


def test_a_build_that_is_interrupted_ends_all(job: Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        BACKEND.run(Played(code=130), job)
