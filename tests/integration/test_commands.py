"""`commands` of a spec, run on top of real packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taskimage.adapters.layout import load
from taskimage.adapters.specfiles import host_machine
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.transform.entry import Entry
from taskimage.transform.unpack import Whiteout, layer_changes
from taskimage.transform.validate import validate

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="commands need Linux"),
]
COMMANDS = [
    "mkdir -p /data && echo hi > /data/x",
    "cd /data",
    "pwd > where; chmod 4755 x",
    "rm /etc/timezone; rm -r /usr/share/zoneinfo/Africa; echo gone > /tmp/gone",
    'python -c "import six" && echo "$GREETING" > greeting # with the image\'s environment',
    "cat /root/code.txt > copied; id -u > user; uv --version > uv",
]


class Project:
    """A folder with a spec, whose image is built in a store that all tests share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.spec = folder / "image.yaml"
        (folder / "code.txt").write_text("copied before\n")

    def write(self, commands: list[str], **fields: Any) -> None:
        usual: dict[str, Any] = {
            "name": "commands-test", "python_version": "3.11", "platform": "linux/amd64",
            "packages": ["six==1.16.0"], "copy": ["code.txt"], "env": {"GREETING": "hello  world"},
            "builder_options": {"taskimage": {"runtime": "none", "bytecode": False}},
        }  # fmt: skip
        self.spec.write_text(json.dumps({**usual, "commands": commands, **fields}))

    def taskimage(self, *words: str, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskimage", *words], capture_output=True, text=True, check=False,
            env={**os.environ, "TASKIMAGE_HOME": str(self.home), **options},
        )  # fmt: skip

    def build(self, *options: str) -> tuple[str, str]:
        """The reference of the image, and what was said."""
        done = self.taskimage("build", *options, str(self.spec))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr

    def fails(self) -> str:
        done = self.taskimage("build", str(self.spec))
        assert (done.returncode, done.stdout) == (7, ""), done.stderr
        return done.stderr

    def top(self, reference: str) -> tuple[dict[str, Entry], dict[str, bytes], list[str]]:
        """The last layer of an image: its entries, the bytes of its files, and what it takes away."""
        store = Store(self.home)
        layer = load(store, Digest.parse(reference.partition("@")[2])).manifest.layers[-1]
        entries, data, gone = {}, {}, []
        with store.blob_path(layer.digest).open("rb") as stream:
            for change in layer_changes(stream, compressed_size=layer.size, where="top"):
                if isinstance(change, Entry):
                    entries[change.path] = change
                    if change.body:
                        with change.body.open() as body:
                            data[change.path] = body.read()
                elif isinstance(change, Whiteout):
                    gone.append(change.path)
        return entries, data, gone


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="module")
def built(project: Project) -> str:
    project.write(COMMANDS)
    return project.build()[0]


def test_what_commands_change_is_the_last_layer(project: Project, built: str) -> None:
    entries, data, gone = project.top(built)
    assert data["data/x"] == b"hi\n"
    assert entries["data/x"].mode == 0o4755
    assert gone == ["etc/timezone", "usr/share/zoneinfo/Africa"]
    assert not any(path.startswith("tmp/") or path == "usr/bin/uv" for path in entries)


def test_commands_are_root_s_in_one_shell_with_the_image_s_environment(project: Project, built: str) -> None:
    """A folder that one changes to is the next one's; files are copied before; ``uv`` is there."""
    _, data, _ = project.top(built)
    assert data["data/where"] == b"/data\n"
    assert data["data/greeting"] == b"hello  world\n"
    assert data["data/copied"] == b"copied before\n"
    assert data["data/user"] == b"0\n"
    assert data["data/uv"].startswith(b"uv ")


def test_the_image_is_sound_and_runs(project: Project, built: str) -> None:
    project.write(COMMANDS)
    done = project.taskimage(
        "run", "--quiet", str(project.spec), "--", "sh", "-c", "cat /data/x; ls /etc/timezone"
    )
    assert done.stdout == "hi\n"
    assert "No such file" in done.stderr
    store = Store(project.home)
    digest = built.partition("@")[2]
    found = validate(digest, lambda name: store.blob_path(Digest.parse(name)).open("rb"))
    # What takes something away is told, since no other layer of ours has any without a base.
    assert all(finding.message.endswith("is a whiteout") for finding in found), found


def test_an_unchanged_image_runs_nothing(project: Project, built: str) -> None:
    project.write(COMMANDS)
    again, said = project.build()
    assert again == built
    assert "nothing to do" in said
    assert "Running" not in said


def test_another_store_gives_the_same_image(project: Project, built: str, tmp_path: Path) -> None:
    project.write(COMMANDS)
    done = project.taskimage("build", str(project.spec), TASKIMAGE_HOME=str(tmp_path / "other"))
    assert done.stdout.strip() == built, done.stderr


def test_other_commands_make_one_layer(project: Project, built: str) -> None:
    project.write(["true"])
    _, said = project.build()
    assert "Making" not in said
    assert "Ran 1 command: 0 paths" in said


def test_there_is_no_network(project: Project) -> None:
    project.write(
        ["cat /proc/net/dev; python -c 'import socket; socket.create_connection((\"192.0.2.1\", 80))'"]
    )
    said = project.fails()
    assert "eth" not in said
    assert "Network is unreachable" in said
    assert "builder_options: {taskimage: {network: true}}" in said


def test_the_network_is_there_where_the_spec_wants_it(project: Project) -> None:
    options = {"taskimage": {"runtime": "none", "bytecode": False, "network": True}}
    project.write(["cat /proc/net/dev > /dev.txt"], builder_options=options)
    _, data, _ = project.top(project.build()[0])
    here = Path("/proc/net/dev").read_text().count("\n")
    assert data["dev.txt"].count(b"\n") == here


def test_a_failing_command_is_named_with_its_place_its_code_and_its_last_lines(project: Project) -> None:
    project.write(["echo first", "echo second; (exit 9)", "echo third"])
    said = project.fails()
    assert "image.yaml:1:" in said
    assert "'echo second; (exit 9)' ended with exit code 9" in said
    assert said.count("second") == 2
    assert "first" not in said.replace("'echo first'", "")


def test_a_command_that_ends_the_shell_early_is_a_failure(project: Project) -> None:
    project.write(["exit 0", "echo never"])
    assert "'exit 0' ends the shell, and 1 command after it did not run" in project.fails()


def test_another_architecture_is_refused_before_anything_is_made(project: Project) -> None:
    other = "linux/arm64" if host_machine() == "x86_64" else "linux/amd64"
    project.write(["true"], platform=other)
    said = project.fails()
    assert f"they are for {other}" in said
    assert "Making" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_files_to_other_users(project: Project) -> None:
    project.write(["mkdir /srv/d && chown flytekit:staff /srv/d && touch /srv/f && chown 123:456 /srv/f"])
    entries, _, _ = project.top(project.build()[0])
    assert (entries["srv/d"].uid, entries["srv/d"].gid) == (1000, 50)
    assert (entries["srv/f"].uid, entries["srv/f"].gid) == (123, 456)


def test_what_differs_from_run_to_run_is_found_by_verify(project: Project) -> None:
    project.write(["cat /proc/sys/kernel/random/uuid > /id"])
    project.build()
    done = project.taskimage("build", "--verify", str(project.spec))
    assert done.returncode == 6
    assert "'commands'" in done.stderr
