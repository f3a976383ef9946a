"""Wheels: where their files go in the image's venv, and that wheels which contradict themselves are refused."""

from __future__ import annotations

import contextlib
import csv
import io
import stat
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.archives import record, record_digest

from taskimage.model.errors import CannotBuild, IntegrityError, TaskImageError
from taskimage.transform.entry import BytesBody, Deflated, Entry, StreamBody
from taskimage.transform.wheel import Wheel, read_wheel

SITE = "opt/venv/lib/python3.11/site-packages"
INFO = "demo_pkg-1.0.dist-info"
FILE = "demo_pkg-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\nRequires-Python: >=3.8,<4\n\nAbout it.\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
Files = Mapping[str, bytes]


def files_of(extra: Files = {}) -> dict[str, bytes]:  # noqa: B006 - never changed
    """A wheel's files, RECORD last and true."""
    files = {"demo.py": b"x = 1\n" * 20, f"{INFO}/METADATA": METADATA, f"{INFO}/WHEEL": WHEEL, **extra}
    return {**files, f"{INFO}/RECORD": files.get(f"{INFO}/RECORD", record(files, INFO))}


def write(path: Path, files: Files, *, executable: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = method
            member.external_attr = (stat.S_IFREG | (0o775 if name == executable else 0o600)) << 16
            archive.writestr(member, data)
    return path


def opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: cast("BinaryIO", path.open("rb"))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Wheel]:
    """A function that makes a wheel of files and reads it."""

    def made(files: Files, *, file: str = FILE, executable: str = "") -> Wheel:
        return read_wheel(opener(write(tmp_path / "w.whl", files, executable=executable)), where=file)

    return made


def tree(wheel: Wheel) -> dict[str, Entry]:
    return {entry.path: entry for entry in wheel.entries}


def text(entry: Entry) -> str:
    assert entry.body is not None
    with entry.body.open() as stream:
        return stream.read().decode()


def test_a_wheel_says_what_it_is(read: Callable[..., Wheel]) -> None:
    wheel = read(files_of(), file="demo_pkg-1.0-py2.py3-none-any.whl")
    assert (wheel.name, wheel.version, wheel.requires_python) == ("demo-pkg", "1.0", ">=3.8,<4")
    assert wheel.tags == {"py2-none-any", "py3-none-any"}


def test_files_go_to_the_schemes_of_the_venv_with_their_modes(read: Callable[..., Wheel]) -> None:
    data = "demo_pkg-1.0.data"
    wheel = read(
        files_of(
            {
                f"{data}/purelib/pure.py": b"",
                f"{data}/platlib/lib.so": b"",
                f"{data}/headers/a.h": b"",
                f"{data}/data/share/a/b.json": b"",
                f"{data}/scripts/tool": b"#!/bin/sh\n",
                "demo.data/inner.txt": b"a folder that only looks like one of the format",
            }
        ),
        executable=f"{data}/platlib/lib.so",
    )
    assert {entry.path: oct(entry.mode) for entry in wheel.entries} == {
        "opt/venv/bin/tool": "0o755",
        "opt/venv/include/site/python3.11/demo_pkg/a.h": "0o644",
        f"{SITE}/{INFO}/INSTALLER": "0o644",
        f"{SITE}/{INFO}/METADATA": "0o644",
        f"{SITE}/{INFO}/RECORD": "0o644",
        f"{SITE}/{INFO}/WHEEL": "0o644",
        f"{SITE}/demo.data/inner.txt": "0o644",
        f"{SITE}/demo.py": "0o644",
        f"{SITE}/lib.so": "0o755",
        f"{SITE}/pure.py": "0o644",
        "opt/venv/share/a/b.json": "0o644",
    }
    assert [entry.path for entry in wheel.entries] == sorted(entry.path for entry in wheel.entries)


def test_another_prefix_and_python_move_everything(tmp_path: Path) -> None:
    path = write(tmp_path / "w.whl", files_of())
    wheel = read_wheel(opener(path), prefix="srv/env", python="3.13", where=FILE)
    assert all(entry.path.startswith("srv/env/lib/python3.13/site-packages/") for entry in wheel.entries)


def test_what_is_installed_as_it_is_stays_compressed(tmp_path: Path, read: Callable[..., Wheel]) -> None:
    assert isinstance(tree(read(files_of()))[f"{SITE}/demo.py"].body, Deflated)
    stored = write(tmp_path / "stored.whl", files_of(), method=zipfile.ZIP_STORED)
    assert isinstance(tree(read_wheel(opener(stored), where=FILE))[f"{SITE}/demo.py"].body, StreamBody)


@pytest.mark.parametrize(
    ("script", "installed"),
    [
        ("#!python\nprint()\n", "#!/opt/venv/bin/python\nprint()\n"),
        ("#!pythonw -x\nprint()\n", "#!/opt/venv/bin/python\nprint()\n"),
        ("#!/usr/bin/python\n", "#!/usr/bin/python\n"),
        ("", ""),
    ],
)
def test_scripts_for_python_run_the_venvs_python(
    read: Callable[..., Wheel], script: str, installed: str
) -> None:
    found = tree(read(files_of({"demo_pkg-1.0.data/scripts/tool": script.encode()})))
    entry = found["opt/venv/bin/tool"]
    assert text(entry) == installed
    assert f"../../../bin/tool,{record_digest(installed.encode())},{len(installed)}\n" in text(
        found[f"{SITE}/{INFO}/RECORD"]
    )
    assert isinstance(entry.body, BytesBody) == (script != installed), "what stays the same is not read"


