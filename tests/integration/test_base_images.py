"""Images on a real Debian base, from the real registry and back: locked, built, pulled by others, and run."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.command import Command
from tests.dockerregistry import DockerRegistry, docker_registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah"),
]


@dataclass(frozen=True)
class Site:
    """A registry with a Debian base in it, in both formats, and the command with a store of its own."""

    registry: DockerRegistry
    command: Command
    folder: Path

    def spec(self, name: str = "onbase", **fields: Any) -> Path:
        """A spec on the base, which has Python 3.11 and numpy."""
        usual = {
            "name": name, "python_version": "3.11", "platform": f"linux/{_architecture()}", "registry": self.registry.host,
            "base_image": f"{self.registry.host}/base:v1", "builder_options": {"taskimage": {"runtime": "none"}},
        }  # fmt: skip
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({**usual, **fields}))
        return path

    def document(self, reference: str) -> dict[str, Any]:
        """The manifest of ``reference``, as skopeo gets it."""
        name, _, digest = reference.partition("@")
        name = f"{name.rpartition(':')[0]}@{digest}" if digest else name
        words = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
        parsed: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        return parsed


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, debian_base: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with docker_registry(folder) as registry:
        _commit(debian_base, folder, registry.host)
        yield Site(registry, Command(folder / "home"), folder)


def _commit(base: Path, folder: Path, host: str) -> None:
    """The base in the registry, as OCI's image and as Docker's, by buildah."""

    def buildah(*words: str) -> str:
        words = ("buildah", "--root", str(folder / "containers"), "--storage-driver", "vfs", *words)
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    container = buildah("from", "scratch")
    buildah("add", container, str(base), "/")
    buildah(
        "config", "--env", "FROM_BASE=yes", "--env", "PYTHONHOME=/nowhere", "--cmd", "/bin/bash", container
    )
    for form, tag in (("oci", "v1"), ("docker", "docker")):
        buildah(
            "commit", "-q", "--tls-verify=false", "--format", form, container, f"docker://{host}/base:{tag}"
        )
    buildah("rm", container)
    buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def built(site: Site) -> str:
    """An image with Python and apt packages, from its lock."""
    spec = site.spec(packages=["pandas<2.2", "six"], apt_packages=["curl"])
    site.command.succeed("lock", str(spec))
    return site.command.succeed("build", str(spec)).strip()


def test_what_the_base_has_is_not_in_the_lock_and_what_apt_would_add_is(site: Site, built: str) -> None:
    lock = (site.folder / "onbase.lock.toml").read_text()
    assert 'source = "base", path = "/usr/bin/python3.11"' in lock
    assert '"numpy 1.24.2"' in lock
    assert 'name = "numpy"' not in lock
    assert 'package = "libcurl4"' in lock
    assert 'package = "libc6"' not in lock


def test_python_packages_of_the_base_of_apt_and_of_the_index_work_together(site: Site, built: str) -> None:
    program = (
        "import json, numpy, pandas, six, sys, os;"
        "print(json.dumps([numpy.__file__, pandas.__file__, sys.prefix, os.environ['FROM_BASE'],"
        " float(pandas.Series(numpy.arange(4)).mean())]))"
    )
    found = json.loads(site.command.succeed("run", built, "--", "python", "-c", program))
    assert found == [
        "/usr/lib/python3/dist-packages/numpy/__init__.py",
        "/opt/venv/lib/python3.11/site-packages/pandas/__init__.py",
        "/opt/venv",
        "yes",
        1.5,
    ]
    assert site.command.succeed("run", built, "--", "curl", "--version").startswith("curl 7.88.1")
    assert "ii  curl" in site.command.succeed("run", built, "--", "dpkg", "-l", "curl")
    assert site.command.succeed("run", built, "--", "dpkg", "--audit") == ""


def test_packages_are_compiled_by_the_base_s_own_interpreter(site: Site, built: str) -> None:
    code = "import pandas, sys; print(pandas.__spec__.cached, pandas.__spec__.loader.path); import os; print(os.path.exists(pandas.__spec__.cached))"
    assert site.command.succeed("run", built, "--", "python", "-c", code).splitlines()[-1] == "True"


def test_the_base_is_below_bit_for_bit(site: Site, built: str) -> None:
    below = site.document(f"{site.registry.host}/base:v1")
    above = site.document(built)
    count = len(below["layers"])
    assert [one["digest"] for one in above["layers"][:count]] == [one["digest"] for one in below["layers"]]


def test_other_tools_pull_it_and_find_the_same_digests(site: Site, built: str, tmp_path: Path) -> None:
    _unpacked_by_umoci(built, tmp_path)
    assert built.partition("@")[2] in (tmp_path / "out/index.json").read_text()
    assert (tmp_path / "bundle/rootfs/opt/venv/pyvenv.cfg").exists()
    assert (tmp_path / "bundle/rootfs/usr/bin/curl").exists()


def _unpacked_by_umoci(reference: str, folder: Path) -> None:
    """The image as skopeo pulls it, in ``out``, and as umoci unpacks that, in ``bundle``."""
    name, _, digest = reference.partition("@")
    source = f"docker://{name.rpartition(':')[0]}@{digest}"
    words = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        "--src-tls-verify=false",
        source,
        f"oci:{folder}/out:x",
    ]
    subprocess.run(words, check=True, capture_output=True)
    subprocess.run(
        ["umoci", "unpack", "--image", f"{folder}/out:x", f"{folder}/bundle"],
        check=True,
        capture_output=True,
    )


def test_an_image_of_docker_s_schema_2_serves_as_well(site: Site, built: str) -> None:
    spec = site.spec("ondocker", base_image=f"{site.registry.host}/base:docker", packages=["six"])
    reference = site.command.succeed("build", str(spec)).strip()
    document = site.document(reference)
    assert document["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert (
        site.command.succeed("run", reference, "--", "python", "-c", "import six, numpy; print('both')")
        == "both\n"
    )


@pytest.fixture(scope="module")
def child(site: Site, built: str) -> str:
    """An image on the one that was built, with another version of one of its packages."""
    spec = site.spec("child", base_image=built.partition("@")[0], packages=["pandas<2.2", "pytz==2024.1"])
    site.command.succeed("lock", str(spec))
    return site.command.succeed("build", str(spec)).strip()


def test_the_image_that_was_built_can_be_a_base_itself(site: Site, child: str) -> None:
    """What its environment has counts as installed, as what the interpreter has itself."""
    lock = (site.folder / "child.lock.toml").read_text()
    installed, _, rest = lock.partition("base-installed = [")[2].partition("]")
    replaced, _, wheels = rest.partition("base-replaced = [")[2].partition("]")
    assert '"pandas 2.1.' in installed
    assert '"numpy 1.24.2"' in installed
    assert '"pytz 20' in replaced
    assert [line.split('"')[1] for line in wheels.splitlines() if "whl" in line] == ["pytz"]


def test_of_the_version_that_a_child_replaces_nothing_is_left(site: Site, child: str) -> None:
    program = (
        "import json, pytz, pandas, importlib.metadata as m;"
        "print(json.dumps([pytz.__version__, [d.version for d in m.distributions(name='pytz')], pandas.__file__,"
        " [str(f) for d in ('pytz', 'pandas') for f in m.files(d) if not f.locate().exists()]]))"
    )
    found = json.loads(site.command.succeed("run", child, "--", "python", "-c", program))
    assert found == [
        "2024.1",
        ["2024.1"],
        "/opt/venv/lib/python3.11/site-packages/pandas/__init__.py",
        [],
    ]


def test_other_tools_find_the_same_files_in_a_child(site: Site, child: str, tmp_path: Path) -> None:
    _unpacked_by_umoci(child, tmp_path)
    packages = tmp_path / "bundle/rootfs/opt/venv/lib/python3.11/site-packages"
    assert [path.name for path in packages.glob("pytz-*")] == ["pytz-2024.1.dist-info"]
    rows = (packages / "pytz-2024.1.dist-info/RECORD").read_text().splitlines()
    files = {str(path.relative_to(packages)) for path in packages.glob("pytz/**/*") if path.is_file()}
    assert {file for file in files if "__pycache__" not in file} == {
        row.partition(",")[0] for row in rows if row.startswith("pytz/")
    }
    assert {path.name.partition(".")[0] for path in packages.glob("pytz/__pycache__/*")} == {
        Path(file).stem for file in files if re.fullmatch(r"pytz/[^/]+\.py", file)
    }


def test_without_its_python_a_wanted_version_needs_an_interpreter_of_its_own(site: Site) -> None:
    """And says that none is to be had, where nothing serves it."""
    spec = site.spec("other", python_version="3.10", packages=["six"])
    done = site.command("lock", str(spec), env={"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9"})
    assert done.returncode == 5
    assert "the base image has Python 3.11.2, and 3.10 is wanted" in done.stderr
