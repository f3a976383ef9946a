"""Sdists, built by the image's own interpreter in a sandbox, from an index with a password."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sdists import make_sdist
from tests.sources import CANARY, Index

from taskimage.adapters.store import Store
from taskimage.model.lock import WheelPin
from taskimage.model.lockfile import loads

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="sdists are built on Linux"),
]

# What runs when it is built looks around, and says in the wheel what it has seen.
SPY = """
import json, os, pathlib, socket
from setuptools import setup

def attempt(do):
    try:
        return str(do())
    except OSError as error:
        return type(error).__name__

seen = {
    "marker": attempt(lambda: pathlib.Path(%r).write_text("it has run here")),
    "host": attempt(lambda: os.listdir(%r)),
    "network": attempt(lambda: socket.create_connection(("127.0.0.1", %d), 2)),
    "environment": dict(os.environ),
    "python": __import__("sys").version,
}
pathlib.Path("spy.py").write_text("SEEN = " + json.dumps(seen, sort_keys=True))
setup(name="spy", version="1.0", py_modules=["spy"], install_requires=["six"])
"""
RANDOM = (
    "import os, pathlib\nfrom setuptools import setup\npathlib.Path('dice.py').write_text(repr(os.urandom(8)))\n"
    "setup(name='dice', version='1.0', py_modules=['dice'])\n"
)
BROKEN = "print('\\x1b[2Jabout to fail')\nraise SystemExit('no luck today')\n"
OWN_BACKEND = (
    "import zipfile\n\ndef get_requires_for_build_wheel(settings=None):\n    return ['six==1.16.0']\n\n"
    "def build_wheel(folder, settings=None, metadata=None):\n    import six\n"
    "    name = 'own-1.0-py3-none-any.whl'\n    info = 'own-1.0.dist-info/'\n"
    "    files = {'own.py': f'SIX = {six.__version__!r}', info + 'METADATA': 'Metadata-Version: 2.1\\nName: own\\n'\n"
    "             'Version: 1.0\\n', info + 'WHEEL': 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'}\n"
    "    files[info + 'RECORD'] = ''.join(f'{name},,\\n' for name in [*files, info + 'RECORD'])\n"
    "    with zipfile.ZipFile(folder + '/' + name, 'w') as archive:\n"
    "        for path, text in files.items():\n            archive.writestr(path, text)\n    return name\n"
)
OWN_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend.main"\nbackend-path = ["tools"]\n'
EXTENSION = (
    b'#include <Python.h>\nstatic struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, NULL};\n'
    b"PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }\n"
)
EXTENSION_SETUP = (
    b"from setuptools import Extension, setup\n"
    b"setup(name='fast', version='1.0', ext_modules=[Extension('fast', ['fast.c'])])\n"
)


class Project:
    """A folder with specs; their packages are on the machine's own index, and sdists on one that wants a password."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.marker = folder / "marker"
        self.index = index
        spy = SPY % (str(self.marker), str(folder), index.httpd.server_port)
        for name, files in {
            "spy": {"setup.py": spy.encode()},
            "dice": {"setup.py": RANDOM.encode()},
            "hanging": {"setup.py": b"import time\nopen('hangs', 'w')\ntime.sleep(999)\n"},
            "broken": {"setup.py": BROKEN.encode()},
            "own": {
                "pyproject.toml": OWN_PROJECT.encode(), "tools/backend/__init__.py": b"",
                "tools/backend/main.py": OWN_BACKEND.encode(),
            },
            "fast": {"setup.py": EXTENSION_SETUP, "fast.c": EXTENSION},
        }.items():  # fmt: skip
            file, data = make_sdist(name, "1.0", files)
            index.files[file] = data
        self.netrc = folder / "netrc"
        self.netrc.write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
        index.with_login()

    def spec(self, *packages: str, name: str = "image", **fields: Any) -> Path:
        names = [package.partition("=")[0] for package in packages]
        usual: dict[str, Any] = {
            "name": "sdists-test", "python_version": "3.11", "platform": "linux/amd64", "packages": packages,
            "pip_extra_index_url": [self.index.url],
            "builder_options": {"taskimage": {"runtime": "none", "bytecode": False, "build_sdists": names}},
        }  # fmt: skip
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({**usual, **fields}))
        path.with_suffix(".lock.toml").unlink(missing_ok=True)
        return path

    def taskimage(self, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskimage", *map(str, words)], capture_output=True, text=True, check=False,
            env={**os.environ, "TASKIMAGE_HOME": str(self.home), "NETRC": str(self.netrc), **environ},
        )  # fmt: skip

    def succeed(self, *words: str | Path, **environ: str) -> str:
        """What was said on standard error."""
        done = self.taskimage(*words, **environ)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def locked(self, spec: Path) -> dict[str, WheelPin]:
        path = spec.with_suffix(".lock.toml")
        return {pin.name: pin for pin in loads(path.read_text(), where="lock").platforms[0].wheels}

    def wheel(self, pin: WheelPin) -> Path:
        return Store(self.home).input_path(pin.digest)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    index = Index()
    yield Project(tmp_path_factory.mktemp("sdists"), index)
    index.close()


