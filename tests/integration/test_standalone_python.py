"""An image whose interpreter is a standalone build: from uv's list and a mirror to what runs in it.

A mirror on loopback has, where uv lists it, an archive of the shape that standalone builds have, made of the
interpreter of the tests.
"""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
import uv
from tests.command import Command
from tests.sources import Mirror

from taskimage.adapters import layout
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.lock import PlatformLock, PythonPin
from taskimage.verbs.lock import lock_path, read_lock, write_lock

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="standalone builds of Linux are built and run"),
]

VERSION = platform.python_version()
MINOR = "{}.{}".format(*sys.version_info)
OPTIONAL = ("sqlite3", "ctypes", "bz2", "lzma", "readline", "uuid")
MODULES = [name for name in OPTIONAL if importlib.util.find_spec(name if name == "sqlite3" else f"_{name}")]


def spec_text(version: str, machine: str = os.uname().machine) -> str:
    """A spec for ``version`` on a ``machine``. One of its packages has a wheel for each Python, one depends on the exact version.

    Standalone builds bring all libraries with them. The interpreter of the tests has those that Debian has, so
    the image gets them from there.
    """
    document = {
        "name": "standalone",
        "python_version": version,
        "platform": f"linux/{machine}",
        "packages": [
            "markupsafe==3.0.3",
            f"six==1.16.0; python_full_version == '{VERSION}'",
            f"iniconfig==2.0.0; python_full_version != '{VERSION}'",
        ],
        "apt_packages": [
            "libssl3", "libsqlite3-0", "libffi8", "zlib1g", "libbz2-1.0", "liblzma5", "libreadline8",
            "libncursesw6", "libuuid1",
        ],
        "builder_options": {"taskimage": {"runtime": "none"}},
    }  # fmt: skip
    return json.dumps(document, indent=1)  # JSON is YAML


# -- the mirror ----------------------------------------------------------------------------------------------


def listed() -> str:
    """Where below a mirror's root uv looks for the interpreter of the tests; empty when it lists none."""
    command = [
        uv.find_uv_bin(),
        "python",
        "list",
        VERSION,
        "--only-downloads",
        "--all-versions",
        "--no-config",
    ]
    output = subprocess.run(
        [*command, "--offline", "--output-format", "json"], check=True, capture_output=True
    ).stdout
    urls = [
        entry["url"]
        for entry in json.loads(output)
        if (entry["version"], entry["implementation"], entry["variant"]) == (VERSION, "cpython", "default")
    ]
    return str(urls[0]).partition("/releases/download/")[2] if urls else ""


def interpreter() -> bytes:
    """The interpreter of the tests as an archive of the shape that standalone builds have, with pip in it."""
    base, out = Path(sys.base_prefix), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        add(archive, f"python/bin/python{MINOR}", program(base))
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, f"python{MINOR}"
            archive.addfile(link)
        for library in (base / "lib").glob("libpython*.so*"):
            archive.add(library, f"python/lib/{library.name}", filter=owned)
        archive.add(base / "lib" / f"python{MINOR}", f"python/lib/python{MINOR}", filter=kept)
        add(archive, f"python/lib/python{MINOR}/site-packages/pip/__init__.py", b"")
    return out.getvalue()


def program(base: Path) -> bytes:
    """The program, which looks for its own library beside it as standalone builds do."""
    data = Path(sys.executable).resolve().read_bytes()
    there, beside = str(base / "lib").encode() + b"\0", b"$ORIGIN/../lib"
    return data.replace(there, beside.ljust(len(there), b"\0")) if len(there) > len(beside) else data


def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = member.name.split("/")
    left_out = {"site-packages", "test", "tests"} & set(parts) or parts[-1].endswith(".a")
    return None if left_out else owned(member)


def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """``member`` as it comes from whoever made the archive."""
    member.uid, member.gid, member.uname, member.gname = 1234, 1234, "builder", "builder"
    return member


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = owned(tarfile.TarInfo(name))
    member.size, member.mode = len(data), 0o775
    archive.addfile(member, io.BytesIO(data))


# -- the image -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standalone:
    """An image in its store, and the mirror and archive that it was built from."""

    command: Command
    spec: Path
    reference: str
    mirror: Mirror
    path: str
    archive: bytes

    @property
    def lock(self) -> PlatformLock:
        """The lock beside the spec, for its one platform."""
        found = read_lock(lock_path(self.spec))
        assert found is not None
        return found.platforms[0]

    def python(self, program: str, *options: str) -> subprocess.CompletedProcess[str]:
        """What came of a Python program inside of the image."""
        done = self.command("run", "--quiet", self.reference, "--", "python", *options, "-c", program)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """The image, locked and built."""
    path = listed()
    if not path:
        pytest.skip(f"uv lists no standalone CPython {VERSION}")
    if tuple(map(int, platform.libc_ver()[1].split("."))) > (2, 36):
        pytest.skip("the interpreter of the tests needs a newer glibc than bookworm's")
    folder = tmp_path_factory.mktemp("standalone")
    (folder / "mirror").mkdir()
    mirror = Mirror(folder / "mirror")
    try:
        archive = interpreter()
        mirror.write(unquote(path), archive)
        command = Command(folder / "home", {"UV_PYTHON_INSTALL_MIRROR": mirror.url})
        spec = folder / "image.yaml"
        spec.write_text(spec_text(VERSION))
        command.succeed("lock", str(spec))
        reference = command.succeed("build", "--locked", str(spec)).strip()
        yield Standalone(command, spec, reference, mirror, path, archive)
    finally:
        mirror.close()


