"""What is known of real bases, against what their own programs say inside of them."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from taskimage.model.base import BaseFacts
from taskimage.model.oci import Platform
from taskimage.transform.base import BaseLayer, facts_of, read_base
from taskimage.transform.deb.control import parse_control
from taskimage.transform.entry import Entry

pytestmark = pytest.mark.integration

# Each distribution with its version and folder, as the interpreter that runs this finds them.
INSTALLED = """
import importlib.metadata, json, os, re
found = {}
for one in importlib.metadata.distributions():
    name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
    found.setdefault(name, [one.version, os.path.realpath(one.locate_file("")), one.requires or []])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Debian:
    """A root file system that Debian's own tools made, and the same as a layer."""

    root: Path
    layer: Path

    def says(self, *command: str) -> str:
        """What ``command`` prints inside."""
        return subprocess.run(
            ["chroot", str(self.root), *command],
            check=True, capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory, debian_base: Path) -> Debian:
    folder = tmp_path_factory.mktemp("debian")
    made = Debian(folder / "root", folder / "layer.tar.gz")
    made.root.mkdir()
    subprocess.run(["tar", "-C", made.root, "--numeric-owner", "-xpf", debian_base], check=True)
    with made.layer.open("wb") as layer:
        subprocess.run(["gzip", "-1c", debian_base], check=True, stdout=layer)
    return made


@pytest.fixture(scope="module")
def facts(debian: Debian) -> BaseFacts:
    return read(debian.layer)


def read(*blobs: Path, env: Mapping[str, str] | None = None) -> BaseFacts:
    """The facts of the layers in ``blobs``, for this machine's platform."""
    with tempfile.TemporaryFile() as spool:
        tree = read_base([layer_of(blob) for blob in blobs], spool)
        machine = Platform.parse(f"linux/{platform.machine()}")
        return facts_of(tree, platform=machine, env=env or {})


def layer_of(blob: Path) -> BaseLayer:
    return BaseLayer(lambda: blob.open("rb"), blob.stat().st_size, blob.name)


def test_the_system_is_the_one_that_its_programs_know(debian: Debian, facts: BaseFacts) -> None:
    names = ("ID", "VERSION_CODENAME", "PRETTY_NAME")
    wanted = " ".join(f'"${name}"' for name in names)
    told = debian.says("sh", "-c", f". /etc/os-release; printf '%s\\n' {wanted}")
    assert [facts.os_release[name] for name in names] == told.splitlines()
    major_minor = re.search(r"(\d+)\.(\d+)$", debian.says("ldd", "--version").splitlines()[0])
    assert major_minor is not None
    assert facts.glibc == (int(major_minor[1]), int(major_minor[2]))
    assert not facts.musl


def test_the_interpreter_is_the_one_that_runs_there(debian: Debian, facts: BaseFacts) -> None:
    said = debian.says(
        "python3", "-c", "import os, sys; print(os.path.realpath(sys.executable), *sys.version_info[:3])"
    )
    executable, *version = said.split()
    assert [(one.executable, one.version) for one in facts.interpreters] == [(executable, ".".join(version))]
    packaged = debian.says("dpkg-query", "-W", "-f", "${Version}", f"{Path(executable).name}-minimal")
    assert facts.interpreters[0].version == packaged.partition("-")[0]


def test_the_distributions_are_those_that_it_imports(debian: Debian, facts: BaseFacts) -> None:
    said = json.loads(debian.says("python3", "-c", INSTALLED))
    [interpreter] = facts.interpreters
    assert {"numpy", "requests", "urllib3"} <= set(said)
    assert {
        one.name: [one.version, one.location, list(one.requires)] for one in interpreter.distributions
    } == said


def test_the_packages_are_those_that_dpkg_knows(debian: Debian, facts: BaseFacts) -> None:
    paragraphs = facts.texts["var/lib/dpkg/status"].strip("\n").split("\n\n")
    packages = [parse_control(text.encode(), where="status") for text in paragraphs]
    assert sorted(f"{one['Package']} {one['Version']} {one['Status']}" for one in packages) == sorted(
        debian.says("dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\\n").splitlines()
    )


def test_users_sources_and_keyrings_are_those_of_its_files(debian: Debian, facts: BaseFacts) -> None:
    for path in ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"):
        assert facts.texts[path] == (debian.root / path).read_text()
    sources = {str(path.relative_to(debian.root)) for path in debian.root.glob("etc/apt/sources.list*/*.*")}
    sources |= {"etc/apt/sources.list"} if (debian.root / "etc/apt/sources.list").exists() else set()
    assert sources
    assert sources <= set(facts.texts)
    keyring = "usr/share/keyrings/debian-archive-keyring.gpg"
    assert facts.keyrings[keyring] == (debian.root / keyring).read_bytes()


def test_links_to_folders_are_those_on_the_disk(debian: Debian, facts: BaseFacts) -> None:
    assert {"bin", "lib", "sbin", "var/run"} <= set(facts.links)
    for path, target in facts.links.items():
        assert str((debian.root / path).readlink()) == target


def test_the_record_of_a_real_base_is_read_again(facts: BaseFacts) -> None:
    assert BaseFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


# -- interpreters that did not come with the system ------------------------------------------------------------


@pytest.fixture(scope="module")
def prefix() -> Path:
    """Where the Python that runs these tests is installed, with ``bin``, ``lib`` … as images have it somewhere."""
    if sys.base_prefix == "/usr" or sys.version_info.releaselevel != "final":
        pytest.skip("needs a released CPython of its own prefix")
    return Path(sys.base_prefix)


