"""The quickstart image, built once for all tests that look at it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.command import SPEC, Command, Quickstart


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    """The quickstart, built from its lock and an empty store."""
    command = Command(tmp_path_factory.mktemp("quickstart") / "home")
    return Quickstart(command, command.succeed("build", "--locked", str(SPEC)).strip())


@pytest.fixture(scope="session")
def debian_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small bookworm with Python, numpy and requests, as a tar archive by Debian's own tool.

    Made once, whichever of the processes that run tests wants it first.
    """
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("a base image is made by mmdebstrap, as root")
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    made = folder / "debian-base.tar"
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    with (folder / "debian-base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = folder / "part.tar"
            subprocess.run(
                [
                    "mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=path-exclude=/usr/share/doc/*",
                    "--include=python3,python3-numpy,python3-requests,ca-certificates", "bookworm", str(part),
                    *(str(path) for path in lists if path.exists() and "bookworm" in path.read_text()),
                ],
                check=True, capture_output=True,
            )  # fmt: skip
            part.rename(made)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration a check that was skipped has failed: every program is there, or should be."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in continuous integration: {report.longrepr}"
    return report
