"""With a lock, the tag moves when, and only when, the content would: each input in a table."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from tests.archives import make_deb
from tests.case import Case
from tests.unit.test_base_image import base, with_python
from tests.unit.test_effects_certificates import certificate, pem

from taskimage.testing import Registry

Change: TypeAlias = Callable[[Case], object]


@pytest.fixture
def locked(case: Case) -> Case:
    """A locked spec that uses all that a tag could depend on."""
    case.index.add("other", "1.0")
    case.index.add("pip", "1.0")
    case.publish({"extra": make_deb({}, Package="extra")})
    case.spec_path = case.folder / "project" / "image.yaml"
    project = case.spec_path.parent
    (project / "pipeline").mkdir(parents=True)
    (project / "pipeline" / "a.py").write_text("a = 1\n")
    (project / "pipeline" / "b.py").write_text("b = 2\n")
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o644)
    (project / "netrc").touch()
    (project / "authority.pem").write_bytes(pem(certificate(b"Our Own Authority")))
    (project / "config.json").write_text("{}")
    spec(case)
    case.lock()
    return case


def spec(case: Case, **fields: Any) -> None:
    """The spec with ``fields`` in place of its own; None leaves one out."""
    usual = {
        "packages": ["demo", "other"],
        "apt_packages": ["tool", "extra"],
        "copy": ["pipeline", "run.sh"],
        "env": {"A": "1", "B": "2"},
    }
    case.spec(**{**usual, **fields})


def tag(case: Case, **environ: str) -> str:
    """The tag that a build would give."""
    code, out, err = case.run("build", "--dry-run", "--locked", str(case.spec_path), **environ)
    assert code == 0, err
    return out.strip().rpartition(":")[2]


def respecified(**fields: Any) -> Change:
    """Other fields, with the lock as it is."""
    return lambda case: spec(case, **fields)


def switched(**switches: Any) -> Change:
    """Other switches in ``builder_options``, and a lock for them."""
    usual = {"runtime": "none", "bytecode": False}
    return relocked(builder_options={"taskimage": {**usual, **switches}})


def relocked(**fields: Any) -> Change:
    """Other fields, and a lock for them."""

    def change(case: Case) -> None:
        spec(case, **fields)
        case.lock()

    return change


def edited(path: str, text: str) -> Change:
    """Another text in a file beside the spec."""
    return lambda case: (case.spec_path.parent / path).write_text(text)


def commented(case: Case) -> None:
    """A comment, another layout and another order of the keys in the YAML file."""
    fields = yaml.safe_load(case.spec_path.read_text())
    text = yaml.safe_dump(dict(reversed(fields.items())), sort_keys=False)
    case.spec_path.write_text(f"# what we train with\n{text}\n# end\n")


def moved(case: Case) -> None:
    """The whole project is in another folder."""
    case.spec_path = case.spec_path.parent.rename(case.folder / "else where") / "image.yaml"


def renamed(case: Case) -> None:
    """A copied file has another name."""
    folder = case.spec_path.parent / "pipeline"
    (folder / "a.py").rename(folder / "c.py")


def touched(case: Case) -> None:
    """Copied files are of another day."""
    for path in (case.spec_path.parent / "pipeline").iterdir():
        os.utime(path, (1, 1))


def locked_again(case: Case) -> None:
    """The lock is made anew by an empty store, from requirements in another order."""
    case.spec_path.with_name("image.lock.toml").unlink()
    spec(case, packages=["other", "demo"])
    case.use_another_store()
    case.lock()


def relisted(old: str, new: str) -> Change:
    """Another text in the lock, and in the spec where it says the same."""

    def change(case: Case) -> None:
        for path in (case.spec_path, case.spec_path.with_name("image.lock.toml")):
            path.write_text(path.read_text().replace(old, new))

    return change


def resuited(case: Case) -> None:
    """The same packages, from another suite."""
    spec(case, builder_options={"taskimage": {"runtime": "none", "bytecode": False, "suite": "trixie"}})
    relisted("bookworm", "trixie")(case)


def upgraded(name: str) -> Change:
    """A newer version is there, and locked."""

    def change(case: Case) -> None:
        case.index.add("demo", "2.0", files={"demo.py": b"x = 2\n"})
        case.publish(
            {
                "extra": make_deb({}, Package="extra"),
                "tool": make_deb({"usr/bin/tool": b"#!/bin/sh\ntrue\n"}, Package="tool"),
            }
        )
        assert case.run("lock", "-P", name, str(case.spec_path))[0] == 0

    return change


def executable(case: Case) -> None:
    """A copied file may be run."""
    (case.spec_path.parent / "run.sh").chmod(0o755)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(edited("pipeline/a.py", "a = 2\n"), id="content of a copied file"),
        pytest.param(edited("pipeline/new.py", ""), id="one more copied file"),
        pytest.param(renamed, id="name of a copied file"),
        pytest.param(executable, id="exec bit of a copied file"),
        pytest.param(respecified(copy=["pipeline"]), id="what is copied"),
        pytest.param(upgraded("demo"), id="one wheel"),
        pytest.param(upgraded("tool"), id="one Debian package"),
        pytest.param(relocked(packages=["demo"]), id="one wheel less"),
        pytest.param(relocked(apt_packages=["tool"]), id="one Debian package less"),
        pytest.param(relisted('version = "3.11.2"', 'version = "3.11.3"'), id="interpreter"),
        pytest.param(relisted("linux/amd64", "linux/arm64"), id="platform"),
        pytest.param(relisted('"bytecode": false', '"bytecode": true'), id="bytecode"),
        pytest.param(respecified(env={"A": "1", "B": "3"}), id="value of a variable"),
        pytest.param(respecified(env={"A": "1"}), id="one variable less"),
        pytest.param(respecified(env={"A": "1", "C": "2"}), id="name of a variable"),
        pytest.param(respecified(entrypoint=["demo"]), id="entrypoint"),
        pytest.param(respecified(commands=["true"]), id="a command"),
        pytest.param(relocked(runtime_packages=["other"]), id="what is installed when a task starts"),
        pytest.param(respecified(source_root="pipeline"), id="source_root"),
        pytest.param(switched(ca_certificates=["authority.pem"]), id="an authority"),
        pytest.param(switched(waive_scripts=["tool"]), id="a script that is not run"),
    ],
)
def test_the_tag_moves_with(locked: Case, change: Change) -> None:
    before = tag(locked)
    change(locked)
    assert tag(locked) != before


def test_the_tag_moves_with_the_digest_of_the_base(locked: Case) -> None:
    with Registry() as registry:
        tags = set()
        for text in (b"one", b"other"):
            registry.put_image("base:v1", base({**with_python(), "etc/motd": text}))
            spec(locked, base_image=f"{registry.host}/base:v1", apt_packages=[])
            assert locked.run("lock", "--upgrade", str(locked.spec_path))[0] == 0
            tags.add(tag(locked))
    assert len(tags) == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(commented, id="comments and layout of the YAML file"),
        pytest.param(respecified(packages=["other", "demo"]), id="order of packages"),
        pytest.param(respecified(apt_packages=["extra", "tool"]), id="order of apt_packages"),
        pytest.param(respecified(copy=["run.sh", "pipeline"]), id="order of copy"),
        pytest.param(
            respecified(copy=["pipeline", "run.sh", "pipeline/a.py"]), id="a file that is copied twice"
        ),
        pytest.param(respecified(env={"B": "2", "A": "1"}), id="order of env"),
        pytest.param(relocked(packages=["demo==1.0", "other"]), id="a bound that gives the same"),
        pytest.param(lambda case: relocked(pip_index=case.index.url)(case), id="address of the index"),
        pytest.param(resuited, id="name of the suite"),
        pytest.param(locked_again, id="the lock made anew on another machine"),
        pytest.param(edited("other.lock.toml", "of another spec"), id="another lock beside"),
        pytest.param(edited("notes.md", "not copied"), id="a file that is not copied"),
        pytest.param(moved, id="folder of the spec"),
        pytest.param(touched, id="times of copied files"),
        pytest.param(respecified(name="renamed"), id="name of the image"),
        pytest.param(respecified(registry="registry.example/team"), id="registry"),
        pytest.param(respecified(tag_format="v-{spec_hash}"), id="format of flytekit's tag"),
        pytest.param(respecified(builder="default"), id="builder"),
        pytest.param(respecified(pip_extra_args="--no-cache-dir"), id="an option that changes nothing"),
        pytest.param(respecified(registry_config="config.json"), id="credentials of the registry"),
        pytest.param(
            respecified(pip_secret_mounts=[["netrc", "/root/.netrc"]]), id="credentials of the index"
        ),
        pytest.param(switched(build_sdists=["demo"]), id="leave to build what has a wheel"),
        pytest.param(switched(expired_indexes=True), id="leave to take an old index"),
        pytest.param(lambda case: case.use_another_store(), id="store"),
        pytest.param(lambda case: case.close(), id="nobody answers"),
    ],
)
def test_the_tag_stays_with(locked: Case, change: Change) -> None:
    before = tag(locked)
    change(locked)
    assert tag(locked) == before


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another working directory, umask, time zone, machine and Python."""
    monkeypatch.chdir(tmp_path / "mirror")
    monkeypatch.setattr("taskimage.verbs.lock.host_python", lambda: "3.14")
    monkeypatch.setattr("taskimage.verbs.lock.host_machine", lambda: "aarch64")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    mask = os.umask(0o077)
    yield
    os.umask(mask)
    monkeypatch.undo()
    time.tzset()


