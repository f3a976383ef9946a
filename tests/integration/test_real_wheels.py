"""Real wheels: installed as `installer`, the reference, does it; compiled the same every time."""

from __future__ import annotations

import csv
import io
import os
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import installer
import pytest

from taskimage.adapters.bytecode import Compiler
from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.store import Store
from taskimage.model.lock import WheelPin
from taskimage.model.oci import Platform
from taskimage.transform.bytecode import items, pack, unpack
from taskimage.transform.entry import Deflated
from taskimage.transform.layer import write_layer
from taskimage.transform.wheel import Wheel, read_wheel

pytestmark = pytest.mark.integration

MINOR = "{}.{}".format(*sys.version_info)
Item = tuple[str, bytes]
# Programs, headers, data files, scripts and commands, besides modules and libraries.
PACKAGES = (
    "numpy==2.2.6", "pandas==2.3.3", "pyarrow==21.0.0", "scikit-learn==1.7.2", "requests==2.32.5", "ruff==0.14.0",
    "greenlet==3.2.4", "jmespath==1.0.1", "jsonschema==4.25.1", "widgetsnbextension==4.0.14", "debugpy==1.8.17",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[WheelPin, Path]:
    """Wheels from the package index for the Python that runs the tests, by their pins."""
    store, http = Store(tmp_path_factory.mktemp("wheels")), Http()
    pypi = PyPI(store, http)
    here = Platform.parse(f"linux/{os.uname().machine}")
    pins = pypi.resolve(Asked(packages=PACKAGES), python=platform.python_version(), platform=here).wheels
    pypi.fetch(pins, Asked(), moved=lambda _: None)
    return {pin: store.input_path(pin.digest) for pin in pins}


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", path.open("rb"))


def read(pin: WheelPin, path: Path, prefix: Path) -> Wheel:
    return read_wheel(partial(_open, path), prefix=str(prefix).lstrip("/"), python=MINOR, where=pin.file)


def installed(venv: Path, wheel: Path) -> dict[str, bytes]:
    """What the installer adds to an empty venv, by path; headers under the folder where pip puts them."""
    environ = {"PYTHONPATH": str(Path(installer.__file__).parents[1]), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    before = set(venv.rglob("*"))
    command: list[str | Path] = [venv / "bin/python", "-m", "installer", "--no-compile-bytecode", wheel]
    subprocess.run(command, env=environ, check=True)
    files = {path for path in set(venv.rglob("*")) - before if path.is_file() and "lib64" not in path.parts}
    theirs, ours = f"include/python{MINOR}/", f"include/site/python{MINOR}/"
    return {
        str(path)[1:].replace(theirs, ours): path.read_bytes().replace(theirs.encode(), ours.encode())
        if path.name == "RECORD"
        else path.read_bytes()
        for path in files
    }


def without_installer(record: bytes) -> bytes:
    return b"".join(line for line in record.splitlines(keepends=True) if b"/INSTALLER," not in line)


def test_files_and_bytes_are_those_that_the_installer_writes(
    wheels: Mapping[WheelPin, Path], tmp_path: Path
) -> None:
    assert len(wheels) > 15
    for pin, path in wheels.items():
        venv = tmp_path / pin.name
        named = tmp_path / pin.file
        named.symlink_to(path)
        found = {}
        for entry in read(pin, path, venv).entries:
            assert entry.body is not None
            with entry.body.open() as stream:
                data = stream.read()
            if not entry.path.endswith(".dist-info/INSTALLER"):
                found[entry.path] = without_installer(data) if entry.path.endswith("/RECORD") else data
        wanted = installed(venv, named)
        assert found.keys() == wanted.keys(), pin.file
        assert [name for name in found if found[name] != wanted[name]] == [], pin.file


def test_what_python_sees_of_a_wheel_is_complete(wheels: Mapping[WheelPin, Path]) -> None:
    for pin, path in wheels.items():
        wheel = read(pin, path, Path("/opt/venv"))
        assert (wheel.name, wheel.version) == (pin.name, pin.version)
        (record,) = (entry for entry in wheel.entries if entry.path.endswith(".dist-info/RECORD"))
        site = record.path.rsplit("/", 2)[0]
        assert record.body is not None
        with record.body.open() as stream:
            rows = [row[0] for row in csv.reader(io.StringIO(stream.read().decode()))]
        listed = {os.path.normpath(f"{site}/{row}") for row in rows}
        assert listed == {entry.path for entry in wheel.entries}


def test_nearly_everything_stays_compressed_and_is_what_its_archive_states(
    wheels: Mapping[WheelPin, Path],
) -> None:
    for pin, path in wheels.items():
        entries = read(pin, path, Path("/opt/venv")).entries
        changed = [entry for entry in entries if entry.size > 100 and not isinstance(entry.body, Deflated)]
        assert sum(entry.size for entry in changed) < 500_000, pin.file
        write_layer([entries], lambda _: None)


# -- bytecode ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sources(wheels: Mapping[WheelPin, Path]) -> list[Item]:
    """Every source of the wheels that is compiled."""

    found: list[Item] = []
    for pin, path in wheels.items():
        found += items(read_wheel(partial(_open, path), python=MINOR, where=pin.file).entries)
    return found


def interpreters() -> list[str]:
    """The interpreter of the tests, and those of any version that answer to their names on this machine."""
    found = {os.path.realpath(sys.executable)}
    for minor in range(8, 20):
        if path := shutil.which(f"python3.{minor}"):
            answer = subprocess.run(
                [path, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=False
            )
            found |= {os.path.realpath(line) for line in answer.stdout.splitlines()}
    return sorted(found)


@pytest.mark.parametrize("python", interpreters())
def test_order_workers_and_hash_seeds_change_nothing(python: str, sources: list[Item]) -> None:
    """Every process has a hash seed of its own, as workers get no environment."""
    archives = set()
    for seed, workers in ((0, 2), (1, 1)):
        shuffled = list(sources)
        random.Random(seed).shuffle(shuffled)
        with Compiler([python], workers=workers) as compiler:
            archives.add(pack(compiler.compile(shuffled), python=MINOR))
    assert len(archives) == 1


def test_python_imports_it_and_never_looks_at_the_source(sources: list[Item], tmp_path: Path) -> None:
    package = [(path, data) for path, data in sources if "/site-packages/jmespath/" in path]
    archive = tmp_path / "bytecode.zip"
    with Compiler([sys.executable], workers=2) as compiler:
        archive.write_bytes(pack(compiler.compile(package), python=MINOR))
    files = {path[1:]: b"raise SystemExit('the source was compiled again')\n" for path, _ in package}
    for entry in unpack(partial(_open, archive), where="x"):
        assert entry.body is not None
        with entry.body.open() as stream:
            files[entry.path] = stream.read()
    for path, data in files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    shown = subprocess.run(
        [sys.executable, "-c", "import jmespath; print(jmespath.search('a.b', {'a': {'b': 7}}))"],
        env={"PYTHONPATH": str(tmp_path / f"opt/venv/lib/python{MINOR}/site-packages")},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown == "7\n"
