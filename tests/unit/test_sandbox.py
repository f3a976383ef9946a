"""Sandboxes: every way to run a command keeps the same promises."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from taskimage.adapters.sandbox import Ended, Job, Sandbox, Volume, find_sandbox
from taskimage.adapters.sandbox.bubblewrap import Bubblewrap
from taskimage.adapters.sandbox.chroot import ChangeRoot
from taskimage.adapters.sandbox.mounts import Bind, Link, Memory, Mount, Overlay, Seal, Special, plan
from taskimage.adapters.sandbox.namespaces import Namespaces
from taskimage.model.errors import CannotBuild

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes need Linux")

_PROGRAMS = ("sh", "id", "ls", "cat", "touch", "sleep", "mkdir")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of a few programs of this host and the libraries that they need."""
    root = tmp_path_factory.mktemp("image")
    root.chmod(0o755)
    for folder in ("usr/bin", "etc", "root", "tmp", "var"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "bin").symlink_to("usr/bin")
    (root / "etc/data").write_text("from the image\n")
    for name in _PROGRAMS:
        program = Path(shutil.which(name) or "").resolve()
        shutil.copy(program, root / "usr/bin" / name)
        libraries = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"/\S+", libraries):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    return root


@pytest.fixture(params=[Bubblewrap, Namespaces, ChangeRoot])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    made: Sandbox = request.param()
    if problem := made.problem():
        pytest.skip(f"{made.name}: {problem}")
    return made


@pytest.fixture(params=[Bubblewrap, Namespaces])
def isolating(request: pytest.FixtureRequest) -> Sandbox:
    made: Sandbox = request.param()
    if problem := made.problem():
        pytest.skip(f"{made.name}: {problem}")
    return made


def job(image: Path, scratch: Path, argv: Sequence[str], **fields: Any) -> Job:
    scratch.mkdir(exist_ok=True)
    return Job(root=image, argv=argv, env={"PATH": "/usr/bin"}, scratch=scratch, **fields)


def shell(image: Path, scratch: Path, script: str, **fields: Any) -> Job:
    return job(image, scratch, ["sh", "-c", script], **fields)


# -- promises ----------------------------------------------------------------------------------------------


