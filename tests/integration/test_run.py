"""`taskimage` from end to end: a spec is built from real packages, and commands run in its image."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from taskimage.adapters.layout import load, read_index
from taskimage.adapters.rootfs import unpack
from taskimage.adapters.store import Store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="run needs Linux"),
]

_SPEC = """\
name: run-test
python_version: "3.11"
packages: ["six==1.16.0"]
env: {GREETING: hello}
builder_options: {taskimage: {runtime: none}}
"""


class Project:
    """A folder with a spec, and a store that its image is built in once."""

    def __init__(self, folder: Path) -> None:
        self.spec = folder / "image.yaml"
        self.spec.write_text(_SPEC)
        self.home = folder / "home"
        self.reference = self.taskimage("build", "--quiet", str(self.spec)).stdout.strip()

    def taskimage(self, *words: str, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskimage", *words], capture_output=True, text=True, check=False,
            env={**os.environ, "TASKIMAGE_HOME": str(self.home), **options},
        )  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.taskimage("run", "--quiet", str(self.spec), "--", *words)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


def test_a_command_has_the_image_s_user_environment_and_packages(project: Project) -> None:
    program = (
        "import os, six; print(os.getuid(), os.getgid(), os.getcwd(), os.environ['GREETING'], os.environ['HOME'], "
        "six.__version__)"
    )
    done = project.run("python", "-c", program)
    assert (done.stdout, done.stderr) == ("1000 0 /root hello /home/flytekit 1.16.0\n", "")


def test_the_exit_code_is_the_command_s(project: Project) -> None:
    assert project.run("sh", "-c", "exit 9").returncode == 9
    assert project.run("no-such-program").returncode == 127
    assert project.run("/etc/passwd").returncode == 126


def test_standard_input_and_output_are_passed_through(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskimage", "run", project.reference, "--", "cat"], input=b"\0\xff" * 50_000,
        capture_output=True, check=True, env={**os.environ, "TASKIMAGE_HOME": str(project.home)},
    )  # fmt: skip
    assert done.stdout == b"\0\xff" * 50_000


def test_a_terminal_is_passed_through(project: Project) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "taskimage", "run", project.reference, "--", "sh", "-c", "test -t 0 && test -t 1"],
        stdin=theirs, stdout=theirs, stderr=theirs, check=True,
        env={**os.environ, "TASKIMAGE_HOME": str(project.home)},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)


def test_home_workdir_and_tmp_can_be_written_to_and_the_next_run_sees_nothing_of_it(project: Project) -> None:
    script = "touch /root/new ~/new /tmp/new /var/tmp/new && test -f /root/new && ! touch /opt/venv/new 2>/dev/null"
    assert project.run("sh", "-c", script).returncode == 0
    assert project.run("sh", "-c", "ls /root/new ~/new /tmp/new /var/tmp/new 2>/dev/null").stdout == ""


def test_the_reference_that_build_prints_can_be_run_and_so_can_its_parts(project: Project) -> None:
    tagged, _, digest = project.reference.partition("@")
    for target in (project.reference, tagged, digest):
        assert project.taskimage("run", target, "--", "true").returncode == 0


def test_a_volume_s_new_files_belong_to_the_caller(project: Project, tmp_path: Path) -> None:
    done = project.taskimage("run", "-v", f"{tmp_path}:/work", "-w", "/work", "-e", "NAME=x", project.reference,
                             "--", "sh", "-c", "echo $NAME > made")  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "made").read_text() == "x\n"
    assert (tmp_path / "made").stat().st_uid == os.geteuid()


def test_names_are_resolved_with_the_host_s_files(project: Project) -> None:
    done = project.run("cat", "/etc/resolv.conf", "/etc/hosts")
    assert done.stdout == Path("/etc/resolv.conf").read_text() + Path("/etc/hosts").read_text()


def test_two_processes_may_unpack_one_image_at_a_time(project: Project) -> None:
    shutil.rmtree(project.home / "roots", ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "taskimage",
        "run",
        project.reference,
        "--",
        "python",
        "-c",
        "import six",
    ]
    environment = {**os.environ, "TASKIMAGE_HOME": str(project.home)}
    processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] and process.returncode for process in processes].count(0) >= 1
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(list((project.home / "roots").iterdir())) == 1


def test_an_image_layout_elsewhere_can_be_run(project: Project, tmp_path: Path) -> None:
    layout = tmp_path / "out"
    assert project.taskimage("build", str(project.spec), "-o", f"oci:{layout}").returncode == 0
    done = project.taskimage(
        "run", "-q", f"oci:{layout}", "--", "python", "-V", TASKIMAGE_HOME=str(tmp_path / "other")
    )
    assert (done.returncode, done.stdout[:11]) == (0, "Python 3.11")


def test_a_second_build_says_that_nothing_had_to_be_done(project: Project, tmp_path: Path) -> None:
    references = tmp_path / "refs"
    done = project.taskimage("build", "--json", "--image-refs", str(references), str(project.spec))
    assert json.loads(done.stdout)["digest"] == project.reference.partition("@")[2]
    assert references.read_text() == f"{project.reference}\n"


def test_a_dry_run_tells_what_a_build_would_do_and_makes_nothing(project: Project, tmp_path: Path) -> None:
    done = project.taskimage("build", "--dry-run", str(project.spec))
    assert done.stdout == project.reference.partition("@")[0] + "\n"
    assert "would fetch 0 packages" in done.stderr
    assert "would make 0 layers" in done.stderr
    home = tmp_path / "home"
    again = project.taskimage("build", "--dry-run", "--json", str(project.spec), TASKIMAGE_HOME=str(home))
    assert json.loads(again.stdout)["digest"] is None
    assert "would make a layer: " in again.stderr
    assert not (home / "inputs").exists()
    assert not (home / "oci").exists()


def test_a_lock_is_written_checked_and_found_stale(project: Project, tmp_path: Path) -> None:
    spec, lock = tmp_path / "image.yaml", tmp_path / "image.lock.toml"
    spec.write_text(_SPEC)
    assert project.taskimage("lock", "--check", str(spec)).returncode == 1
    assert project.taskimage("lock", str(spec)).stdout == f"{lock}\n"
    assert project.taskimage("lock", "--check", str(spec)).stdout == f"{lock}\n"
    before = lock.read_bytes()
    assert project.taskimage("lock", str(spec)).returncode == 0
    assert lock.read_bytes() == before
    spec.write_text(_SPEC.replace("six==1.16.0", "six==1.17.0"))
    stale = project.taskimage("lock", "--check", str(spec))
    assert (stale.returncode, stale.stdout) == (1, "")
    assert "six==1.17.0" in stale.stderr
    assert project.taskimage("build", str(spec)).returncode == 2
    assert "six 1.16.0 -> 1.17.0" in project.taskimage("lock", str(spec)).stderr


@pytest.mark.skipif(shutil.which("umoci") is None or os.geteuid() != 0, reason="needs umoci and root")
def test_an_image_is_unpacked_as_another_tool_unpacks_it(project: Project, tmp_path: Path) -> None:
    """Same names, kinds, contents, links and modes, but for what unpacking leaves off on purpose."""
    layout = tmp_path / "out"
    project.taskimage("build", str(project.spec), "-o", f"oci:{layout}")
    store = Store(tmp_path / "home", layout=layout)
    descriptor = read_index(layout).manifests[0]
    name = descriptor.annotations["org.opencontainers.image.ref.name"]
    ours = tmp_path / "ours"
    ours.mkdir()
    unpack(
        [
            (store.blob_path(layer.digest), layer.digest)
            for layer in load(store, descriptor.digest).manifest.layers
        ],
        ours,
    )
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:{name}", str(tmp_path / "theirs")], check=True)
    assert described(ours) == described(tmp_path / "theirs" / "rootfs")


def described(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        name, mode = path.relative_to(root).as_posix(), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[name] = str(path.readlink())
        elif stat.S_ISDIR(mode):
            found[name] = mode & 0o1777 | 0o700
        else:
            found[name] = (mode & 0o777 | 0o400, path.read_bytes())
    return found