@pytest.fixture(scope="module")
def spied(project: Project) -> tuple[Path, WheelPin, str]:
    """The spec whose sdist looks around, locked; its pin; and what was said."""
    spec = project.spec("spy")
    said = project.succeed("lock", spec)
    return spec, project.locked(spec)["spy"], said


def test_what_an_sdist_runs_finds_nothing_of_this_machine(
    project: Project, spied: tuple[Path, WheelPin, str]
) -> None:
    """No file of it, no network, no variable of it, and no credential."""
    with zipfile.ZipFile(project.wheel(spied[1])) as archive:
        seen = json.loads(archive.read("spy.py").decode().removeprefix("SEEN = "))
    assert not project.marker.exists()
    assert seen["marker"] == seen["host"] == "FileNotFoundError"
    assert seen["network"] == "ConnectionRefusedError"
    assert seen["python"].startswith("3.11.2")
    environment = seen["environment"]
    assert not {"NETRC", "TASKIMAGE_HOME"} & environment.keys()
    assert (environment["HOME"], environment["PYTHONHASHSEED"]) == ("/tmp/home", "0")


def test_no_credential_is_left_anywhere(project: Project, spied: tuple[Path, WheelPin, str]) -> None:
    lock = spied[0].with_suffix(".lock.toml").read_bytes()
    kept = [path.read_bytes() for path in project.home.rglob("*") if path.is_file()]
    assert not [data for data in (lock, spied[2].encode(), *kept) if CANARY.encode() in data]


def test_the_lock_says_that_it_was_built_of_what_and_with_what(spied: tuple[Path, WheelPin, str]) -> None:
    text = spied[0].with_suffix(".lock.toml").read_text()
    pin = spied[1]
    assert pin.sdist is not None
    (line,) = (line for line in text.splitlines() if 'name = "spy"' in line)
    assert line == (
        '    { name = "spy", version = "1.0", index = "pip_extra_index_url-1", file = "spy-1.0-py3-none-any.whl", '
        f'size = {pin.size}, sha256 = "{pin.digest.hex}", sdist = {{ file = "spy-1.0.tar.gz", size = {pin.sdist.size}, '
        f'sha256 = "{pin.sdist.digest.hex}", tools = ["{pin.sdist.tools[0]}"] }} }},'
    )
    assert pin.sdist.tools[0].startswith("setuptools==")
    assert 'build-sdists = [\n    "spy",\n]' in text
    assert 'name = "six"' in text


def test_it_is_built_once(project: Project, spied: tuple[Path, WheelPin, str]) -> None:
    """Another lock finds it, of this spec or another; and the build makes a layer of it."""
    spec, pin, said = spied
    assert said.count("Building spy 1.0") == 1
    text = spec.with_suffix(".lock.toml").read_text()
    for again in (spec, project.spec("spy", "idna", name="other")):
        again.with_suffix(".lock.toml").unlink(missing_ok=True)
        assert "Building" not in project.succeed("lock", again)
        assert project.locked(again)["spy"] == pin
    assert spec.with_suffix(".lock.toml").read_text() == text
    assert "Building" not in project.succeed("build", "--no-push", spec)
    done = project.taskimage("run", "--quiet", spec, "--", "python", "-c", "import spy; print(len(spy.SEEN))")
    assert done.stdout == "5\n", done.stderr
    assert project.taskimage("lock", "--check", spec).returncode == 0