def test_the_command_is_the_image_s_user_and_sees_the_image(
    sandbox: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = sandbox.run(
        shell(image, tmp_path / "s", "id -u; id -g; cat /etc/data; echo $PATH; pwd", workdir="/var")
    )
    assert (ended, capfd.readouterr().out.split("\n")) == (
        Ended(0), ["1000", "0", "from the image", "/usr/bin", "/var", ""],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 1", 1), ("exit 125", 125), ("kill -9 $$", 137)]
)
def test_the_exit_code_is_the_command_s_own(
    sandbox: Sandbox, image: Path, tmp_path: Path, script: str, code: int
) -> None:
    assert sandbox.run(shell(image, tmp_path / "s", script)) == Ended(code)


@pytest.mark.parametrize(
    ("command", "code"),
    [("nothing", 127), ("/no/thing", 127), ("../etc/data", 126), ("/etc", 126), ("/etc/data", 126)],
)
def test_a_command_that_cannot_be_started_has_docker_s_code(
    sandbox: Sandbox, image: Path, tmp_path: Path, command: str, code: int
) -> None:
    ended = sandbox.run(job(image, tmp_path / "s", [command], workdir="/var"))
    assert ended.code == code
    assert repr(command) in ended.reason


def test_a_working_folder_that_is_not_there_is_the_sandbox_s_failure(
    sandbox: Sandbox, image: Path, tmp_path: Path
) -> None:
    ended = sandbox.run(shell(image, tmp_path / "s", "exit 0", workdir="/nowhere"))
    assert (ended.code, bool(ended.reason)) == (125, True)


def test_nothing_that_is_written_reaches_the_image(
    sandbox: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Writable folders are private to the run; all else cannot be written to."""
    before = sorted(image.rglob("*"))
    script = "touch /root/new /tmp/new && ls /root; touch /usr/new; touch /new; echo changed > /etc/data"
    sandbox.run(shell(image, tmp_path / "s", script, writable=("root", "tmp")))
    assert capfd.readouterr().out == "new\n"
    assert sorted(image.rglob("*")) == before
    assert (image / "etc/data").read_text() == "from the image\n"


def test_all_of_the_image_can_be_made_writable(
    sandbox: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(image.rglob("*"))
    script = "mkdir -p /opt/x && touch /usr/new && echo changed > /etc/data && cat /etc/data"
    assert sandbox.run(shell(image, tmp_path / "s", script, writable=("",))) == Ended(0)
    assert capfd.readouterr().out == "changed\n"
    assert sorted(image.rglob("*")) == before
    assert (image / "etc/data").read_text() == "from the image\n"


def test_the_environment_is_what_was_given_and_no_more(
    sandbox: Sandbox,
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TASKIMAGE_TEST_SECRET", "x")
    sandbox.run(shell(image, tmp_path / "s", "export"))
    assert "SECRET" not in capfd.readouterr().out


def test_a_volume_is_shown_where_the_image_has_nothing(
    isolating: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Files that the command makes in it belong to the caller."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "given").write_text("given\n")
    volumes = (
        Volume(shared, "/job"),
        Volume(shared, "/var/deep/er"),
        Volume(shared / "given", "/etc/given"),
    )
    script = "cat /job/given /var/deep/er/given /etc/given /etc/data; touch /job/made"
    assert isolating.run(shell(image, tmp_path / "s", script, volumes=volumes)) == Ended(0)
    assert capfd.readouterr().out == "given\ngiven\ngiven\nfrom the image\n"
    assert (shared / "made").stat().st_uid == os.geteuid()
    assert not (image / "work").exists()


def test_a_read_only_file_of_the_host_can_be_shown_anywhere(
    sandbox: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "given").write_text("given\n")
    volumes = [Volume(tmp_path / "given", target, read_only=True) for target in ("/etc/data", "/etc/new")]
    assert sandbox.run(shell(image, tmp_path / "s", "cat /etc/data /etc/new", volumes=volumes)) == Ended(0)
    assert capfd.readouterr().out == "given\ngiven\n"
    assert (image / "etc/data").read_text() == "from the image\n"


def test_a_change_of_root_refuses_what_it_cannot_keep(image: Path, tmp_path: Path) -> None:
    asked = shell(image, tmp_path / "s", "exit 0", volumes=[Volume(tmp_path, "/job")])
    assert "volumes need" in ChangeRoot().run(asked).reason
    assert (
        "needs namespaces" in ChangeRoot().run(shell(image, tmp_path / "s", "exit 0", network=False)).reason
    )


def test_a_read_only_volume_cannot_be_written_to(isolating: Sandbox, image: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    volumes = (Volume(shared, "/job", read_only=True),)
    assert isolating.run(shell(image, tmp_path / "s", "touch /job/made", volumes=volumes)).code == 1
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize("uid", [1000, 0])
def test_the_command_has_no_capability_and_cannot_gain_one(
    isolating: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], uid: int
) -> None:
    isolating.run(shell(image, tmp_path / "s", "cat /proc/self/status", uid=uid))
    status = dict(line.split(":\t", 1) for line in capfd.readouterr().out.splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


def test_the_command_sees_its_own_processes_only(
    isolating: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    isolating.run(shell(image, tmp_path / "s", "echo /proc/[0-9]*"))
    assert f"/proc/{os.getpid()} " not in capfd.readouterr().out + " "


def test_without_network_there_is_loopback_and_nothing_else(
    isolating: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (
        isolating.run(
            shell(image, tmp_path / "s", "cat /proc/net/dev; cat /proc/net/if_inet6", network=False)
        ).code
        == 0
    )
    devices = re.findall(r"^ *(\w+):", capfd.readouterr().out, re.MULTILINE)
    assert devices == ["lo"]


def test_what_was_changed_in_the_root_can_be_looked_at_afterwards(image: Path, tmp_path: Path) -> None:
    """The upper folder of an overlay holds the changes, and only those."""
    sandbox = find_sandbox(overlay=True)
    if not sandbox.overlays:
        pytest.skip("no overlay without privileges here")
    asked = shell(image, tmp_path / "s", "mkdir /opt && echo 1 > /opt/f", writable=("",), network=False)
    assert sandbox.run(asked) == Ended(0)
    if not asked.upper.exists():
        pytest.skip("this file system takes no part in overlays")
    assert (asked.upper / "opt/f").read_text() == "1\n"
    assert not (asked.upper / "etc/data").exists()


def test_root_of_the_image_does_what_root_does_to_files_where_it_administers(
    isolating: Sandbox, image: Path, tmp_path: Path
) -> None:
    """Not even its own files can be read without that, where their mode forbids it. The image stays as it is."""
    script = "umask 777; echo secret > /etc/closed; cat /etc/closed; echo more >> /etc/closed; echo err >&2"
    with (tmp_path / "output").open("wb") as file:
        for administers in (True, False):
            asked = shell(
                image, tmp_path / f"s{administers}", script, uid=0, writable=("",), administers=administers,
                network=False, output=file.fileno(),
            )  # fmt: skip
            isolating.run(asked)
            changed = asked.copied if asked.copied.exists() else asked.upper
            assert (changed / "etc/closed").exists()
    said = (tmp_path / "output").read_text()
    assert (said.count("secret"), said.count("err")) == (1, 2)
    assert not (image / "etc/closed").exists()


def test_where_it_administers_every_host_has_one_name(
    isolating: Sandbox, image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert isolating.run(
        shell(image, tmp_path / "s", "cat /proc/sys/kernel/hostname", uid=0, administers=True)
    ) == Ended(0)
    assert capfd.readouterr().out == "localhost\n"


def test_a_job_ends_when_it_is_stopped(isolating: Sandbox, image: Path, tmp_path: Path) -> None:
    """From a thread too, which gets no signal, and whatever the command does with signals."""
    stopped = threading.Event()
    wanted = shell(image, tmp_path / "s", "trap '' TERM INT; sleep 60; sleep 60", stopped=stopped.is_set)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(isolating.run, wanted)
        stopped.set()
        assert running.result(timeout=30).code in {125, 137}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_caller_reaches_the_command(
    sandbox: Sandbox, image: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The command may handle it, and its exit code is what counts."""
    program = f"""
        from pathlib import Path
        from taskimage.adapters.sandbox import Job
        from taskimage.adapters.sandbox.{type(sandbox).__module__.rpartition(".")[2]} import {type(sandbox).__name__} as S
        script = "trap 'exit 42' {number.name[3:]}; echo ready; while :; do sleep 0.02; done"
        s = S()
        s.problem()
        print(s.run(Job(root=Path({str(image)!r}), argv=["sh", "-c", script], env={{"PATH": "/usr/bin"}},
            scratch=Path({str(tmp_path)!r}))).code)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "42\n"


def test_a_caller_that_is_killed_takes_the_command_with_it(
    sandbox: Sandbox, image: Path, tmp_path: Path
) -> None:
    program = f"""
        from pathlib import Path
        from taskimage.adapters.sandbox import Job
        from taskimage.adapters.sandbox.{type(sandbox).__module__.rpartition(".")[2]} import {type(sandbox).__name__} as S
        S().run(Job(root=Path({str(image)!r}), argv=["sh", "-c", "echo ready; exec sleep 20"], env={{"PATH": "/usr/bin"}},
            scratch=Path({str(tmp_path)!r})))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        # The pipe ends when the last process that holds it is gone.
        assert process.stdout.read() == ""


def test_where_no_sandbox_works_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Bubblewrap, Namespaces, ChangeRoot):
        monkeypatch.setattr(kind, "problem", lambda self: f"{self.name} is broken")
    with pytest.raises(CannotBuild, match="chroot is broken") as caught:
        find_sandbox()
    assert "install bubblewrap" in (caught.value.hint or "")


def test_another_system_is_told_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(CannotBuild, match="on darwin: this needs a Linux host"):
        find_sandbox()


# -- plans -------------------------------------------------------------------------------------------------

_KERNEL: tuple[Mount, ...] = (
    Special("proc", "/proc"),
    Special("dev", "/dev"),
    Bind("/sys", "/sys", read_only=True),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("proc", "dev", "sys", "etc", "opt/a", "run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "opt/link").symlink_to("a")
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    return tmp_path


def test_a_root_with_every_mount_point_is_bound_as_it_is(root: Path) -> None:
    source = Path("/host")
    assert plan(root, (), (Volume(source, "/etc/hosts"),)) == (
        Bind(str(root), "/", read_only=True), *_KERNEL, Bind("/host", "/etc/hosts", read_only=False),
    )  # fmt: skip


def test_a_folder_that_lacks_a_mount_point_is_opened_and_sealed(root: Path) -> None:
    assert plan(root, (), (Volume(Path("/host"), "/opt/new/deep"),)) == (
        Bind(str(root), "/", read_only=True),
        Memory("/opt"),
        Bind(f"{root}/opt/a", "/opt/a", read_only=True),
        Link("/opt/link", "a"),
        *_KERNEL,
        Bind("/host", "/opt/new/deep", read_only=False),
        Seal("/opt"),
    )


def test_a_mount_point_is_looked_for_through_the_image_s_links(root: Path) -> None:
    (root / "run/lock").mkdir()
    bind = plan(root, (), (Volume(Path("/host"), "/var/run/lock"),))[-1]
    assert bind == Bind("/host", "/run/lock", read_only=False)


def test_a_mount_point_in_a_writable_folder_needs_nothing_opened(root: Path) -> None:
    place = Bind("/copy", "/opt", read_only=False)
    mounts = plan(root, (place,), (Volume(Path("/host"), "/opt/new"),))
    assert mounts == (
        Bind(str(root), "/", read_only=True), place, *_KERNEL, Bind("/host", "/opt/new", read_only=False),
    )  # fmt: skip


def test_a_writable_root_is_all_there_is(root: Path) -> None:
    overlay = Overlay(str(root), "/u", "/w", "/")
    assert plan(root, (overlay,), ()) == (overlay, *_KERNEL)