def test_stored_scripts_are_rewritten_as_well(tmp_path: Path) -> None:
    files = files_of({"demo_pkg-1.0.data/scripts/tool": b"#!python\n"})
    path = write(tmp_path / "w.whl", files, method=zipfile.ZIP_STORED)
    found = tree(read_wheel(opener(path), where=FILE))
    assert text(found["opt/venv/bin/tool"]) == "#!/opt/venv/bin/python\n"


def test_entry_points_become_commands(read: Callable[..., Wheel]) -> None:
    points = (
        b"[console_scripts]\ndemo = demo.cli:app.main [extra]\n[gui_scripts]\ngui=demo:g\n[other]\nx = y\n"
    )
    found = tree(read(files_of({f"{INFO}/entry_points.txt": points})))
    commands = {path: entry for path, entry in found.items() if path.startswith("opt/venv/bin/")}
    assert sorted(commands) == ["opt/venv/bin/demo", "opt/venv/bin/gui"]
    demo = commands["opt/venv/bin/demo"]
    assert demo.mode == 0o755
    assert text(demo).startswith("#!/opt/venv/bin/python\n")
    assert "from demo.cli import app\n" in text(demo)
    assert "sys.exit(app.main())" in text(demo)


def test_record_names_every_file_but_itself_with_its_digest(read: Callable[..., Wheel]) -> None:
    files = files_of(
        {
            "demo_pkg-1.0.data/data/etc/demo.cfg": b"a",
            f"{INFO}/entry_points.txt": b"[console_scripts]\nd=d:d\n",
        }
    )
    found = tree(read(files))
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(text(found[f"{SITE}/{INFO}/RECORD"])))}
    assert rows.pop(f"{INFO}/RECORD") == ["", ""]
    at = {f"{SITE}/{path}".replace(f"{SITE}/../../../", "opt/venv/"): row for path, row in rows.items()}
    wanted = {
        path: [record_digest(text(entry).encode()), str(entry.size)]
        for path, entry in found.items()
        if not path.endswith("/RECORD")
    }
    assert at == wanted


def test_what_an_installer_writes_is_not_taken_from_the_wheel(read: Callable[..., Wheel]) -> None:
    found = tree(
        read(
            files_of(
                {f"{INFO}/INSTALLER": b"pip", f"{INFO}/direct_url.json": b"{}", f"{INFO}/REQUESTED": b""}
            )
        )
    )
    assert text(found[f"{SITE}/{INFO}/INSTALLER"]) == "taskimage\n"
    assert not {f"{SITE}/{INFO}/direct_url.json", f"{SITE}/{INFO}/REQUESTED"} & found.keys()


def test_a_wheels_own_bytecode_is_left_out(read: Callable[..., Wheel]) -> None:
    found = tree(read(files_of({"__pycache__/demo.cpython-311.pyc": b"evil"})))
    assert not any("__pycache__" in path for path in found)
    assert "__pycache__" not in text(found[f"{SITE}/{INFO}/RECORD"])


def test_weak_digests_of_record_are_replaced(read: Callable[..., Wheel]) -> None:
    files = files_of()
    files[f"{INFO}/RECORD"] = b"".join(
        f"{path},md5=AAAA,\n".encode() for path in files if not path.endswith("RECORD")
    )
    assert f"demo.py,{record_digest(files['demo.py'])},120\n" in text(
        tree(read(files))[f"{SITE}/{INFO}/RECORD"]
    )


def test_signatures_of_record_need_no_line_in_it(read: Callable[..., Wheel]) -> None:
    files = files_of()
    assert f"{SITE}/{INFO}/RECORD.jws" in tree(read({**files, f"{INFO}/RECORD.jws": b"signed"}))


# -- wheels that are refused ---------------------------------------------------------------------------


def without(name: str) -> dict[str, bytes]:
    return {path: data for path, data in files_of().items() if path != name}