def test_the_lock_pins_the_archive_that_uv_lists_by_what_the_mirror_served(standalone: Standalone) -> None:
    python = standalone.lock.python
    assert (python.source, python.version, python.path) == ("standalone", VERSION, standalone.path)
    assert python.size == len(standalone.archive)
    assert python.digest == Digest.of(standalone.archive)
    assert standalone.mirror.asked == [f"/{standalone.path}"]


def test_wheels_are_chosen_for_the_exact_version(standalone: Standalone) -> None:
    files = {pin.name: pin.file for pin in standalone.lock.wheels}
    assert sorted(files) == ["markupsafe", "six"]
    assert f"-cp{MINOR.replace('.', '')}-" in files["markupsafe"]


def test_debian_s_own_interpreter_is_not_there_as_well(standalone: Standalone) -> None:
    names = {pin.package for pin in standalone.lock.base}
    assert [name for name in names if "python" in name] == []


def test_the_environment_is_of_this_interpreter_and_has_its_packages_alone(standalone: Standalone) -> None:
    program = (
        "import importlib.metadata as m, importlib.util, json, markupsafe._speedups, platform, six, sys\n"
        "print(json.dumps([platform.python_version(), sys.executable, sys.prefix, sys.base_prefix,"
        " sorted(d.name.lower() for d in m.distributions()), importlib.util.find_spec('pip')]))"
    )
    assert json.loads(standalone.python(program).stdout) == [
        VERSION, "/opt/venv/bin/python", "/opt/venv", "/opt/python", ["markupsafe", "six"], None,
    ]  # fmt: skip


def test_its_extension_modules_load(standalone: Standalone) -> None:
    names = ", ".join((*MODULES, "ssl", "zlib"))
    loaded = standalone.python(f"import {names}; print(zlib.__name__, ssl.OPENSSL_VERSION)").stdout
    assert loaded.startswith("zlib OpenSSL")


def test_libraries_of_the_linux_standard_base_are_there(standalone: Standalone) -> None:
    """What standalone builds do not bring: some older ones need libcrypt even to start."""
    standalone.python("import ctypes; [ctypes.CDLL(f'lib{n}') for n in ('c.so.6', 'm.so.6', 'crypt.so.1')]")


def test_ssl_finds_the_certificates(standalone: Standalone) -> None:
    program = (
        "import os, ssl; path = ssl.get_default_verify_paths().capath\n"
        "print(path, sum(name.endswith('.0') for name in os.listdir(path)) > 100)"
    )
    assert standalone.python(program).stdout.split() == ["/etc/ssl/certs", "True"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before 3.11 some bytecode is left out")
def test_nothing_is_compiled_anew_on_import(standalone: Standalone) -> None:
    """Python says with -v where each module's code comes from."""
    shown = standalone.python("import asyncio, email, json, markupsafe, six, ssl", "-v").stderr
    lines = [line for line in shown.splitlines() if line.startswith("# code object from ")]
    assert len(lines) > 50
    assert [line for line in lines if line.rstrip("'").endswith(".py")] == []


def test_one_layer_has_the_interpreter_as_root_s_and_at_the_time_of_all_files(standalone: Standalone) -> None:
    store = Store(standalone.command.home)
    descriptor = layout.find(store, standalone.reference.partition("@")[2])
    assert descriptor is not None
    found = []
    for layer in layout.load(store, descriptor.digest).manifest.layers:
        with gzip.open(store.blob_path(layer.digest)) as data, tarfile.open(fileobj=data) as archive:
            members = {member.name: member for member in archive}
        if f"opt/python/bin/python{MINOR}" in members:
            found.append(members)
    (members,) = found
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members.values()} == {
        (0, 0, "", "", 946684800)
    }
    assert members["opt/python/bin/python3"].linkname == f"python{MINOR}"
    assert members[f"opt/python/bin/python{MINOR}"].mode == 0o755
    assert members[f"opt/python/lib/python{MINOR}/os.py"].mode == 0o644
    cache = f"opt/python/lib/python{MINOR}/__pycache__"
    assert f"{cache}/os.cpython-{MINOR.replace('.', '')}.pyc" in members
    assert any(name.startswith(f"opt/python/lib/python{MINOR}/lib-dynload/") for name in members)
    assert [
        name for name in members if not name.startswith("opt/python/") and name not in ("opt", "opt/python")
    ] == []


