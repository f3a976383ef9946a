"""Bad luck, end to end: sources that do not answer, disks that are full, Ctrl-C at any time.

The command is a process of its own here; the sources are on loopback, and what bubblewrap can stage is staged with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from tests.case import Case, check_store

from taskimage.model.digest import Digest

pytestmark = pytest.mark.integration

WRAPPED = ("bwrap", "--dev-bind", "/", "/")


@pytest.fixture(scope="session")
def _bubblewrap() -> None:
    """Skips where bubblewrap cannot be used."""
    if shutil.which("bwrap") is None or subprocess.run([*WRAPPED, "true"], check=False).returncode:
        pytest.skip("bubblewrap cannot be used here")


def fails(case: Case, code: int, *, prefix: tuple[str, ...] = (), **environ: str) -> str:
    """What standard error says of a build that fails with ``code``."""
    done = case.command("build", str(case.spec_path), prefix=prefix, env=environ)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    case.check_failure(done.stderr)
    return done.stderr


# -- sources -------------------------------------------------------------------------------------------------


def test_a_mirror_that_does_not_answer_is_worth_a_retry(case: Case) -> None:
    said = fails(case, 5, TASKIMAGE_DEBIAN_MIRROR="http://127.0.0.1:9")
    assert "cannot reach http://127.0.0.1:9/dists/bookworm" in said
    assert "127.0.0.1:9 refused the connection" in said
    assert "TASKIMAGE_DEBIAN_MIRROR" in said


@pytest.mark.usefixtures("_bubblewrap")
def test_where_no_mirror_is_known_the_setting_is_named(case: Case) -> None:
    """A host with no apt sources and no keyrings."""
    bare = (*WRAPPED, "--tmpfs", "/etc/apt", "--tmpfs", "/usr/share/keyrings")
    said = fails(case, 3, prefix=bare, TASKIMAGE_DEBIAN_MIRROR="", TASKIMAGE_DEBIAN_KEYRING="")
    assert "no mirror of Debian is known: neither a setting nor the apt sources in '/etc/apt'" in said
    assert "hint: set TASKIMAGE_DEBIAN_MIRROR to the URL of a Debian mirror" in said


# -- the disk ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_bubblewrap")
@pytest.mark.parametrize(
    ("kilobytes", "locked", "reached"),
    [
        (40, False, "Resolving"),
        (1_000, True, "Fetching"),
        (3_500, True, "Making"),
    ],
    ids=["resolving", "fetching", "making layers"],
)
def test_a_disk_that_is_full_is_told_with_the_store_and_what_to_do(
    case: Case, *, kilobytes: int, locked: bool, reached: str
) -> None:
    case.index.add("big", "1.0", files={"big.bin": os.urandom(2_500_000)})
    case.spec(packages=["big"])
    if locked:
        case.lock()
    case.use_another_store()
    case.home.mkdir()
    kept = case.folder / "kept"
    # The disk is gone with the command that has it, so what is on it is copied before that.
    keeping = f'"$@"; code=$?; cp -r "$TASKIMAGE_HOME" "{kept}"; exit $code'
    disk = ("--size", str(kilobytes * 1000), "--tmpfs", str(case.home))
    said = fails(case, 7, prefix=(*WRAPPED, *disk, "sh", "-c", keeping, "sh"))
    assert any(line.startswith(reached) for line in said.splitlines()), said
    assert f"no space left while writing to the store at {str(case.home)!r}" in said
    assert "hint: free some space, or set TASKIMAGE_HOME to a folder on a larger disk" in said
    check_store(kept)


def test_a_limit_on_the_size_of_files_is_told(case: Case) -> None:
    case.index.add("big", "1.0", files={"big.bin": os.urandom(2_500_000)})
    case.spec(packages=["big"])
    said = fails(case, 7, prefix=("sh", "-c", 'ulimit -f 1000; exec "$@"', "sh"))
    assert f"a file of the store at {str(case.home)!r} would be larger than this process may write" in said
    assert "hint: raise the limit (ulimit -f)" in said


@pytest.mark.usefixtures("_bubblewrap")
def test_a_store_that_is_read_only_is_told_with_the_setting(case: Case) -> None:
    case.home.mkdir()
    said = fails(case, 4, prefix=(*WRAPPED, "--ro-bind", str(case.home), str(case.home)))
    assert f"cannot use the store at {str(case.home)!r}: Read-only file system" in said
    assert "hint: set TASKIMAGE_HOME to a folder that you may write to" in said


# -- Ctrl-C --------------------------------------------------------------------------------------------------


def interrupt(case: Case, when: Callable[[], bool]) -> None:
    """Ctrl-C ends a build soon once ``when`` holds; nothing is left of it, and the next build succeeds."""
    with case.command.start("build", str(case.spec_path)) as build:
        wait_for(when)
        build.send_signal(signal.SIGINT)
        out, err = build.communicate(timeout=10)
    assert (build.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "error: interrupted"
    case.check_failure(err)
    case.index.stalls = case.mirror.stalls = ""
    case.build()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("file", ["InRelease", "by-hash"])
def test_ctrl_c_while_suites_are_read(case: Case, file: str) -> None:
    case.mirror.stalls = file
    interrupt(case, lambda: any(file in path for path in case.mirror.asked))


def test_ctrl_c_while_python_packages_are_resolved(case: Case) -> None:
    case.index.stalls = "pages"
    interrupt(case, lambda: any(path.startswith("/simple/") for path in case.index.asked))


@pytest.mark.parametrize("stalls", ["before", "within"])
def test_ctrl_c_while_packages_are_fetched(case: Case, stalls: Literal["before", "within"]) -> None:
    """A server that does not answer, and one that stops within a file."""
    case.lock()
    case.index.stalls = stalls
    interrupt(case, lambda: any(path.endswith(".whl") for path in case.index.asked))


def test_ctrl_c_while_layers_are_made(case: Case) -> None:
    file = case.index.add("big", "1.0", files={f"big/{number}": os.urandom(1 << 20) for number in range(60)})
    case.spec(packages=["big"])
    case.lock()
    fetched = case.home / "inputs/sha256" / Digest.of(case.index.files[file]).hex

    def is_under_way() -> bool:
        return fetched.exists() and max(sizes_in(case.home / "tmp"), default=0) > 4 << 20

    interrupt(case, is_under_way)


def sizes_in(folder: Path) -> Iterator[int]:
    """The sizes of the files in ``folder`` that are still there when they are looked at."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_size
