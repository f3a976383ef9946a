"""Asking the same again: a receipt answers it, with two requests and no second reading, until anything has changed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.case import Case

from taskimage.adapters.specfiles.ignorerules import IgnoreRules
from taskimage.adapters.witness import lost_sight, mark, saw, unchanged, watching
from taskimage.testing import Registry, make_image

NOTHING = "nothing to do: the {} has this image"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
def built(case: Case) -> Case:
    """A case that is locked and built, of files that have been at rest for a while, with a receipt."""
    (case.folder / "data").mkdir()
    (case.folder / "data" / "one.txt").write_text("1")
    case.spec(copy=["data"])
    case.lock()
    rest(case.folder)
    case.build()
    assert receipts(case)
    return case


def receipts(case: Case) -> list[Path]:
    return sorted((case.home / "records" / "receipts").glob("*"))


def rest(folder: Path) -> None:
    """Time passes for the files below ``folder``, as far as marks can tell."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1, 1))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    # A mark's last figure is when the file was touched last, which no call can set back: files here are at rest.
    monkeypatch.setattr("taskimage.adapters.witness._TICK_NS", -1_000_000_000)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was decided anew: the paths of specs, while the test runs."""
    module = importlib.import_module("taskimage.verbs.fleet")
    seen: list[str] = []
    real = module.load_spec

    def load_spec(path: Path, **options: object) -> object:
        seen.append(str(path))
        return real(path, **options)

    monkeypatch.setattr(module, "load_spec", load_spec)
    return seen


def test_the_same_again_is_answered_without_reading_the_spec(built: Case, prepared: list[str]) -> None:
    code, out, err = built.run("build", str(built.spec_path))
    assert (code, out) == (0, built.build() + "\n")
    assert err == NOTHING.format("store") + "\n"
    assert prepared == []


def test_the_same_again_imports_neither_yaml_nor_the_planner(built: Case) -> None:
    words = ["build", str(built.spec_path)]
    run = (
        "import sys; from taskimage.adapters import witness; witness._TICK_NS = -1_000_000_000\n"
        f"from taskimage.cli import main; main({words!r}); print(*sys.modules)"
    )
    environ = {**os.environ, **built.environ}
    for _ in range(2):
        printed = subprocess.run(
            [sys.executable, "-c", run], env=environ, capture_output=True, text=True, check=True
        )
    modules = set(printed.stdout.split())
    assert modules & {"yaml", "tomllib", "argparse", "urllib3", "rich", "importlib.metadata"} == set()
    assert {name for name in modules if name.startswith(("taskimage.verbs.", "taskimage.transform"))} == {
        "taskimage.verbs.receipt"
    }


def test_a_published_image_costs_one_request_a_name(case: Case, registry: Registry) -> None:
    case.spec(registry=registry.host)
    case.lock()
    reference = case.build()
    registry.clear_requests()
    code, out, err = case.run("build", str(case.spec_path))
    assert (code, out.strip(), err.strip()) == (0, reference, NOTHING.format("registry"))
    assert [one.method for one in registry.requests] == ["HEAD", "HEAD"]


def _edit_lock(case: Case) -> None:
    case.lock_path.write_text(case.lock_path.read_text() + "\n")


def _add_file(case: Case) -> None:
    (case.folder / "data" / "two.txt").write_text("2")


def _change_file(case: Case) -> None:
    (case.folder / "data" / "one.txt").write_text("2")


def _keep_times(case: Case) -> None:
    path = case.folder / "data" / "one.txt"
    times = path.stat()
    path.write_text("3")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _edit_spec(case: Case) -> None:
    case.spec_path.write_text(case.spec_path.read_text() + "\n")


def _settings(case: Case) -> None:
    (case.folder / "taskimage").mkdir()
    (case.folder / "taskimage" / "config.toml").write_text("strict = true\n")


def _lose_a_layer(case: Case) -> None:
    index = json.loads((case.home / "oci" / "index.json").read_bytes())
    blobs = case.home / "oci" / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_bytes())
    (blobs / manifest["layers"][0]["digest"][7:]).unlink()


def _lose_the_name(case: Case) -> None:
    (case.home / "oci" / "index.json").unlink()


def _spoil_the_receipt(case: Case) -> None:
    for path in receipts(case):
        path.write_text('{"marks": {}}')


@pytest.mark.parametrize(
    "change",
    [
        _edit_lock, _edit_spec, _add_file, _change_file, _keep_times, _settings, _lose_a_layer, _lose_the_name,
        _spoil_the_receipt,
    ],
)  # fmt: skip
def test_whatever_changes_is_seen(built: Case, prepared: list[str], change: Callable[[Case], None]) -> None:
    change(built)
    built.build()
    assert prepared == [str(built.spec_path)]


def test_another_environment_is_another_question(built: Case, prepared: list[str]) -> None:
    built.build(SOURCE_DATE_EPOCH="1700000000")
    assert prepared == [str(built.spec_path)]


def test_other_words_are_another_question(built: Case, prepared: list[str]) -> None:
    assert built.run("build", "--offline", str(built.spec_path))[0] == 0
    assert prepared == [str(built.spec_path)]


@pytest.mark.parametrize(
    "word", ["--force", "--verify", "--dry-run", "--image-refs=refs.txt", "--output=oci:out"]
)
def test_what_asks_for_more_than_the_image_is_always_done(
    built: Case, prepared: list[str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built.folder)
    before = receipts(built)
    for _ in range(2):
        assert built.run("build", word, str(built.spec_path))[0] == 0
    assert receipts(built) == before


def test_a_tag_that_somebody_moved_is_seen(case: Case, registry: Registry, prepared: list[str]) -> None:
    case.spec(registry=registry.host)
    case.lock()
    reference = case.build()
    tag = reference.partition("@")[0].rpartition(":")[2]
    registry.put_image(f"demo:{tag}", make_image())
    prepared.clear()
    assert case.build() == reference
    assert prepared == [str(case.spec_path)]
    assert str(registry.manifest("demo", tag).digest) == reference.partition("@")[2]


def test_warnings_are_repeated(case: Case) -> None:
    (case.folder / "tasks").mkdir()
    case.spec(source_root="tasks")
    first = case.run("build", str(case.spec_path))[2]
    again = case.run("build", str(case.spec_path))[2]
    warning = [line for line in first.splitlines() if line.startswith("warning: ")]
    assert warning
    assert set(warning) <= set(again.splitlines())
    assert NOTHING.format("store") in again


def test_no_value_of_the_environment_is_kept(built: Case) -> None:
    built.build(MY_TOKEN="a-canary-value")
    assert len(receipts(built)) == 2
    assert not any(b"canary" in path.read_bytes() for path in receipts(built))


def test_another_flytekit_on_this_machine_is_seen(
    case: Case, prepared: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no lock, its version is that of the image."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def install(version: str) -> None:
        folder = site / f"flytekit-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flytekit\nVersion: {version}\n")

    for version in ("1.0", "2.0"):
        case.index.add("flytekit", version, files={"flytekit.py": b""})
    case.spec(builder_options={"taskimage": {"bytecode": False}})
    install("1.0")
    first = case.build()
    assert receipts(case)
    (site / "flytekit-1.0.dist-info").rename(tmp_path / "removed")
    install("2.0")
    prepared.clear()
    assert case.build() != first
    assert prepared == [str(case.spec_path)]


def test_an_image_that_is_there_needs_no_store(case: Case, registry: Registry) -> None:
    """A receipt is kept where it can be, and the build does not fail where it cannot."""
    case.spec(registry=registry.host)
    case.lock()
    reference = case.build()
    (case.folder / "file").touch()
    assert case.build(TASKIMAGE_HOME=str(case.folder / "file" / "home")) == reference


def test_a_failure_leaves_no_receipt(case: Case) -> None:
    case.spec(packages=["no-such-package"])
    case.fails(3)
    assert receipts(case) == []


def test_git_s_rules_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / "repository" / "src"
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(folder.parent)], check=True)
    with watching() as witness:
        IgnoreRules.read(folder)
    seen = {Path(path) for path in witness.marks}
    assert witness.sure
    assert {folder.parent / ".gitignore", folder.parent / ".git" / "index", folder / ".dockerignore"} <= seen


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("home/.gitconfig", "[core]\n\texcludesFile = ~/ignored\n"),
        ("home/.config/git/config", "[include]\n\tpath = more\n"),
        ("folder/.git/config", '[includeIf "gitdir:/"]\n\tpath = more\n'),
        ("folder/.git/config.worktree", "[core]\n\texcludesfile = rules\n"),
        ("folder/.git", "gitdir: ../elsewhere\n"),
    ],
)
def test_rules_of_git_that_are_elsewhere_are_not_relied_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert is_sure(tmp_path / "folder")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert not is_sure(tmp_path / "folder")


@pytest.mark.parametrize("name", ["GIT_CONFIG_GLOBAL", "GIT_DIR", "GIT_INDEX_FILE"])
def test_nor_is_what_a_variable_tells_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert not is_sure(tmp_path / "folder")


def test_nor_is_it_where_there_is_no_git_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_sure(tmp_path / "folder")


def is_sure(folder: Path) -> bool:
    """Whether all that the rules of ``folder`` depend on is seen."""
    folder.mkdir(exist_ok=True)
    with watching() as witness:
        IgnoreRules.read(folder)
    return witness.sure


def test_a_file_that_was_changed_a_moment_ago_is_not_relied_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskimage.adapters.witness._TICK_NS", 1_000_000_000)
    path = tmp_path / "file"
    path.write_text("1")
    with watching() as witness:
        saw(path)
    assert not witness.sure


def test_the_first_look_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    with watching() as witness:
        saw(path)
        path.write_text("22")
        saw(path)
    assert not unchanged(witness.marks)


def test_nothing_is_noted_outside_of_a_watch(tmp_path: Path) -> None:
    with watching() as witness:
        pass
    saw(tmp_path)
    lost_sight()
    assert (witness.marks, witness.sure) == ({}, True)


def test_what_comes_to_be_where_nothing_was_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "later"
    assert mark(str(path)) is None
    with watching() as witness:
        saw(path)
    assert unchanged(witness.marks)
    path.touch()
    assert not unchanged(witness.marks)