def test_another_machine_builds_the_same_wheel_of_the_locked_sdist(
    project: Project, spied: tuple[Path, WheelPin, str], tmp_path: Path
) -> None:
    said = project.succeed("build", "--no-push", spied[0], TASKIMAGE_HOME=str(tmp_path / "another"))
    assert said.count("Building spy 1.0") == 1
    assert Store(tmp_path / "another").input_path(spied[1].digest).exists()


def test_a_folder_for_a_machine_without_network_has_the_wheel(
    project: Project, spied: tuple[Path, WheelPin, str], tmp_path: Path
) -> None:
    folder = tmp_path / "vendored"
    project.succeed("vendor", spied[0], "-o", folder)
    said = project.succeed("build", "--no-push", "--offline", spied[0], TASKIMAGE_HOME=str(folder))
    assert "Building" not in said


def test_a_build_that_cannot_be_repeated_is_told_with_the_ways_out(project: Project, tmp_path: Path) -> None:
    spec = project.spec("dice", name="dice")
    project.succeed("lock", spec)
    done = project.taskimage("build", "--no-push", spec, TASKIMAGE_HOME=str(tmp_path / "another"))
    assert done.returncode == 7
    assert "'dice==1.0' is locked as built" in done.stderr
    assert "its build is not reproducible" in done.stderr
    assert "taskimage lock -P dice" in done.stderr


def test_a_build_that_fails_shows_its_last_lines(project: Project) -> None:
    done = project.taskimage("lock", project.spec("broken", name="broken"))
    assert done.returncode == 7
    assert "'broken==1.0' cannot be built of 'broken-1.0.tar.gz'" in done.stderr
    assert "no luck today" in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_build_that_hangs_can_be_interrupted(project: Project) -> None:
    spec = project.spec("hanging", name="hanging")
    process = subprocess.Popen(
        [sys.executable, "-m", "taskimage", "lock", str(spec)], start_new_session=True,
        env={**os.environ, "TASKIMAGE_HOME": str(project.home), "NETRC": str(project.netrc)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not any(project.home.glob("tmp/*/tmp/source/*/hangs")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert not any(project.home.glob("tmp/*/tmp"))


def test_a_backend_of_its_own_gets_what_it_asks_for(project: Project) -> None:
    spec = project.spec("own", name="own")
    project.succeed("lock", spec)
    pin = project.locked(spec)["own"]
    assert pin.sdist is not None
    assert pin.sdist.tools == ("six==1.16.0",)


def test_an_extension_is_compiled_by_what_apt_packages_bring(project: Project) -> None:
    """Without a compiler the way to one is told."""
    done = project.taskimage("lock", project.spec("fast", name="fast"))
    assert done.returncode == 7
    assert "apt_packages: [gcc, python3-dev]" in done.stderr
    spec = project.spec("fast", name="fast", apt_packages=["gcc", "python3-dev"])
    project.succeed("lock", spec)
    assert project.locked(spec)["fast"].file == "fast-1.0-cp311-cp311-linux_x86_64.whl"


def test_check_says_what_would_be_built_and_builds_nothing(project: Project) -> None:
    done = project.taskimage("check", project.spec("docopt", name="docopt"))
    assert "would be built: docopt 0.6.2" in done.stdout + done.stderr
    assert "Building" not in done.stderr


def test_a_real_package_without_a_wheel_is_built_and_runs(project: Project) -> None:
    spec = project.spec("docopt==0.6.2", name="docopt")
    project.succeed("lock", spec)
    done = project.taskimage(
        "run", "--quiet", spec, "--", "python", "-c", "import docopt; print(docopt.__version__)"
    )
    assert done.stdout == "0.6.2\n", done.stderr
