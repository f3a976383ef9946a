"""An image whose Python is a conda package: relocated, compiled, and run.

The channel is made here. Its Python is the interpreter of the tests, which was built for another prefix: what
conda packages do with their placeholder is done with that.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.channels import Channel, CondaFile, python_files
from tests.command import Command
from tests.sources import Mirror

from taskimage.verbs.lock import lock_path, read_lock

VERSION = platform.python_version()
MINOR = "{}.{}".format(*sys.version_info)
BASE = Path(sys.base_prefix)
PREFIX = "/opt/conda"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="the channel is for linux-64"
    ),
    pytest.mark.skipif(len(str(BASE)) < len(PREFIX), reason="the interpreter's prefix is a short one"),
]

HELLO = """\
import sys

def main():
    print("hello from", sys.prefix)
"""


@dataclass(frozen=True)
class Built:
    """An image in its store."""

    command: Command
    spec: Path
    reference: str
    mirror: Mirror

    def run(self, *words: str) -> str:
        """What a command says inside of the image."""
        done: subprocess.CompletedProcess[str] = self.command("run", "--quiet", self.reference, "--", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The image, locked and built."""
    if tuple(map(int, platform.libc_ver()[1].split("."))) > (2, 36):
        pytest.skip("the interpreter of the tests needs a newer glibc than bookworm's")
    folder = tmp_path_factory.mktemp("conda")
    channel = Channel(folder / "channels" / "conda-forge")
    channel.add(python_files(), name="python", version=VERSION, depends=["__glibc >=2.17"])
    channel.add(
        {"site-packages/hello.py": CondaFile(HELLO.encode())},
        name="hello",
        noarch="python",
        depends=["python >=3.9"],
        entry_points=["hello = hello:main"],
        suffix=".tar.bz2",
    )
    spec = folder / "image.yaml"
    document = {
        "name": "conda",
        "python_version": MINOR,
        "platform": "linux/amd64",
        "packages": ["markupsafe==3.0.3"],
        "conda_packages": ["hello"],
        # What conda's Python has packages for, and the interpreter of the tests has from Debian.
        "apt_packages": ["libssl3", "libffi8", "zlib1g", "libbz2-1.0", "liblzma5"],
        "builder_options": {"taskimage": {"runtime": "none"}},
    }
    spec.write_text(json.dumps(document))  # JSON is YAML
    mirror = Mirror(folder / "channels")
    try:
        command = Command(folder / "home", {"CONDA_CHANNEL_ALIAS": mirror.url})
        command.succeed("lock", str(spec))
        yield Built(command, spec, command.succeed("build", "--locked", str(spec)).strip(), mirror)
    finally:
        mirror.close()


def test_the_lock_pins_conda_s_python(built: Built) -> None:
    found = read_lock(lock_path(built.spec))
    assert found is not None
    lock = found.platforms[0]
    assert (lock.python.source, lock.python.version) == ("conda", VERSION)
    assert [pin.name for pin in lock.conda] == ["hello", "python"]
    assert not [pin for pin in lock.base if "python" in pin.package]


def test_the_environment_runs_on_conda_s_python_and_sees_both_kinds_of_packages(built: Built) -> None:
    program = (
        "import hello, json, markupsafe._speedups, ssl, sys\n"
        "print(json.dumps([sys.prefix, sys.base_prefix, hello.__file__, markupsafe.__file__]))"
    )
    assert json.loads(built.run("python", "-c", program)) == [
        "/opt/venv",
        PREFIX,
        f"{PREFIX}/lib/python{MINOR}/site-packages/hello.py",
        f"/opt/venv/lib/python{MINOR}/site-packages/markupsafe/__init__.py",
    ]


def test_commands_of_packages_are_on_the_path(built: Built) -> None:
    assert built.run("hello") == f"hello from {PREFIX}\n"


def test_nothing_remembers_the_prefix_that_it_was_built_for(built: Built) -> None:
    program = "import sysconfig; print(sysconfig.get_config_var('prefix'), sysconfig.get_config_vars())"
    said = built.run(f"{PREFIX}/bin/python", "-c", program)
    assert said.startswith(PREFIX)
    assert f"{BASE}/" not in said


def test_modules_of_both_kinds_are_compiled(built: Built) -> None:
    program = "import hello, json, os, markupsafe; print(*(os.path.exists(m.__cached__) for m in (hello, json, markupsafe)))"
    assert built.run("python", "-B", "-c", program) == "True True True\n"


def test_a_second_build_from_another_store_is_the_same(built: Built, tmp_path: Path) -> None:
    command = Command(tmp_path / "home", {"CONDA_CHANNEL_ALIAS": built.mirror.url})
    assert command.succeed("build", "--locked", str(built.spec)).strip() == built.reference