def cpython_layer(prefix: Path, path: str, blob: Path) -> Path:
    """The interpreter in ``prefix`` as a layer that has it at ``path``; of what is installed, what METADATA says."""
    library = "lib/python{}.{}".format(*sys.version_info)

    def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        inside = member.name.removeprefix(f"{path}/{library}/")
        is_info = re.fullmatch(r"site-packages(/[^/]+-info(/[^/]*)?)?", inside)
        unneeded = re.match(r"site-packages/|test/|idlelib/|config-|(.*/)?__pycache__", inside)
        return member if is_info or not unneeded else None

    with tarfile.open(blob, "w:gz", compresslevel=1) as archive:
        for source in (prefix / "bin", *prefix.glob("lib/libpython*.so*"), prefix / library):
            archive.add(source, f"{path}/{source.relative_to(prefix)}", filter=chosen)
    return blob


def test_an_interpreter_under_usr_local_is_found_beside_the_systems(
    debian: Debian, prefix: Path, tmp_path: Path
) -> None:
    """As the images are made that bring their own Python on top of Debian's."""
    said = subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-c", INSTALLED], check=True, capture_output=True, text=True
    ).stdout
    facts = read(debian.layer, cpython_layer(prefix, "usr/local", tmp_path / "local"))
    minor = "{}.{}".format(*sys.version_info)
    own = next(one for one in facts.interpreters if one.executable == f"/usr/local/bin/python{minor}")
    assert own.version == platform.python_version()
    assert {one.name: one.version for one in own.distributions} == {
        name: version for name, (version, _, _) in json.loads(said).items()
    }
    assert {one.location for one in own.distributions} <= {f"/usr/local/lib/python{minor}/site-packages"}
    system = next(one for one in facts.interpreters if one.executable.startswith("/usr/bin/"))
    assert "numpy" in {one.name for one in system.distributions}
    same = [one.executable for one in facts.interpreters if one.minor == minor]
    assert same[0] == own.executable, "the usual PATH has usr/local first"


def test_a_prefix_of_its_own_is_found_and_a_virtual_environment_on_it_is_not(
    prefix: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [os.path.realpath(sys.executable), "-m", "venv", "--without-pip", "--copies", tmp_path / "venv"],
        check=True,
    )
    with tarfile.open(tmp_path / "venv.tar", "w") as archive:
        archive.add(tmp_path / "venv", "opt/venv")
    facts = read(
        cpython_layer(prefix, "opt/conda", tmp_path / "conda.tar"),
        tmp_path / "venv.tar",
        env={"PATH": "/opt/venv/bin:/opt/conda/bin"},
    )
    minor = "{}.{}".format(*sys.version_info)
    assert [(one.executable, one.version) for one in facts.interpreters] == [
        (f"/opt/conda/bin/python{minor}", platform.python_version())
    ]
    assert {one.location for one in facts.interpreters[0].distributions} == {
        f"/opt/conda/lib/python{minor}/site-packages"
    }


# -- layers that another tool made -----------------------------------------------------------------------------


@pytest.mark.skipif(
    shutil.which("umoci") is None or os.geteuid() != 0, reason="needs umoci, and root to unpack"
)
def test_layers_are_read_as_the_tool_that_wrote_them_unpacks_them(tmp_path: Path) -> None:
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"

    def umoci(*arguments: str | Path) -> None:
        subprocess.run(["umoci", *arguments], check=True, capture_output=True)

    umoci("init", "--layout", layout)
    umoci("new", "--image", f"{layout}:a")
    umoci("unpack", "--image", f"{layout}:a", bundle)
    root = bundle / "rootfs"
    for step in (first, second):
        step(root)
        umoci("repack", "--refresh-bundle", "--image", f"{layout}:a", bundle)
    manifest = json.loads(
        blob(layout, json.loads((layout / "index.json").read_text())["manifests"][0]).read_text()
    )
    layers = [layer_of(blob(layout, descriptor)) for descriptor in manifest["layers"]]
    assert len(layers) == 2
    umoci("unpack", "--image", f"{layout}:a", tmp_path / "again")
    with tempfile.TemporaryFile() as spool:
        tree = read_base(layers, spool)
        assert {entry.path: shown(entry) for entry in tree.entries} == {
            str(path.relative_to(tmp_path / "again/rootfs")): shown_on_disk(path)
            for path in (tmp_path / "again/rootfs").rglob("*")
        }


def blob(layout: Path, descriptor: Mapping[str, str]) -> Path:
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


def first(root: Path) -> None:
    for name in ("kept", "changed", "removed"):
        (root / "usr/bin" / name).mkdir(parents=True)
        (root / "usr/bin" / name / "f").write_text(name)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/s").write_text("set-id")
    (root / "usr/bin/s").chmod(0o4755)
    os.mkfifo(root / "usr/pipe")
    (root / "usr/folder").mkdir()


def second(root: Path) -> None:
    shutil.rmtree(root / "usr/bin/removed")
    (root / "usr/bin/changed/f").write_text("other")
    (root / "usr/bin/hard").hardlink_to(root / "usr/bin/kept/f")
    (root / "usr/pipe").unlink()
    (root / "usr/folder").rmdir()
    (root / "usr/folder").write_text("a file now")


def shown(entry: Entry) -> tuple[str, str]:
    if entry.body is None:
        return entry.kind, entry.target if entry.kind == "symlink" else oct(entry.mode)
    with entry.body.open() as stream:
        return oct(entry.mode), stream.read().decode()


def shown_on_disk(path: Path) -> tuple[str, str]:
    if path.is_symlink():
        return "symlink", str(path.readlink())
    mode = oct(path.stat().st_mode & 0o7777)
    return ("dir", mode) if path.is_dir() else (mode, path.read_text())
