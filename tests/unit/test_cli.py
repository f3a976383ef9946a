"""The command as a whole: what goes to which stream, exit codes, help, and what it says of mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from taskimage.cli import COMMANDS, main
from taskimage.model import errors

_DIGEST = "sha256:" + "a" * 64


def taskimage(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskimage", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_parse_prints_one_image_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "--name", "x", "ghcr.io/org/a:v1", f"localhost:5000/b@{_DIGEST}"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"name": "x", "fqn": "ghcr.io/org/a", "tag": "v1", "digest": None},
        {"name": "x", "fqn": "localhost:5000/b", "tag": None, "digest": _DIGEST},
    ]
    assert err == ""


def test_what_fails_does_not_stop_the_rest_and_decides_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "a:v1", "no tag", "b:v2"]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.startswith("error: ")


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"], *([name, "--help"] for name in COMMANDS)])
def test_help_is_a_result_and_teaches_by_example(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: taskimage ")
    assert out.partition("examples:\n")[2].count("  taskimage ") >= 2
    assert err == ""
    assert max(map(len, out.splitlines())) <= 110


def test_the_help_of_the_whole_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert (out, err[:6]) == ("", "usage:")


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"taskimage {version('taskimage')}\n"


@pytest.mark.parametrize(
    ("words", "complaint", "hint"),
    [
        (["bild"], "no such command: 'bild'", "did you mean 'build'?"),
        (["frobnicate"], "no such command: 'frobnicate'", "see: taskimage --help"),
        (["--versoin"], "no such option: '--versoin'", "did you mean '--version'?"),
        (["build", "--lokced", "x"], "no such option: '--lokced'", "did you mean '--locked'?"),
        (["build"], "the following arguments are required: SPEC", "see: taskimage build --help"),
        (["build", "--push", "--no-push", "x"], "not allowed with", "see: taskimage build --help"),
        (["build", "-o", "tar:x", "x.yaml"], "not an output: 'tar:x'", None),
        (["build", "-o", "docker-archive:x", "a.yaml", "b.yaml"], "holds one image", None),
        (["build", "--dry-run", "-o", "oci:x", "a.yaml"], "--dry-run makes nothing", None),
        (["build", "--platform", "windows/amd64", "a.yaml"], "not a platform", None),
        (["lock", "--check", "-U", "x"], "--check changes nothing", None),
        (["lock", "--diff", "old", "a", "b"], "--diff compares one lock", None),
    ],
)
def test_a_mistake_in_the_words_says_what_would_be_right(
    words: Sequence[str], complaint: str, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err.splitlines()[0]
    assert hint is None or err.splitlines()[-1] == f"hint: {hint}"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run"], "the following arguments are required: SPEC|REF"),
        (["run", "x", "ls"], "unexpected argument: 'ls'"),
        (["run", "-v", "a:b", "x"], "not a volume: 'a:b'"),
        (["run", "-v", "/:/", "x"], "not a volume: '/:/'"),
        (["run", "-v", "/nothing/here:/x", "x"], "there is no '/nothing/here' on this host"),
        (["run", "-e", "=x", "x"], "not a variable: '=x'"),
        (["run", "oci:nowhere", "--", "ls"], "there is no image layout in 'nowhere'"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="run needs Linux")
def test_run_s_own_failures_have_docker_s_code(
    words: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 125
    assert complaint in capsys.readouterr().err


def test_run_on_another_system_says_so_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["run", "image.yaml", "--", "ls"]) == 7
    assert "needs a Linux host" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BadInput("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.NotAllowed("x"), 4),
        (errors.Unreachable("x"), 5),
        (errors.IntegrityError("x"), 6),
        (errors.CannotBuild("x"), 7),
        (errors.TaskImageError("x"), 70),
        (RuntimeError("x"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_family_of_errors_has_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("taskimage.cli._dispatch", lambda words: _raise(error))
    assert main(["build"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert ("this is a bug in taskimage" in err) == (code == 70)
    assert "Traceback" not in err


def _raise(error: BaseException) -> int:
    raise error


def test_the_traceback_of_a_bug_is_there_for_the_asking(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TASKIMAGE_DEBUG", "1")
    monkeypatch.setattr("taskimage.cli._dispatch", lambda words: _raise(RuntimeError("x")))
    assert main([]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_hint_stands_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = errors.NotFound("no package 'gti'", where="image.yaml:3:5", hint="did you mean 'git'?")
    monkeypatch.setattr("taskimage.cli._dispatch", lambda words: _raise(error))
    main([])
    assert capsys.readouterr().err == "error: image.yaml:3:5: no package 'gti'\nhint: did you mean 'git'?\n"


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    many = [f"a:v{number}" for number in range(2000)]
    process = subprocess.Popen(
        [sys.executable, "-m", "taskimage", "parse", *many], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words", [["build", "/image.yaml"], ["lock", "image.yaml"], ["run", "image.yaml", "--", "x"]]
)
def test_a_working_directory_that_was_removed_is_told(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(words) == 3
    assert "error: the working directory is there no more" in capsys.readouterr().err


def test_a_full_disk_under_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "taskimage", "parse", "a:v1"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 4
    assert b"cannot write the result" in done.stderr


def test_the_result_alone_is_on_standard_output_of_the_process() -> None:
    done = taskimage("parse", "a:v1")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["tag"] == "v1"


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys; from taskimage.cli import main; main(['parse', 'a:v1']); "
        "print(sorted({'rich', 'urllib3', 'yaml', 'marshmallow', 'packaging'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_process_does_not_look_for_garbage_among_what_it_imports() -> None:
    program = (
        "import gc, sys; from taskimage.__main__ import run; sys.argv = ['taskimage', 'parse', 'a:v1']; "
        "began = []; gc.callbacks.append(lambda phase, info: began.append(phase)); code = run(); gc.callbacks.clear(); "
        "print(code, began, gc.get_freeze_count() > len(gc.get_objects()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 [] True"
