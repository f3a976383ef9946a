"""What tests of several modules look at, made once for all of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.archives import make_deb, member, tar_of
from tests.case import Case
from tests.command import SPEC, Command, Quickstart
from tests.flytekits import VERSIONS, Flytekit, Project, install, project_of


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether ``path`` is to be made here: the process that wants it first does, the others wait."""
    done = path.with_name(f"{path.name}.done")
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def _quickstart_built(made_once: Path) -> Quickstart:
    """The quickstart, built from its lock and an empty store."""
    command = Command(made_once / "quickstart" / "home")
    with _alone(command.home.parent) as makes:
        words = () if makes else ("--offline",)
        return Quickstart(command, command.succeed("build", "--locked", *words, str(SPEC)).strip())


@pytest.fixture(scope="module")
def quickstart(_quickstart_built: Quickstart, tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    """The quickstart in a store that nobody else changes; the files are shared."""
    home = tmp_path_factory.mktemp("quickstart") / "home"
    shutil.copytree(_quickstart_built.command.home, home, symlinks=True, copy_function=os.link)
    return Quickstart(Command(home), _quickstart_built.reference)


@pytest.fixture(scope="session")
def debian_base(made_once: Path) -> Path:
    """The files of a small bookworm with Python, numpy and requests, as a tar archive by Debian's own tool."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("a base image is made by mmdebstrap, as root")
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    made = made_once / "debian-base.tar"
    with _alone(made) as makes:
        if makes:
            subprocess.run(
                [
                    "mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=path-exclude=/usr/share/doc/*",
                    "--include=python3,python3-numpy,python3-requests,ca-certificates", "bookworm", str(made),
                    *(str(path) for path in lists if path.exists() and "bookworm" in path.read_text()),
                ],
                check=True, capture_output=True,
            )  # fmt: skip
    return made


@pytest.fixture(scope="session", params=VERSIONS)
def flytekit_installed(request: pytest.FixtureRequest, made_once: Path) -> Flytekit:
    """An environment with a real flytekit, the oldest and the newest that are served, and this checkout."""
    made = Flytekit(request.param, made_once / f"flytekit-{request.param}")
    with _alone(made.folder) as makes:
        return install(made.version, made.folder) if makes else made


@pytest.fixture
def project(flytekit_installed: Flytekit, case: Case) -> Project:
    """A project with one of them, and with the sources of packages on loopback."""
    return project_of(case, flytekit_installed)


@pytest.fixture
def standing(project: Project, case: Case) -> Project:
    """A project whose archive has a libc and a Python that an image can stand on."""
    libc = {"lib64/libc.so.6": b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0"}
    python = tar_of([member("usr/bin/python3.11", b"\x7fELF\x003.11.2\0", 0o755)])
    case.publish(
        {
            "libc6": make_deb({**libc, "lib64/ld-linux-x86-64.so.2": b""}, Package="libc6", Version="2.36-9"),
            "python3.11": make_deb(data=python, Package="python3.11", Version="3.11.2-6"),
        }
    )
    case.index.add("other", "1.0", files={"other.py": b"y = 1\n"})
    return project


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration a check that was skipped has failed: every program is there, or should be."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in continuous integration: {report.longrepr}"
    return report