def test_the_tag_stays_wherever_and_whoever_the_process_is(
    locked: Case, request: pytest.FixtureRequest
) -> None:
    """Of a spec that leaves Python's version and the platform to the host, once it is locked."""
    relisted('"python_version": "3.11"', '"python_version": null')(locked)
    relisted('"platform": "linux/amd64"', '"platform": null')(locked)
    before = tag(locked)
    request.getfixturevalue("_elsewhere")
    assert tag(locked, TZ="Asia/Kathmandu", LC_ALL="tr_TR.UTF-8") == before


def pythons() -> list[str]:
    """One interpreter of each minor version that is installed here, from the first that reads TOML by itself."""
    import uv

    listed = subprocess.run(
        [uv.find_uv_bin(), "python", "list", "--only-installed", "--offline", "--output-format", "json"],
        capture_output=True, check=True,
    )  # fmt: skip
    found = {
        entry["version_parts"]["minor"]: entry["path"]
        for entry in json.loads(listed.stdout)
        if entry["implementation"] == "cpython" and entry["version_parts"]["minor"] in range(11, 20)
    }
    return [found[minor] for minor in sorted(found)]


def test_the_tag_stays_under_every_python_and_hash_seed(locked: Case) -> None:
    sources = Path(__file__).parents[2] / "src"
    # What a dry run imports is pure Python.
    path = f"{sources}:{sysconfig.get_path('purelib')}"
    tags = set()
    for number, python in enumerate((*pythons(), *pythons())):
        environ = {**os.environ, **locked.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(number)}
        words = ["build", "--dry-run", "--quiet", str(locked.spec_path)]
        done = subprocess.run(
            [python, "-m", "taskimage", *words], env=environ, capture_output=True, check=True
        )
        tags.add(done.stdout.decode().strip().rpartition(":")[2])
    assert tags == {tag(locked)}
