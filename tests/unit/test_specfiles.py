"""A spec on the disk: finding its file, and the files that it names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from taskimage.adapters.specfiles import collect, host_python, load, lock_path, requirements_of
from taskimage.adapters.specfiles.checkedfile import explained, open_checked
from taskimage.model.digest import Digest
from taskimage.model.errors import (
    BadInput,
    CannotBuild,
    IntegrityError,
    InvalidSpec,
    NotAllowed,
    NotFound,
    TaskImageError,
)
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.copymode import CopyFileDetection

Tree = dict[str, str]
Make = Callable[[Tree], Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a folder ``spec`` with files; the working directory is another one, which is empty."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def write(files: Tree) -> Path:
        for name, text in files.items():
            path = tmp_path / "spec" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "spec" / "image.yaml"

    return write


def copied(path: Path, root: Path | None = None) -> list[str]:
    return [file.path for file in collect(load(path, root=root)).source.files]


class TestLoad:
    def test_a_spec_is_read_from_its_file(self, make: Make) -> None:
        path = make({"image.yaml": "name: demo"})
        assert ImageSpec.from_yaml(path) == load(path).spec == ImageSpec(name="demo")

    def test_a_missing_file_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="no such file"):
            load(tmp_path / "image.yaml")

    @pytest.mark.parametrize("special", [Path("/"), Path("/dev/zero")])
    def test_what_is_no_file_is_refused(self, special: Path) -> None:
        with pytest.raises(BadInput):
            load(special)

    def test_a_fifo_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "image.yaml")
        with pytest.raises(BadInput, match="not a regular file"):
            load(tmp_path / "image.yaml")

    def test_a_large_file_is_refused(self, make: Make) -> None:
        with pytest.raises(InvalidSpec, match="larger than"):
            load(make({"image.yaml": "#" * 1_000_000}))

    def test_a_root_that_is_missing_says_so(self, make: Make) -> None:
        with pytest.raises(NotFound, match="no such folder"):
            load(make({"image.yaml": "name: demo"}), root=Path("nowhere"))

    def test_the_lock_is_beside_the_spec(self) -> None:
        assert lock_path(Path("a/b.c.yaml")) == Path("a/b.c.lock.toml")

    def test_the_host_python_has_two_numbers(self) -> None:
        assert host_python() == f"3.{sys.version_info.minor}"


class TestWhere:
    """Beside the spec, then in the working directory; two different things are an error; a root decides."""

    def test_beside_the_spec_comes_first(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [a.txt]", "a.txt": "1"})
        found = collect(load(path))
        assert [file.path for file in found.source.files] == ["a.txt"]
        assert found.warnings == ()

    def test_the_working_directory_is_next_with_a_warning(self, make: Make) -> None:
        path = make({"image.yaml": "name: x\ncopy: [a.txt]"})
        Path("a.txt").write_text("1")
        [warning] = collect(load(path)).warnings
        assert warning.text.startswith(f"{path}:2:8: 'a.txt' is taken from the working directory")

    @pytest.mark.parametrize("field", ["copy: [d]", "requirements: d/a.txt", "source_root: d"])
    def test_two_different_things_are_an_error_and_equal_ones_are_not(self, make: Make, field: str) -> None:
        path = make({"image.yaml": field, "d/a.txt": "numpy"})
        Path("d").mkdir()
        Path("d/a.txt").write_text("numpy")
        collect(load(path))
        Path("d/a.txt").write_text("pandas")
        with pytest.raises(BadInput, match="not the same in"):
            collect(load(path))

    def test_a_root_decides(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [a.txt]", "a.txt": "1"})
        Path("a.txt").write_text("22")
        [file] = collect(load(path, root=Path())).source.files
        assert file.body.size == 2

    def test_the_folder_itself_is_the_one_of_the_spec(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [.]", "a.txt": "1"})
        Path("b.txt").write_text("2")
        assert copied(path) == ["a.txt", "image.yaml"]

    def test_a_spec_made_in_python_starts_in_the_working_directory(self, make: Make) -> None:
        make({})
        Path("a.txt").write_text("1")
        assert [file.path for file in collect(ImageSpec(copy=["a.txt"])).source.files] == ["a.txt"]

    def test_something_unreadable_in_the_working_directory_is_something_different(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [d]", "d/f": "1"})
        Path("d").symlink_to("d")
        with pytest.raises(BadInput, match="not the same in"):
            collect(load(path))

    @pytest.mark.parametrize("field", ["copy: [x]", "requirements: x", "source_root: x"])
    def test_what_is_nowhere_is_not_found_at_its_place(self, make: Make, field: str) -> None:
        path = make({"image.yaml": f"name: x\n{field}"})
        with pytest.raises(NotFound) as caught:
            collect(load(path))
        assert caught.value.where is not None
        assert caught.value.where.startswith(f"{path}:2:")
        assert "'x'" in caught.value.message


class TestDigests:
    def test_the_tag_is_flytekits(self, make: Make) -> None:
        """The value is what flytekit 1.15.4 and 1.16.31 give for these files."""
        path = make({"image.yaml": "{requirements: r.txt, copy: [src]}", "r.txt": "numpy\n", "src/a.py": "x"})
        spec = ImageSpec.from_yaml(path)
        assert spec.tag == "Npbq3ucaGvARwpdjaOKh7Q"
        assert spec.image_name() == f"flytekit:{spec.tag}"

    def test_source_root_alone_has_the_tag_of_no_files_and_a_warning(self, make: Make) -> None:
        path = make({"image.yaml": "source_root: src", "src/a.py": "x"})
        found = collect(load(path))
        assert ImageSpec.from_yaml(path).tag == "Hev14OTxurqhLmPKCWB2Bw"
        assert [file.path for file in found.source.files] == ["a.py"]
        assert [warning.hint for warning in found.warnings] == [
            "set source_copy_mode: all, so that the tag changes when a file does"
        ]

    def test_a_base_that_is_a_spec_is_hashed_by_its_name(self, make: Make) -> None:
        make({})
        base = ImageSpec(name="base")
        assert collect(ImageSpec(base_image=base)).digests.base_image == base.image_name()

    def test_a_lock_changes_what_flytekit_hashes_and_not_what_is_copied(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [.]"})
        before = collect(load(path))
        lock_path(path).write_text("x")
        after = collect(load(path))
        assert before.source == after.source
        assert before.digests != after.digests


class TestSourceRoot:
    def read(self, make: Make, files: Tree) -> list[str]:
        return copied(make({"image.yaml": "{source_root: src, source_copy_mode: all}", **files}))

    def test_files_are_right_below_root_without_what_is_ignored(self, make: Make) -> None:
        files = [
            "a.py",
            "d/b.py",
            ".dockerignore",
            "c.log",
            "x.pyc",
            "__pycache__/y",
            "d/__pycache__/z",
            ".git/g",
        ]
        tree = {f"src/{name}": "" for name in files} | {"src/.dockerignore": "*.log"}
        assert self.read(make, tree) == [".dockerignore", "a.py", "d/b.py"]

    def test_links_to_folders_and_links_to_nowhere_are_passed_over(self, make: Make) -> None:
        path = make({"src/a.py": "", "src/d/b.py": ""})
        (path.parent / "src/to_folder").symlink_to("d")
        (path.parent / "src/to_nowhere").symlink_to("x")
        (path.parent / "src/to_file").symlink_to("a.py")
        assert self.read(make, {}) == ["a.py", "d/b.py", "to_file"]

    @pytest.mark.skipif(shutil.which("git") is None, reason="git tells what its rules leave out")
    def test_what_git_ignores_is_left_out_although_flytekits_digest_has_it(self, make: Make) -> None:
        """flytekit compares paths from the working directory with git's, which start in the folder."""
        path = make(
            {"image.yaml": "{source_root: src, source_copy_mode: all}", "src/a.py": "", "src/b.log": ""}
        )
        with_log = collect(load(path))
        subprocess.run(["git", "init", "-q", str(path.parent / "src")], check=True)
        (path.parent / "src/.git/info/exclude").write_text("*.log\n")
        without = collect(load(path))
        assert [file.path for file in with_log.source.files] == ["a.py", "b.log"]
        assert [file.path for file in without.source.files] == ["a.py"]
        assert with_log.digests == without.digests

    def test_a_host_without_git_applies_the_other_rules(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        assert self.read(make, {"src/a.py": "", "src/b.log": "", "src/.dockerignore": "**/*.log"}) == [
            ".dockerignore",
            "a.py",
        ]

    def test_rules_that_are_no_text_are_refused(self, make: Make) -> None:
        path = make({"src/a.py": ""})
        (path.parent / "src/.dockerignore").write_bytes(b"\xff")
        with pytest.raises(BadInput, match=r"\.dockerignore: not UTF-8"):
            self.read(make, {})

    def test_a_file_is_no_source_root(self, make: Make) -> None:
        with pytest.raises(BadInput, match="not a folder"):
            self.read(make, {"src": ""})


class TestSourceCopyMode:
    """Which files of ``source_root`` are copied; the digests are compared with flytekit's own elsewhere."""

    TREE: ClassVar[Tree] = {"src/loaded.py": "x", "src/other.py": "", "src/sub/loaded.py": "y"}

    @pytest.fixture
    def folder(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The working directory, whose files named ``loaded.py`` are of loaded modules."""
        folder = make(self.TREE).parent
        monkeypatch.chdir(folder)
        for number, path in enumerate([*folder.rglob("loaded.py"), folder / "gone.py"]):
            module = ModuleType(f"loaded_{number}")
            module.__file__ = str(path)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return folder

    @pytest.mark.parametrize("mode", [None, "auto", CopyFileDetection.LOADED_MODULES])
    def test_a_spec_made_in_python_takes_the_modules_that_are_loaded(
        self, folder: Path, mode: str | CopyFileDetection | None
    ) -> None:
        found = collect(ImageSpec(source_root=str(folder / "src"), source_copy_mode=mode))
        assert [file.path for file in found.source.files] == ["loaded.py", "sub/loaded.py"]
        assert found.warnings == ()

    def test_a_relative_root_takes_them_too_and_says_that_the_tag_does_not(self, folder: Path) -> None:
        found = collect(ImageSpec(source_root="src"))
        assert [file.path for file in found.source.files] == ["loaded.py", "sub/loaded.py"]
        assert [warning.hint for warning in found.warnings] == [
            "make it absolute: str(Path(__file__).parent)"
        ]

    def test_a_spec_read_from_yaml_takes_every_file_since_reading_loads_none(self, folder: Path) -> None:
        path = folder / "image.yaml"
        path.write_text("{source_root: src, source_copy_mode: auto}")
        assert copied(path) == ["loaded.py", "other.py", "sub/loaded.py"]

    @pytest.mark.parametrize("mode", ["none", CopyFileDetection.NO_COPY])
    def test_nothing_is_copied_when_that_is_said(self, folder: Path, mode: str | CopyFileDetection) -> None:
        found = collect(ImageSpec(source_root="src", source_copy_mode=mode))
        assert found.source.files == ()
        # flytekit takes text, whatever it says, for every file.
        assert (found.digests.source_root is None) is isinstance(mode, CopyFileDetection)


class TestCopy:
    def test_folders_keep_their_path_their_empty_folders_and_their_exec_bits(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [./a/b/, c/d.txt]", "a/b/run": "x", "a/other": "", "c/d.txt": "y"})
        (path.parent / "a/b/run").chmod(0o700)
        (path.parent / "a/b/empty").mkdir()
        source = collect(load(path)).source
        assert [(file.path, file.executable) for file in source.files] == [
            ("a/b/run", True),
            ("c/d.txt", False),
        ]
        assert source.directories == ("a/b", "a/b/empty")
        assert [file.body.open().read() for file in source.files] == [b"x", b"y"]

    def test_bytecode_caches_are_left_out(self, make: Make) -> None:
        assert copied(make({"image.yaml": "copy: [a]", "a/b.py": "", "a/__pycache__/b.pyc": ""})) == [
            "a/b.py"
        ]

    def test_links_inside_of_the_tree_are_followed(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": "1", "b/g": "2"})
        (path.parent / "a/file").symlink_to("../b/g")
        (path.parent / "a/folder").symlink_to("../b")
        assert copied(path) == ["a/f", "a/file", "a/folder/g"]

    @pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "/etc"])
    def test_a_link_out_of_the_tree_is_refused(self, make: Make, target: str) -> None:
        path = make({"image.yaml": "copy: [a]", "../outside": "secret", "a/f": ""})
        (path.parent / "a/link").symlink_to(target)
        with pytest.raises(BadInput, match="a/link: leads out of"):
            copied(path)

    @pytest.mark.parametrize(("one", "other"), [(".", "."), ("..", "."), ("../b", "../a")])
    def test_folders_that_hold_each_other_are_refused(self, make: Make, one: str, other: str) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": "", "b/f": ""})
        (path.parent / "a/link").symlink_to(one)
        (path.parent / "b/link").symlink_to(other)
        with pytest.raises(BadInput, match="leads to a folder that it stands in"):
            copied(path)

    @pytest.mark.parametrize("target", ["nowhere", "link"])
    def test_a_link_that_leads_nowhere_is_refused(self, make: Make, target: str) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": ""})
        (path.parent / "a/link").symlink_to(target)
        with pytest.raises(BadInput, match="link"):
            copied(path)

    def test_a_fifo_is_refused_and_not_waited_for(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": ""})
        os.mkfifo(path.parent / "a/fifo")
        with pytest.raises(BadInput, match="fifo: not a regular file"):
            copied(path)

    def test_a_socket_is_left_out(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": ""})
        monkeypatch.chdir(path.parent / "a")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("s")
            assert copied(path) == ["a/f"]

    def test_a_name_that_is_not_utf8_is_refused(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": ""})
        try:
            (path.parent / "a" / os.fsdecode(b"\xff")).write_text("")
        except OSError:
            pytest.skip("this file system has names in UTF-8 only")
        with pytest.raises(BadInput, match="not UTF-8"):
            copied(path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_what_may_not_be_read_is_named(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [a]", "a/f": ""})
        (path.parent / "a/f").chmod(0)
        with pytest.raises(NotAllowed, match="a/f"):
            copied(path)

    @pytest.mark.parametrize("change", [b"2", b"", b"12"])
    def test_a_file_that_changes_before_it_is_copied_is_an_error(self, make: Make, change: bytes) -> None:
        path = make({"image.yaml": "copy: [f]", "f": "1"})
        [file] = collect(load(path)).source.files
        (path.parent / "f").write_bytes(change)
        with (
            pytest.raises(IntegrityError, match="changed while it was being copied"),
            file.body.open() as stream,
        ):
            stream.read()

    def test_a_file_that_vanishes_before_it_is_copied_is_an_error(self, make: Make) -> None:
        path = make({"image.yaml": "copy: [f]", "f": "1"})
        [file] = collect(load(path)).source.files
        (path.parent / "f").unlink()
        with pytest.raises(NotFound):
            file.body.open()


def test_a_checked_file_is_read_in_pieces(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "f").write_bytes(data)
    with open_checked(str(tmp_path / "f"), len(data), Digest.of(data)) as stream:
        assert b"".join(iter(lambda: stream.read(1000), b"")) == data


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(13, "no"), NotAllowed),
        (FileNotFoundError(2, "no"), NotFound),
        (NotADirectoryError(20, "no"), NotFound),
        (OSError(40, "loop"), BadInput),
        (OSError(36, "name too long"), BadInput),
    ],
)
def test_an_error_of_the_system_becomes_one_of_ours(error: OSError, expected: type[TaskImageError]) -> None:
    assert type(explained(error, "f")) is expected


class TestRequirements:
    def test_included_files_come_after_the_file_each_once(self, make: Make) -> None:
        path = make(
            {
                "image.yaml": "requirements: r/main.txt",
                "r/main.txt": "a\n-r one.txt # why\n--constraint=sub/two.txt\n-r \\\n one.txt\n#-r no\nb ; x -r no\n",
                "r/one.txt": "-c'sub/two.txt'\n--requirement main.txt\n",
                "r/sub/two.txt": "-r ../one.txt\n",
            }
        )
        found = requirements_of(load(path))
        assert [file.name for file in found] == ["r/main.txt", "one.txt", "sub/two.txt"]
        assert [file.path.resolve() for file in found] == [
            path.parent / "r" / name for name in ("main.txt", "one.txt", "sub/two.txt")
        ]
        assert found[2].data == b"-r ../one.txt\n"

    def test_no_requirements_are_no_files(self) -> None:
        assert requirements_of(ImageSpec()) == ()

    def test_a_missing_include_is_named_with_its_line(self, make: Make) -> None:
        path = make({"image.yaml": "requirements: r.txt", "r.txt": "a\n-r no.txt\n"})
        with pytest.raises(NotFound, match=r"r\.txt:2: no such file: .*no\.txt"):
            requirements_of(load(path))

    def test_an_include_from_a_url_is_not_served(self, make: Make) -> None:
        path = make({"image.yaml": "requirements: r.txt", "r.txt": "-r https://me:hunter2@example.org/r.txt"})
        with pytest.raises(CannotBuild, match="URL") as caught:
            requirements_of(load(path))
        assert "hunter2" not in str(caught.value)

    def test_a_file_that_is_no_list_of_requirements_by_its_size_is_refused(self, make: Make) -> None:
        path = make({"image.yaml": "requirements: r.txt"})
        with (path.parent / "r.txt").open("wb") as file:
            file.truncate(1 << 30)
        with pytest.raises(BadInput, match="larger than"):
            requirements_of(load(path))

    @pytest.mark.parametrize("data", [b"\xff\xfe", b"a\0b"])
    def test_what_is_no_text_is_refused(self, make: Make, data: bytes) -> None:
        path = make({"image.yaml": "requirements: r.txt"})
        (path.parent / "r.txt").write_bytes(data)
        with pytest.raises(BadInput):
            requirements_of(load(path))

    def test_reading_them_reads_nothing_else(self, make: Make) -> None:
        path = make({"image.yaml": "{requirements: r.txt, copy: [missing]}", "r.txt": "a"})
        assert len(requirements_of(load(path))) == 1
