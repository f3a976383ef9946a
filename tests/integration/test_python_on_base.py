"""A virtual environment on the Python of a base image: what is taken from the base, and what overrides it.

The base is a small Debian with Python and numpy, made by mmdebstrap; other interpreters are put into it where
images have theirs. Everything runs in a sandbox, with the base's own interpreter.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from taskimage.adapters.http import Http
from taskimage.adapters.pypi import PyPI, Resolution
from taskimage.adapters.rootfs import unpack
from taskimage.adapters.sandbox import Job, Volume, find_sandbox
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.store import Store
from taskimage.model.base import BaseFacts, Interpreter
from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.lock import BasePin, PlatformLock, PythonPin, WheelPin
from taskimage.model.oci import ExecutionConfig, Platform
from taskimage.transform.base import BaseLayer, facts_of, read_base
from taskimage.transform.entry import Entry
from taskimage.transform.layer import write_layer
from taskimage.transform.runtime import PREFIX, runtime_config
from taskimage.transform.venv import venv_entries
from taskimage.transform.wheel import read_wheel
from taskimage.verbs.base import Base as BaseImage
from taskimage.verbs.compile import Bytecode
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

pytestmark = pytest.mark.integration

HERE = Platform.parse(f"linux/{os.uname().machine}")
VERSION, MINOR = platform.python_version(), "{}.{}".format(*sys.version_info)


# -- the base ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image of one layer: its blob, its files on the disk, and what is known of them."""

    blob: Path
    digest: Digest
    root: Path
    facts: BaseFacts

    @property
    def python(self) -> Interpreter:
        (python,) = self.facts.interpreters
        return python


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, debian_base: Path) -> Base:
    folder = tmp_path_factory.mktemp("base")
    blob, root = debian_base, folder / "root"
    with tempfile.TemporaryFile(dir=folder) as spool:
        layer = BaseLayer(partial(_open, blob), blob.stat().st_size, "the base")
        facts = facts_of(read_base([layer], cast("BinaryIO", spool)), platform=HERE, env={})
    digest = Digest.of(blob.read_bytes())
    root.mkdir()
    unpack([(blob, digest)], root)
    return Base(blob=blob, digest=digest, root=root, facts=facts)


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", path.open("rb"))


def folder_of(entries: Sequence[Sequence[Entry]], folder: Path) -> Path:
    """``entries`` on the disk, by way of a layer."""
    blob = folder / "layer"
    with blob.open("wb") as file:
        write_layer(entries, file.write)
    root = folder / "tree"
    root.mkdir(parents=True)
    unpack([(blob, Digest.of(blob.read_bytes()))], root)
    return root


# -- what is put on it, and run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return Tools(Settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def resolve(tools: Tools, base: Base) -> Callable[..., Resolution]:
    """A function that resolves packages for the base's Python, and has the wheels in the store."""
    pypi = PyPI(tools.store, Http())

    def resolve(*packages: str) -> Resolution:
        assert base.facts.glibc is not None
        found = pypi.resolve(
            Asked(packages=packages),
            python=base.python.version,
            platform=HERE,
            installed=base.python.distributions,
            glibc=base.facts.glibc,
        )
        pypi.fetch(found.wheels, Asked(), moved=lambda _: None)
        return found

    return resolve


Python = Callable[..., Any]


