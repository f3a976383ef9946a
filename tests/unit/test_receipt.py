"""Asking the same again: a receipt answers it, with two requests and no second reading, until anything has changed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.case import Case

from taskimage.adapters.pypi.secrets import with_secrets
from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles.checkedfile import hash_file, read_regular
from taskimage.adapters.specfiles.ignorerules import IgnoreRules
from taskimage.adapters.witness import Mark, Witness, listed, lost_sight, mark, saw, unchanged, watching
from taskimage.model.spec.secretkind import SecretKind
from taskimage.testing import Registry, make_image

NOTHING = "nothing to do: the {} has this image"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as started:
        yield started


@pytest.fixture
def built(case: Case) -> Case:
    """A case that is locked and built, of files that were written a moment before, with a receipt."""
    (case.folder / "data").mkdir()
    (case.folder / "data" / "one.txt").write_text("1")
    case.spec(copy=["data"])
    case.lock()
    case.build()
    assert receipts(case)
    return case


def receipts(case: Case) -> list[Path]:
    return sorted((case.home / "records" / "receipts").glob("*"))


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test has written has been there for a while."""
    # When a file was touched last, no call can set back.
    monkeypatch.setattr("taskimage.adapters.witness._TICK_NS", -1_000_000_000)


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are stamped by a clock that stands still since before the run began: no change shows in a mark."""
    now = time.time_ns()

    def stamped(path: str) -> Mark:
        seen = mark(path)
        return None if seen is None else [seen[0], 0, 0, 0, now]

    monkeypatch.setattr("taskimage.adapters.witness.mark", stamped)


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
    modules = imported(built)
    assert modules & {"yaml", "tomllib", "argparse", "urllib3", "rich", "importlib.metadata"} == set()
    assert {name for name in modules if name.startswith(("taskimage.verbs.", "taskimage.transform"))} == {
        "taskimage.verbs.receipt"
    }


def test_a_registry_on_this_machine_is_asked_without_an_http_client(case: Case, registry: Registry) -> None:
    case.spec(registry=registry.host)
    modules = imported(case)
    assert modules & {"urllib3", "http.client", "email", "ssl", "logging", "asyncio"} == set()
    assert {name for name in modules if name.startswith(("taskimage.adapters.", "taskimage.model."))} == {
        "taskimage.adapters.glance",
        "taskimage.adapters.settings",
        "taskimage.adapters.userfolders",
        "taskimage.adapters.witness",
        "taskimage.model.errors",
        "taskimage.model.value",
    }


def imported(case: Case) -> set[str]:
    """The modules that a process has imported which builds ``case`` for the second time."""
    words = ["build", str(case.spec_path)]
    run = f"import sys; from taskimage.cli import main; main({words!r}); print(*sys.modules)"
    environ = {**os.environ, **case.environ}
    for _ in range(2):
        printed = subprocess.run(
            [sys.executable, "-c", run], env=environ, capture_output=True, text=True, check=True
        )
    return set(printed.stdout.split())


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


def _change_mode(case: Case) -> None:
    (case.folder / "data" / "one.txt").chmod(0o755)


def _link_file(case: Case) -> None:
    path = case.folder / "data" / "one.txt"
    path.rename(case.folder / "elsewhere.txt")
    path.symlink_to("../elsewhere.txt")


def _swap_folder(case: Case) -> None:
    path = case.folder / "data"
    path.rename(case.folder / "elsewhere")
    path.symlink_to("elsewhere")


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
        _edit_lock, _edit_spec, _add_file, _change_file, _keep_times, _change_mode, _link_file, _swap_folder, _settings, _lose_a_layer, _lose_the_name,
        _spoil_the_receipt,
    ],
)  # fmt: skip
def test_whatever_changes_is_seen(built: Case, prepared: list[str], change: Callable[[Case], None]) -> None:
    change(built)
    built.build()
    assert prepared == [str(built.spec_path)]


def _write_anew(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def _put_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.chmod(path.stat().st_mode)
    other.rename(path)


@pytest.mark.parametrize("how", [_write_anew, _put_another, Path.touch])
@pytest.mark.parametrize("name", ["image.yaml", "image.lock.toml", "data/one.txt"])
def test_the_same_written_anew_is_no_change(
    built: Case, prepared: list[str], name: str, how: Callable[[Path], None]
) -> None:
    how(built.folder / name)
    built.build()
    assert prepared == []


def test_a_folder_that_had_another_file_meanwhile_is_not_changed(built: Case, prepared: list[str]) -> None:
    other = built.folder / "data" / "backup~"
    other.touch()
    other.unlink()
    built.build()
    assert prepared == []


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


def test_nobody_else_reads_a_receipt(built: Case) -> None:
    assert [oct(path.stat().st_mode & 0o777) for path in receipts(built)] == ["0o600"]


def test_of_what_may_hold_credentials_no_digest_is_kept(tmp_path: Path) -> None:
    """Whoever has the digest of a short secret can try them all."""
    settings, pip, netrc = (tmp_path / name for name in ("taskimage/config.toml", "pip.conf", "netrc"))
    settings.parent.mkdir()
    settings.write_text("debian_mirror = 'http://me:secret@localhost'")
    pip.write_text("[global]\nindex-url = http://me:secret@localhost")
    netrc.write_text("machine localhost password secret")
    with watching() as witness:
        Settings.load({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)})
        with_secrets([(pip, SecretKind.PIP), (netrc, SecretKind.NETRC)], {})
    assert {str(settings), str(pip), str(netrc)} <= set(witness.marks)
    assert witness.contents == {}


@pytest.mark.usefixtures("at_rest")
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


def holds(witness: Witness) -> bool:
    """Whether a receipt would be kept of what was seen, and holds now."""
    marks = witness.settled()
    return marks is not None and unchanged(marks, witness.contents)


def test_a_file_that_was_changed_a_moment_ago_counts_by_what_was_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    with watching() as seen:
        saw(path)
    with watching() as taken:
        read_regular(path)
    assert (holds(seen), holds(taken)) == (False, True)


def test_a_large_file_counts_by_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes((1 << 20) + 1))
    with watching() as young:
        hash_file(path)
    assert not holds(young)
    monkeypatch.setattr("taskimage.adapters.witness._TICK_NS", -1_000_000_000)
    with watching() as rested:
        hash_file(path)
    assert young.contents == rested.contents == {}
    assert holds(rested)


@pytest.mark.usefixtures("no_clock")
def test_what_is_changed_within_a_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("1")
    folder.mkdir()
    with watching() as of_file:
        read_regular(file)
    with watching() as of_folder:
        listed(folder, [])
    assert (holds(of_file), holds(of_folder)) == (True, True)
    file.write_text("2")
    (folder / "new").touch()
    assert (holds(of_file), holds(of_folder)) == (False, False)


@pytest.mark.usefixtures("no_clock")
def test_what_was_taken_counts_and_not_what_was_seen_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    with watching() as witness:
        saw(path)
        path.write_text("2")
        read_regular(path)
    assert holds(witness)
    path.write_text("1")
    assert not holds(witness)


@pytest.mark.usefixtures("no_clock")
def test_two_answers_to_what_was_taken_are_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in ("1", "2"):
        path.write_text(text)
    with watching() as witness:
        for text in ("1", "2", "1"):
            path.write_text(text)
            hash_file(path)
    assert not holds(witness)


@pytest.mark.parametrize("change", [lambda path: path.write_text("1"), lambda path: path.chmod(0o644)])
def test_what_changes_while_the_run_looks_is_not_relied_upon(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """Even where it is as before in the end: somebody may have read it meanwhile."""
    path = tmp_path / "file"
    path.write_text("1")
    path.chmod(0o644)
    with watching() as witness:
        read_regular(path)
        path.chmod(0o755)
        path.write_text("2")
        time.sleep(0.02)  # the clock that stamps files ticks in hundredths of a second
        change(path)
    assert witness.settled() is None


def test_the_first_look_counts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    with watching() as witness:
        saw(path)
        path.write_text("22")
        saw(path)
    assert not unchanged(witness.marks, {})


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
    assert unchanged(witness.marks, {})
    path.touch()
    assert not unchanged(witness.marks, {})
