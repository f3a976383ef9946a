"""A folder that was vendored, where there is no network at all: a network namespace with not even loopback up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.case import Case

pytestmark = pytest.mark.integration


def test_a_vendored_folder_is_all_that_a_build_needs(case: Case, tmp_path: Path) -> None:
    case.lock()
    built = case.build()
    folder = tmp_path / "vendor"
    assert case.command.succeed("vendor", str(case.spec_path), "-o", str(folder)).strip() == str(folder)
    # Another machine: the project and the folder are all of it.
    there = tmp_path / "there"
    there.mkdir()
    for path in (case.spec_path, case.lock_path):
        shutil.copy(path, there)
    done = case.command(
        "build", "--locked", "--offline", str(there / case.spec_path.name),
        env={"TASKIMAGE_HOME": str(folder), "TASKIMAGE_DEBIAN_MIRROR": "", "UV_DEFAULT_INDEX": ""},
        prefix=("unshare", "--user", "--map-root-user", "--net"),
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, built), done.stderr