@pytest.fixture
def python(base: Base, tools: Tools, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Python:
    """A function that puts wheels into a venv on the base, and gives what a program prints there, from JSON.

    Without ``command`` it is the venv's Python that runs ``program``.
    """

    def python(
        program: str,
        *,
        wheels: Sequence[WheelPin] = (),
        interpreter: Interpreter = base.python,
        volumes: Sequence[Volume] = (),
        command: Sequence[str] = ("python", "-c"),
    ) -> Any:
        read = [
            read_wheel(
                partial(_open, tools.store.input_path(pin.digest)), python=interpreter.minor, where=pin.file
            ).entries
            for pin in wheels
        ]
        venv = venv_entries(python=interpreter.executable, version=interpreter.version, system_site=True)
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        (folder / "scratch").mkdir()
        tree = folder_of([venv, *read], folder)
        capfd.readouterr()
        ended = find_sandbox().run(
            Job(
                root=base.root,
                argv=[*command, program],
                env=runtime_config(
                    image_id="x", base=ExecutionConfig(env=("PYTHONHOME=/nowhere",))
                ).environment,
                scratch=folder / "scratch",
                volumes=[Volume(tree / "opt/venv", PREFIX, read_only=True), *volumes],
            )
        )
        out, err = capfd.readouterr()
        assert (ended.code, ended.reason) == (0, ""), err
        return json.loads(out)

    return python


WHERE = """
import importlib.metadata as metadata, json, numpy
found = [one for one in metadata.distributions() if one.metadata["Name"] == "numpy"]
print(json.dumps([numpy.__file__, metadata.version("numpy"), [one.version for one in found]]))
"""


# -- packages ------------------------------------------------------------------------------------------------


def test_what_the_base_has_is_used_and_not_installed(
    base: Base, resolve: Callable[..., Resolution], python: Python
) -> None:
    found = resolve("pandas")
    assert "numpy" not in {pin.name for pin in found.wheels}
    assert [(one.name, one.version) for one in found.installed] == [("numpy", "1.24.2")]
    program = "import json, numpy, pandas; print(json.dumps([numpy.__file__, pandas.__file__, pandas.Series([1, 2]).sum().item()]))"
    numpy, pandas, total = python(program, wheels=found.wheels)
    assert numpy.startswith("/usr/lib/python3/dist-packages/")
    assert pandas.startswith(f"{PREFIX}/lib/python{base.python.minor}/site-packages/")
    assert total == 3


def test_an_override_is_imported_from_the_venv_and_listed_twice_the_venv_s_first(
    base: Base, resolve: Callable[..., Resolution], python: Python
) -> None:
    (numpy,) = resolve("numpy>=2,<2.3").wheels
    file, version, all_versions = python(WHERE, wheels=[numpy])
    assert file.startswith(f"{PREFIX}/lib/python{base.python.minor}/site-packages/numpy/")
    assert version == numpy.version
    assert all_versions == [numpy.version, "1.24.2"]


def test_programs_of_the_base_keep_to_the_base_s_own_packages(
    resolve: Callable[..., Resolution], python: Python
) -> None:
    (numpy,) = resolve("numpy>=2,<2.3").wheels
    code = "import json, subprocess; print(json.dumps(subprocess.check_output(['/usr/bin/f2py', '-v'], text=True).split()))"
    assert python(code, wheels=[numpy])[0] == "1.24.2"
    file, *_ = python(WHERE, wheels=[numpy], command=["/usr/bin/python3", "-c"])
    assert file.startswith("/usr/lib/python3/dist-packages/numpy/")


# -- interpreters elsewhere ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CPython with its prefix, which may be anywhere, and two projects, one of them edited in its own folder."""
    folder = tmp_path_factory.mktemp("prefix")
    (folder / "bin").mkdir()
    # As conda's do, it looks for its libraries beside itself: the text of its DT_RUNPATH is replaced in place.
    built_in = f"{sysconfig.get_config_var('LIBDIR')}".encode()
    program = Path(sys.executable).resolve().read_bytes()
    program = program.replace(built_in + b"\0", b"$ORIGIN/../lib".ljust(len(built_in) + 1, b"\0"))
    (folder / f"bin/python{MINOR}").write_bytes(program)
    (folder / f"bin/python{MINOR}").chmod(0o755)
    library = folder / f"lib/python{MINOR}"
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        library,
        ignore=shutil.ignore_patterns("__pycache__", "test", "site-packages", "config-*", "idlelib"),
    )
    if shared := sysconfig.get_config_var("INSTSONAME"):
        for found in Path(sysconfig.get_config_var("LIBDIR")).glob(f"{shared}*"):
            shutil.copy(found, folder / "lib")
    packages = library / "site-packages"
    packages.mkdir()
    (packages / "here.py").write_text("")
    (packages / "edited.pth").write_text(f"{packages.parent}/../../src\n".replace(str(folder), "/opt/conda"))
    (folder / "src").mkdir()
    (folder / "src/edited.py").write_text("")
    return folder


@pytest.mark.parametrize("at", ["/usr/local", "/opt/conda"])
def test_the_venv_stands_on_an_interpreter_wherever_that_is(prefix: Path, python: Python, at: str) -> None:
    interpreter = Interpreter(executable=f"{at}/bin/python{MINOR}", version=VERSION)
    program = "import here, json, sys; print(json.dumps([sys.prefix, sys.base_prefix, here.__file__, json.__file__]))"
    found = python(program, interpreter=interpreter, volumes=[Volume(prefix, at, read_only=True)])
    library = f"{at}/lib/python{MINOR}"
    assert found == [PREFIX, at, f"{library}/site-packages/here.py", f"{library}/json/__init__.py"]


def test_a_project_of_the_base_that_is_edited_in_place_is_imported(prefix: Path, python: Python) -> None:
    at = "/opt/conda"
    interpreter = Interpreter(executable=f"{at}/bin/python{MINOR}", version=VERSION)
    program = "import edited, json, os; print(json.dumps(os.path.realpath(edited.__file__)))"
    found = python(program, interpreter=interpreter, volumes=[Volume(prefix, at, read_only=True)])
    assert found == f"{at}/src/edited.py"