# -- the same bytes, and none but those ----------------------------------------------------------------------


def test_the_same_lock_gives_the_same_manifest_in_another_store(
    standalone: Standalone, tmp_path: Path
) -> None:
    """Of the interpreter, its bytecode and all else, made again under other circumstances."""
    other = standalone.command.afresh(tmp_path / "home")
    env = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "12345"}
    prefix = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    output = other.succeed(
        "build", "--locked", "--offline", str(standalone.spec), env=env, prefix=prefix, cwd=tmp_path
    )
    assert output.strip() == standalone.reference


def test_an_archive_that_changed_on_the_mirror_is_refused(standalone: Standalone, tmp_path: Path) -> None:
    other = standalone.command.afresh(tmp_path / "home")
    digest = standalone.lock.python.digest
    assert digest is not None
    Store(other.home).input_path(digest).unlink()
    standalone.mirror.write(unquote(standalone.path), standalone.archive[:-1] + b"!")
    try:
        done = other("build", "--locked", str(standalone.spec))
        assert (done.returncode, done.stdout) == (6, "")
        assert standalone.path in done.stderr
        assert not Store(other.home).input_path(digest).exists()
    finally:
        standalone.mirror.write(unquote(standalone.path), standalone.archive)
    assert other.succeed("build", "--locked", str(standalone.spec)).strip() == standalone.reference


@pytest.mark.parametrize(("version", "there"), [(f"{MINOR}.999", VERSION), ("3.99", MINOR)])
def test_a_version_that_is_not_listed_is_not_found_and_those_there_are_named(
    standalone: Standalone, tmp_path: Path, version: str, there: str
) -> None:
    spec = tmp_path / "image.yaml"
    spec.write_text(spec_text(version))
    done = standalone.command("lock", str(spec))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"no standalone CPython '{version}'" in done.stderr
    assert there in done.stderr.partition("wanted one of ")[2].replace(",", "").split()
    assert not lock_path(spec).exists()


def test_a_lock_is_checked_with_nothing_to_ask(standalone: Standalone, tmp_path: Path) -> None:
    """With an empty store, and a mirror that is not there."""
    nowhere = Command(tmp_path / "home", {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9"})
    assert nowhere("lock", "--check", str(standalone.spec)).returncode == 0
    other = tmp_path / "image.yaml"
    other.write_text(spec_text(MINOR))
    shutil.copyfile(lock_path(standalone.spec), lock_path(other))
    assert nowhere("lock", "--check", str(other)).returncode == 1
    assert not (nowhere.home / "inputs").exists()


def test_a_lock_made_anew_keeps_the_interpreter_until_it_is_upgraded(
    standalone: Standalone, tmp_path: Path
) -> None:
    kept = PythonPin(
        version="3.12.1", source="standalone", path="1/cpython-3.12.1.tar.gz", size=1, digest=Digest.of(b"1")
    )
    spec = tmp_path / "image.yaml"
    spec.write_text(spec_text("3.12"))
    old = read_lock(lock_path(standalone.spec))
    assert old is not None
    platforms = (dataclasses.replace(old.platforms[0], python=kept),)
    write_lock(dataclasses.replace(old, platforms=platforms), lock_path(spec))
    standalone.command.succeed("lock", str(spec))
    made = read_lock(lock_path(spec))
    assert made is not None
    assert (made.wants.python, made.platforms[0].python) == ("3.12", kept)
    # The newest is not on this mirror.
    upgraded = standalone.command("lock", "--upgrade", str(spec))
    assert (upgraded.returncode, upgraded.stdout) == (3, "")
    assert "cpython-3.12." in upgraded.stderr


def test_for_another_architecture_the_same_version_for_this_machine_compiles_the_same(
    standalone: Standalone, tmp_path: Path
) -> None:
    """What stands for the other machine's build is never run here, so it may be anything of that shape."""
    other = "x86_64" if os.uname().machine == "aarch64" else "aarch64"
    spec = tmp_path / "image.yaml"
    spec.write_text(spec_text(VERSION, other))
    command = Command(tmp_path / "home", standalone.command.environ)
    assert command("lock", str(spec)).returncode != 0
    path = standalone.mirror.asked[-1].lstrip("/")
    assert other in path
    standalone.mirror.write(unquote(path), standalone.archive)
    command.succeed("lock", str(spec))
    done = command("build", "--locked", str(spec))
    assert done.returncode == 0, done.stderr
    assert f"is compiled by the standalone CPython {VERSION} for linux/" in done.stderr
    folders = [home / "bytecode" for home in (command.home, standalone.command.home)]
    there, here = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    same = there.keys() & here.keys()
    assert len(same) == 2, "the library of the interpreter, and the wheel that is of no architecture"
    assert all(there[name] == here[name] for name in same)
