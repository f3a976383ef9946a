"""One spec, two architectures, one machine: an index whose images both have bytecode, the same that their own Pythons make.

What only a machine of the other architecture could show, QEMU's user mode emulation shows here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.command import Command

from taskimage.adapters.bytecode import Compiler
from taskimage.adapters.processors import available
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import host_machine
from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.lock import PlatformLock
from taskimage.model.oci import Platform
from taskimage.transform import bytecode
from taskimage.transform.effects.emulation import byte_compiled
from taskimage.transform.entry import Entry
from taskimage.transform.runtime import PREFIX
from taskimage.verbs.compile import Bytecode
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.interpreter import Interpreter
from taskimage.verbs.lock import lock_path, read_lock
from taskimage.verbs.tools import Tools

HERE = Platform.of_host(sys.platform, host_machine())
OTHER = Platform("linux", "amd64" if HERE.architecture == "arm64" else "arm64")
QEMU = shutil.which(f"qemu-{OTHER.machine}-static")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="Debian's interpreters are run"),
]
emulated = pytest.mark.skipif(QEMU is None, reason=f"needs QEMU for {OTHER}")

PACKAGES = ("numpy==2.1.3", "requests==2.32.3", "markupsafe==3.0.2")
SITE = "opt/venv/lib/python3.11/site-packages"
PROGRAM = f"""
import sys
compiled = []
sys.addaudithook(lambda event, args: compiled.append(args[1]) if event == "compile" else None)
import json, platform, markupsafe, numpy, requests
from markupsafe import _speedups
files = [module.__cached__ for module in sys.modules.values() if getattr(module, "__cached__", None)]
print(json.dumps({{
    "machine": platform.machine(),
    "numpy": numpy.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0]).tolist(),
    "cached": len([file for file in files if file.startswith("/{SITE}/")]),
    "compiled": [file for file in compiled if str(file).endswith(".py")],
    "extension": _speedups.__file__,
}}))
"""


@dataclass(frozen=True)
class Case:
    """A spec that is locked, and its image in ``layout``."""

    spec: Path
    command: Command
    layout: Path
    said: str

    @property
    def locks(self) -> dict[Platform, PlatformLock]:
        """The inputs of each platform."""
        lock = read_lock(lock_path(self.spec))
        assert lock is not None
        return {one.platform: one for one in lock.platforms}

    @property
    def index(self) -> dict[str, Any]:
        """The document that its name stands for."""
        words = ["skopeo", "inspect", "--raw", f"oci:{self.layout}:it"]
        return dict(json.loads(subprocess.run(words, check=True, capture_output=True).stdout))


def built(folder: Path, *platforms: Platform, home: Path | None = None) -> Case:
    spec = folder / "image.yaml"
    document = {
        "name": "everywhere",
        "python_version": "3.11",
        "platform": ",".join(map(str, platforms)),
        "packages": PACKAGES,
        "builder_options": {"taskimage": {"runtime": "none"}},
    }
    spec.write_text(json.dumps(document))  # JSON is YAML
    command = Command(home or folder / "home")
    command.succeed("lock", str(spec))
    done = command("build", "--locked", str(spec), "-o", f"oci:{folder / 'layout'}:it")
    assert done.returncode == 0, done.stderr
    return Case(spec, command, folder / "layout", done.stderr)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """An image for both architectures."""
    return built(tmp_path_factory.mktemp("both"), HERE, OTHER)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """An image for the other architecture alone."""
    return built(tmp_path_factory.mktemp("other"), OTHER)


def manifest(case: Case, digest: str) -> dict[str, Any]:
    return dict(json.loads((case.layout / "blobs" / digest.replace(":", "/")).read_bytes()))


def layers_of(case: Case, platform: Platform) -> list[str]:
    index = case.index
    entries = index.get("manifests", [])
    found = [one["digest"] for one in entries if one["platform"]["architecture"] == platform.architecture]
    document = manifest(case, found[0]) if entries else index
    return [layer["digest"] for layer in document["layers"]]


def test_one_command_makes_one_index_that_other_tools_read(both: Case) -> None:
    index = both.index
    assert [one["platform"] for one in index["manifests"]] == [HERE.to_dict(), OTHER.to_dict()]
    for platform in (HERE, OTHER):
        words = ["skopeo", "inspect", "--override-arch", platform.architecture, f"oci:{both.layout}:it"]
        said = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        assert said["Architecture"] == platform.architecture
        assert len(said["Layers"]) == len(layers_of(both, platform))


@pytest.mark.skipif(shutil.which("oci-image-tool") is None, reason="needs oci-image-tool")
def test_the_index_and_its_images_are_what_the_specification_says(both: Case) -> None:
    words = ["oci-image-tool", "validate", "--type", "image", "--ref", "name=it", str(both.layout)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_where_the_image_is_for_this_machine_too_its_interpreter_there_compiles_for_both(both: Case) -> None:
    assert "is compiled by" not in both.said
    assert len(list((both.command.home / "interpreters").iterdir())) == 1


def test_where_it_is_not_debian_s_same_version_for_this_machine_compiles_the_same_layers(
    both: Case, other: Case
) -> None:
    assert f"bytecode for {OTHER} is compiled by Debian CPython 3.11.2 for {HERE}" in other.said
    assert layers_of(other, OTHER) == layers_of(both, OTHER)


def test_what_is_of_no_architecture_is_in_layers_that_both_images_share(both: Case) -> None:
    assert set(layers_of(both, HERE)) & set(layers_of(both, OTHER))


def test_the_stand_in_is_remembered_so_that_a_build_offline_has_it(other: Case, tmp_path: Path) -> None:
    there = other.command.home
    for name in ("inputs", "records"):
        shutil.copytree(there / name, tmp_path / "home" / name)
    shutil.rmtree(tmp_path / "home" / "records" / "layers")
    done = Command(tmp_path / "home")("build", "--locked", "--offline", str(other.spec))
    assert done.returncode == 0, done.stderr
    assert "is compiled by" not in done.stderr


def test_vendor_takes_what_compiles_along(other: Case, tmp_path: Path) -> None:
    other.command.succeed("vendor", str(other.spec), "-o", str(tmp_path / "vendor"))
    words = ["build", "--locked", "--offline", str(other.spec), "-o", f"oci:{tmp_path / 'layout'}:it"]
    Command(tmp_path / "vendor", {"TASKIMAGE_DEBIAN_MIRROR": "http://127.0.0.1:9"}).succeed(*words)
    assert (tmp_path / "layout/index.json").read_bytes() == (other.layout / "index.json").read_bytes()


@emulated
def test_a_foreign_image_runs_under_emulation_and_compiles_nothing(other: Case) -> None:
    words = ["run", "-v", f"{QEMU}:/qemu:ro", f"oci:{other.layout}:it", "--", "/qemu", "/opt/venv/bin/python"]
    said = json.loads(other.command.succeed(*words, "-c", PROGRAM))
    assert said["machine"] == OTHER.machine
    assert said["numpy"] == [0.5, 0.25]
    assert said["cached"] > 150
    assert said["compiled"] == []
    assert said["extension"].endswith(f"cpython-311-{OTHER.machine}-linux-gnu.so")


@emulated
def test_the_linker_s_cache_is_what_the_other_architecture_s_own_ldconfig_writes(
    other: Case, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    run = ["run", "-v", f"{QEMU}:/qemu:ro", "-v", f"{tmp_path}:/mnt", f"oci:{other.layout}:it", "--", "/qemu"]
    other.command.succeed(*run, "/usr/sbin/ldconfig", "-X", "-C", "/mnt/cache")
    other.command.succeed(*run, "/usr/bin/cmp", "/mnt/cache", "/etc/ld.so.cache")


@emulated
def test_on_a_base_of_the_other_architecture_debian_s_same_version_compiles_too(
    other: Case, tmp_path: Path
) -> None:
    common = {
        "python_version": "3.11",
        "platform": str(OTHER),
        "builder_options": {"taskimage": {"runtime": "none"}},
    }
    base = {"name": "below", "packages": PACKAGES, **common}
    spec = tmp_path / "image.yaml"
    spec.write_text(
        json.dumps({"name": "above", "packages": ["attrs==24.2.0"], "base_image": base, **common})
    )
    done = other.command("build", str(spec))
    assert done.returncode == 0, done.stderr
    assert f"bytecode for {OTHER} is compiled by Debian CPython 3.11.2 for {HERE}" in done.stderr
    program = "import attrs, platform; print(platform.machine(), attrs.__cached__)"
    words = ["run", "-v", f"{QEMU}:/qemu:ro", str(spec), "--", "/qemu", "/opt/venv/bin/python", "-c", program]
    cached = f"/{SITE}/attrs/__pycache__/__init__.cpython-311.pyc"
    assert other.command.succeed(*words) == f"{OTHER.machine} {cached}\n"


def test_what_this_machine_cannot_run_says_so(other: Case) -> None:
    done = other.command("run", f"oci:{other.layout}:it", "--", "python", "-c", "print(6 * 7)")
    if done.returncode == 0:  # the kernel knows an emulator
        assert done.stdout == "42\n"
        return
    assert done.returncode in (125, 126)
    assert f"the image is for {OTHER}, and this machine is {HERE}" in done.stderr
    assert "qemu-user-static" in done.stderr


@emulated
def test_the_other_architecture_s_own_interpreter_makes_the_same_bytecode(other: Case) -> None:
    """Byte for byte, of every module of the packages and of Debian's library."""
    tools = Tools(Settings(home=other.command.home))
    lock = other.locks[OTHER]
    with (
        Inputs(tools, asked=Asked(), python=lock.python.minor, prefix=PREFIX) as inputs,
        Bytecode(tools, inputs, lock) as here,
    ):
        debs = [pin for pin in lock.base if pin.package.startswith(("python3", "libpython3"))]
        sources = [(here.of_wheel(pin), inputs.wheel(pin).entries) for pin in lock.wheels]
        sources.append((here.of_debs(debs), byte_compiled([inputs.deb(pin) for pin in debs])))
        command = Interpreter(tools, inputs, lock, None).command()
        count = 0
        with Compiler([str(QEMU), *command], workers=available()) as there:
            assert there.version == lock.python.version
            for made_here, entries in sources:
                made_there = {
                    bytecode.pyc_path(path, lock.python.minor).lstrip("/"): pyc
                    for path, pyc in there.compile(bytecode.items(bytecode.sources(entries)))
                    if pyc is not None
                }
                assert made_there == {entry.path: contents(entry) for entry in made_here}
                count += len(made_there)
    assert count > 500


def contents(entry: Entry) -> bytes:
    assert entry.body is not None
    with entry.body.open() as stream:
        return stream.read()