# -- bytecode ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def six(resolve: Callable[..., Resolution]) -> WheelPin:
    (pin,) = resolve("six==1.17.0").wheels
    return pin


@pytest.fixture
def fresh(tools: Tools, six: WheelPin, tmp_path: Path) -> Tools:
    """A store that has the wheel, and nothing that was compiled."""
    made = Tools(Settings(home=tmp_path / "fresh"))
    keep(made.store, tools.store.input_path(six.digest).read_bytes(), where=six.file)
    return made


def keep(store: Store, data: bytes, *, where: str) -> None:
    with store.pending_input(Digest.of(data), len(data), where=where) as pending:
        pending.write(data)


class Layers(BaseImage):
    """A base image of layers that are in no registry."""

    def __init__(self, tools: Tools, layers: Sequence[tuple[Path, Digest]]) -> None:
        manifest = Digest.of(b"".join(str(digest).encode() for _, digest in layers))
        self.pin = BasePin(name="example.org/base:1", digest=manifest, manifest=manifest)
        self._layers = list(layers)
        super().__init__(tools, self.pin, HERE)

    def blobs(self) -> list[tuple[Path, Digest]]:
        return self._layers


def compiled(tools: Tools, pin: WheelPin, python: PythonPin, *blobs: Path) -> tuple[Entry, ...]:
    """The bytecode of a wheel, made by ``python`` on a base whose layers are ``blobs``."""
    base = Layers(tools, [(blob, Digest.of(blob.read_bytes())) for blob in blobs])
    lock = PlatformLock(
        platform=HERE,
        suite="",
        python=python,
        image=base.pin,
        wheels=(pin,),
    )
    with (
        Inputs(tools, asked=Asked(), python=python.minor, prefix=PREFIX) as inputs,
        Bytecode(tools, inputs, lock, base=base) as compiler,
    ):
        return compiler.of_wheel(pin)


def magic(entries: Sequence[Entry]) -> bytes:
    """The number that the one .pyc begins with, by which Python knows what it can read."""
    (entry,) = entries
    assert entry.body is not None
    with entry.body.open() as stream:
        return stream.read(4)


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_base_s_interpreter_compiles_from_a_small_part_of_the_base(
    base: Base, six: WheelPin, fresh: Tools, python: Python
) -> None:
    pin = PythonPin(version=base.python.version, source="base", path=base.python.executable)
    entries = compiled(fresh, six, pin, base.blob)
    (kept,) = (fresh.store.home / "interpreters").iterdir()
    assert not list(kept.glob("usr/lib/python3/dist-packages/numpy/*.py"))
    assert size_of(kept) < size_of(base.root) / 2
    program = "import importlib.util as util, json; print(json.dumps(list(util.MAGIC_NUMBER)))"
    assert list(magic(entries)) == python(program)


def test_an_interpreter_of_conda_s_layout_compiles_with_the_libraries_beside_it(
    base: Base, prefix: Path, six: WheelPin, fresh: Tools, tmp_path: Path
) -> None:
    blob = tmp_path / "conda.tar"
    with tarfile.open(blob, "w") as archive:
        archive.add(prefix, "opt/conda")
    pin = PythonPin(version=VERSION, source="base", path=f"/opt/conda/bin/python{MINOR}")
    assert magic(compiled(fresh, six, pin, base.blob, blob)) == importlib.util.MAGIC_NUMBER


def test_a_standalone_interpreter_compiles_with_the_c_library_of_the_base(
    base: Base, prefix: Path, six: WheelPin, fresh: Tools, tmp_path: Path
) -> None:
    blob = tmp_path / "standalone.tar.gz"
    with tarfile.open(blob, "w:gz") as archive:
        archive.add(prefix, "python")
    data = blob.read_bytes()
    pin = PythonPin(
        version=VERSION, source="standalone", path=blob.name, size=len(data), digest=Digest.of(data)
    )
    keep(fresh.store, data, where=blob.name)
    assert magic(compiled(fresh, six, pin, base.blob)) == importlib.util.MAGIC_NUMBER


def test_an_interpreter_of_another_version_than_locked_compiles_nothing(
    base: Base, six: WheelPin, fresh: Tools
) -> None:
    pin = PythonPin(version=f"{base.python.minor}.99", source="base", path=base.python.executable)
    with pytest.raises(IntegrityError, match=rf"Python {base.python.version}, locked as {pin.version}"):
        compiled(fresh, six, pin, base.blob)
    assert not (fresh.store.home / "bytecode").exists()