POINTS = f"{INFO}/entry_points.txt"
HOSTILE: dict[str, tuple[Files, str]] = {
    "no WHEEL": (without(f"{INFO}/WHEEL"), f"no '{INFO}/WHEEL'"),
    "no METADATA": (without(f"{INFO}/METADATA"), f"no '{INFO}/METADATA'"),
    "no RECORD": (without(f"{INFO}/RECORD"), f"no '{INFO}/RECORD'"),
    "no .dist-info at all": ({"demo.py": b""}, "wanted one .dist-info folder of demo_pkg 1.0"),
    "two .dist-info": (files_of({"other-1.0.dist-info/METADATA": b""}), "wanted one .dist-info folder"),
    "a file that RECORD lacks": ({**files_of(), "extra.pth": b"import os"}, "disagree about 'extra.pth'"),
    "a file that only RECORD has": (without("demo.py"), "disagree about 'demo.py'"),
    "another size in RECORD": ({**files_of(), "demo.py": b"x = 2\n"}, "'demo.py' has 6 bytes and RECORD states 120"),
    "a RECORD that is none": (files_of({f"{INFO}/RECORD": b"a,b\n"}), "RECORD that cannot be read"),
    "text that is not UTF-8": (files_of({f"{INFO}/METADATA": b"\xff"}), "METADATA' is not UTF-8"),
    "another name in METADATA": (
        files_of({f"{INFO}/METADATA": METADATA.replace(b"demo-pkg", b"numpy")}), "states in METADATA that it is 'numpy' '1.0'"
    ),
    "another version in METADATA": (
        files_of({f"{INFO}/METADATA": METADATA.replace(b"Version: 1.0", b"Version: 1.1")}), "'demo-pkg' '1.1'"
    ),
    "no version in METADATA": (
        files_of({f"{INFO}/METADATA": METADATA.replace(b"Version: 1.0", b"Version: one")}), "'demo-pkg' 'one'"
    ),
    "two .data folders": (
        files_of({"demo_pkg-1.0.data/data/a": b"", "Demo.Pkg-1.0.0.data/data/b": b""}), "wanted one of them"
    ),
    "no Wheel-Version": (files_of({f"{INFO}/WHEEL": b"Generator: x\n"}), "states Wheel-Version ''"),
    "a data file of no scheme": (files_of({"demo_pkg-1.0.data/stdlib/os.py": b""}), "belongs to no scheme"),
    "two files for one path": (
        files_of({"demo_pkg-1.0.data/purelib/demo.py": b""}), f"has '{SITE}/demo.py' twice"
    ),
    "a file and a folder": (files_of({"demo.py/a": b""}), f"has '{SITE}/demo.py' as a file and as a folder"),
    "a command and a script": (
        files_of({POINTS: b"[console_scripts]\nt = a:b\n", "demo_pkg-1.0.data/scripts/t": b""}), "'opt/venv/bin/t' twice"
    ),
    "a command elsewhere": (files_of({POINTS: b"[console_scripts]\n../x = a:b\n"}), "entry point '../x'"),
    "a command that is code": (files_of({POINTS: b"[console_scripts]\nx = a:b;c()\n"}), "cannot be read"),
    "a command with no function": (files_of({POINTS: b"[console_scripts]\nx = a\n"}), "cannot be read"),
    "entry points that are none": (files_of({POINTS: b"console_scripts\n"}), "cannot be read"),
    "a path out of the venv": (files_of({"../../demo.py": b""}), "'../../demo.py' points outside"),
    "data out of the venv": (files_of({"demo_pkg-1.0.data/data/../../../etc/x": b""}), "points outside"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wheel_that_contradicts_itself_is_refused(read: Callable[..., Wheel], case: str) -> None:
    files, message = HOSTILE[case]
    with pytest.raises(IntegrityError) as caught:
        read(files)
    assert message in caught.value.message
    assert caught.value.where == FILE


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("demo_pkg-1.1-py3-none-any.whl", "wanted one .dist-info folder of demo_pkg 1.1"),
        ("other-1.0-py3-none-any.whl", "wanted one .dist-info folder of other 1.0"),
        ("demo_pkg.zip", "is not the file name of a wheel"),
    ],
)
def test_a_wheel_under_a_false_name_is_refused(read: Callable[..., Wheel], file: str, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        read(files_of(), file=file)


@pytest.mark.parametrize("file", ["demo_pkg-1.0-py3-none-any.whl", "Demo.Pkg-1.0.0-1build-py3-none-any.whl"])
def test_names_are_compared_in_their_normal_form(read: Callable[..., Wheel], file: str) -> None:
    assert read(files_of(), file=file).name == "demo-pkg"


def test_a_wheel_of_a_newer_format_is_not_guessed_at(read: Callable[..., Wheel]) -> None:
    with pytest.raises(CannotBuild, match=r"Wheel-Version '2\.0'"):
        read(files_of({f"{INFO}/WHEEL": b"Wheel-Version: 2.0\n"}))


@pytest.mark.parametrize("name", [f"{INFO}/METADATA", "demo_pkg-1.0.data/scripts/tool"])
def test_damage_is_found_when_a_member_is_read_and_the_member_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "w.whl", files_of({"demo_pkg-1.0.data/scripts/tool": b"#!python\n" * 9}))
    data = bytearray(path.read_bytes())
    start = data.index(name.encode()) + len(name)
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=f"member '{name}' is damaged"):
        read_wheel(opener(path), where=FILE)


@given(st.integers(0, 2000), st.integers(1, 255))
@settings(max_examples=100)
def test_no_single_byte_makes_the_reader_fail_in_another_way(at: int, flip: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "w.whl", files_of({"demo_pkg-1.0.data/scripts/tool": b"#!python\n" * 9}))
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= flip
        path.write_bytes(data)
        with contextlib.suppress(TaskImageError):
            read_wheel(opener(path), where=FILE)
