"""Images with conda packages, from the spec to the layers, on a channel in a folder."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.case import Case
from tests.channels import PLACEHOLDER, Channel, CondaFile
from tests.sources import Mirror

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.testing import Files, Registry, make_image

SITE = "opt/conda/lib/python3.11/site-packages"


@pytest.fixture
def forge(case: Case) -> Channel:
    """The channel that all environments begin with: Python, a program, and packages for Python."""
    channel = Channel(case.folder / "channels/conda-forge")
    case.environ["CONDA_CHANNEL_ALIAS"] = (case.folder / "channels").as_uri()
    channel.add(
        {"bin/python3.11": CondaFile(b"")}, name="python", version="3.11.8", depends=["__glibc >=2.17"]
    )
    ogr = CondaFile(f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode="text", executable=True)
    channel.add({"bin/ogr": ogr}, name="gdal")
    metadata = CondaFile(b"Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\n")
    files = {
        "site-packages/six.py": CondaFile(b"x = 1\n"),
        "site-packages/six-1.16.0.dist-info/METADATA": metadata,
    }
    channel.add(files, name="six", version="1.16.0", noarch="python", depends=["python >=3.8"])
    for version in ("1.0", "1.16.0", "1.17.0"):
        case.index.add("six", version, files={"six.py": b"x = 2\n"})
    case.index.add("needy", "1.0", files={"needs.py": b""}, needs=["six"])
    return channel


def config(case: Case, reference: str) -> Any:
    """The configuration of a built image."""
    store = Store(case.home)
    manifest = json.loads(store.read_blob(Digest.parse(reference.rpartition("@")[2])))
    return json.loads(store.read_blob(Digest.parse(manifest["config"]["digest"])))


def layers(case: Case, reference: str) -> dict[str, set[str]]:
    """The paths of each layer of a built image, by its digest."""
    store = Store(case.home)
    manifest = json.loads(store.read_blob(Digest.parse(reference.rpartition("@")[2])))
    found = {}
    for layer in manifest["layers"]:
        with tarfile.open(store.blob_path(Digest.parse(layer["digest"]))) as archive:
            found[layer["digest"]] = set(archive.getnames())
    return found


def paths(case: Case, reference: str) -> set[str]:
    """The paths of a built image."""
    return set().union(*layers(case, reference).values())


def test_conda_packages_stand_below_the_environment_whose_python_is_theirs(
    case: Case, forge: Channel
) -> None:
    case.spec(conda_packages=["gdal", "six"])
    reference = case.build()
    found = paths(case, reference)
    assert {
        "opt/conda/bin/python3.11", "opt/conda/bin/ogr", f"{SITE}/six.py",
        "opt/conda/conda-meta/gdal-1.0-0.json", "opt/conda/conda-meta/history",
        "opt/venv/lib/python3.11/site-packages/demo.py",
    } <= found  # fmt: skip
    assert "usr/bin/python3.11" not in found
    variables = dict(text.split("=", 1) for text in config(case, reference)["config"]["Env"])
    assert variables["PATH"].startswith("/opt/venv/bin:/opt/conda/bin:/usr/local/sbin:")


def test_the_environment_imports_what_conda_has(case: Case, forge: Channel) -> None:
    case.spec(conda_packages=["six"])
    store, reference = Store(case.home), case.build()
    for digest, names in layers(case, reference).items():
        if "opt/venv/pyvenv.cfg" in names:
            with tarfile.open(store.blob_path(Digest.parse(digest))) as archive:
                file = archive.extractfile("opt/venv/pyvenv.cfg")
                assert file is not None
                text = file.read().decode()
                assert archive.getmember("opt/venv/bin/python").linkname == "/opt/conda/bin/python3.11"
    assert "include-system-site-packages = true" in text
    assert "version = 3.11.8" in text


def test_what_conda_has_is_not_installed_once_more(case: Case, forge: Channel) -> None:
    case.spec(packages=["needy"], conda_packages=["six"])
    case.lock()
    text = case.lock_path.read_text()
    assert 'name = "needy"' in text
    assert "six-1.17.0" not in text
    case.spec(packages=["needy"], conda_packages=["gdal"])
    case.lock()
    assert "six-1.17.0" in case.lock_path.read_text()


def test_the_lock_has_every_package_by_digest_and_no_address(case: Case, forge: Channel) -> None:
    own = Channel(case.folder / "secret-channel")
    digest = own.add({"lib/x": CondaFile(b"x")}, name="mine")
    case.spec(conda_packages=["mine", "gdal >=1"], conda_channels=[own.folder.as_uri()])
    case.lock()
    text = case.lock_path.read_text()
    assert (
        '{ name = "mine", version = "1.0", build = "0", channel = "conda_channels-1", subdir = "linux-64", '
        f'file = "mine-1.0-0.conda", size = {(own.folder / "linux-64/mine-1.0-0.conda").stat().st_size}, '
        f'sha256 = "{digest.hex}" }},'
    ) in text
    assert 'conda-packages = [\n    "mine",\n    "gdal >=1",\n]' in text
    assert "secret-channel" not in text
    assert "file:" not in text
    case.build(TASKIMAGE_LOCKED="1")


def test_the_image_is_the_same_from_a_folder_and_from_a_mirror(case: Case, forge: Channel) -> None:
    case.spec(conda_packages=["gdal", "six"])
    case.lock()
    one = case.build()
    case.use_another_store()
    mirror = Mirror(case.folder / "channels")
    try:
        assert case.build(CONDA_CHANNEL_ALIAS=mirror.url) == one
        # A lock is all that is needed: nothing is listed, or solved.
        assert {path.rpartition("/")[2] for path in mirror.asked} == {
            "gdal-1.0-0.conda", "python-3.11.8-0.conda", "six-1.16.0-0.conda",
        }  # fmt: skip
    finally:
        mirror.close()


def test_a_changed_package_is_one_new_layer(case: Case, forge: Channel) -> None:
    case.spec(conda_packages=["gdal", "six"])
    case.lock()
    before = layers(case, case.build())
    forge.add({"bin/ogr": CondaFile(b"new")}, name="gdal", version="1.1")
    code, _, err = case.run("lock", "-U", str(case.spec_path))
    assert code == 0, err
    after = layers(case, case.build())
    assert len(after.keys() - before.keys()) == 1
    (new,) = after.keys() - before.keys()
    assert "opt/conda/conda-meta/gdal-1.1-0.json" in after[new]


def test_a_lock_keeps_what_is_pinned_until_it_is_upgraded(case: Case, forge: Channel) -> None:
    case.spec(conda_packages=["gdal"])
    case.lock()
    forge.add({}, name="gdal", version="1.1")
    case.spec(conda_packages=["gdal", "six"])
    case.lock()
    assert "gdal-1.0-0.conda" in case.lock_path.read_text()
    assert case.run("lock", "-P", "gdal", str(case.spec_path))[0] == 0
    assert "gdal-1.1-0.conda" in case.lock_path.read_text()


@pytest.mark.parametrize("change", [{"conda_packages": ["six"]}, {"conda_channels": ["other"]}])
def test_a_lock_is_stale_when_what_is_asked_of_conda_changes(
    case: Case, forge: Channel, change: dict[str, Any]
) -> None:
    case.spec(conda_packages=["gdal"])
    case.lock()
    case.spec(**{"conda_packages": ["gdal"], **change})
    said = case.fails(2)
    assert f"{next(iter(change))}: " in said
    assert "is wanted and not locked" in said


def test_what_conda_would_run_is_told_until_it_is_waived(case: Case, forge: Channel) -> None:
    forge.add({"bin/.tool2-post-link.sh": CondaFile(b"rm -rf /\n")}, name="tool2")
    case.spec(conda_packages=["tool2"])
    _, _, err = case.run("build", str(case.spec_path))
    assert "tool2: conda would run /opt/conda/bin/.tool2-post-link.sh, which is not done" in err
    assert "waive_scripts: [tool2]" in err
    options = {"runtime": "none", "bytecode": False, "waive_scripts": ["tool2"]}
    case.spec(conda_packages=["tool2"], builder_options={"taskimage": options})
    assert "post-link" not in case.run("build", "--force", str(case.spec_path))[2]


def test_two_packages_with_different_files_at_one_path_are_refused(case: Case, forge: Channel) -> None:
    for name in ("one", "other"):
        forge.add({"share/x": CondaFile(name.encode())}, name=name)
    case.spec(conda_packages=["one", "other"])
    assert "one 1.0 and other 1.0 have different files at '/opt/conda/share/x'" in case.fails(7)


def test_an_error_says_where_the_spec_asks_for_it(case: Case, forge: Channel) -> None:
    case.spec(conda_packages=["gdal >=7"])
    said = case.fails(7)
    assert "no environment of 'gdal >=7', 'python=3.11' for linux/amd64" in said
    assert "image.yaml:" in said


@pytest.fixture
def base_of() -> Iterator[Callable[[Files], str]]:
    """Puts a base image with glibc and some files into a registry; its reference."""
    libc = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0"
    with Registry() as registry:

        def put(files: Files) -> str:
            below: Files = {
                "usr/lib64/libc.so.6": libc,
                "lib64": "usr/lib64",
                "usr/lib64/ld-linux-x86-64.so.2": b"",
            }
            registry.put_image("base:v1", make_image([below, files]))
            return f"{registry.host}/base:v1"

        yield put


def test_conda_packages_stand_on_a_base_image_whose_python_counts_for_nothing(
    case: Case, forge: Channel, base_of: Callable[[Files], str]
) -> None:
    case.spec(
        conda_packages=["gdal"],
        base_image=base_of({"usr/local/bin/python3.11": b"\x7fELF\x003.11.9\0"}),
        apt_packages=[],
    )
    case.lock()
    text = case.lock_path.read_text()
    assert 'python = { version = "3.11.8", source = "conda" }' in text
    assert {"opt/conda/bin/ogr", "opt/venv/pyvenv.cfg", "usr/lib64/libc.so.6"} <= paths(case, case.build())


def test_a_base_image_with_an_environment_of_its_own_there_is_refused(
    case: Case, forge: Channel, base_of: Callable[[Files], str]
) -> None:
    base = base_of({"opt/conda/bin/python3.11": b"\x7fELF\x003.11.9\0"})
    case.spec(conda_packages=["gdal"], base_image=base, apt_packages=[])
    assert "has an environment at '/opt/conda' itself" in case.fails(7)


def test_channels_alone_ask_for_nothing(case: Case) -> None:
    without = layers(case, case.build())
    case.spec(conda_channels=["nvidia"])
    assert layers(case, case.build()) == without
