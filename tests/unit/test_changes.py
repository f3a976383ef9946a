"""What commands have changed in an unpacked image, read from a whole copy and from an overlay."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from taskimage.adapters.changes import changes, is_kept
from taskimage.adapters.rootfs import Owned, Owners
from taskimage.transform.entry import Entry

FOLDERS = {"": Owned(0o755, 0, 0), "etc": Owned(0o755, 0, 0), "home": Owned(0o775, 1000, 0)}


class Roots:
    """A root before, and the same root for a test to change."""

    def __init__(self, folder: Path) -> None:
        self.before = folder / "before"
        self.after = folder / "after"
        self.owners = Owners(dict(FOLDERS), {"home/mine": Owned(0o4755, 1000, 7)})
        for name in ("etc", "home"):
            (self.before / name).mkdir(parents=True)
        (self.before / "home").chmod(0o775)
        for name in ("etc/a", "etc/b", "home/mine"):
            (self.before / name).write_text(f"{name}\n")
        (self.before / "home/mine").chmod(0o755)
        (self.before / "etc/link").symlink_to("a")
        shutil.copytree(self.before, self.after, symlinks=True)

    def changes(self, *, whole: bool = True) -> dict[str, Entry]:
        found = changes(self.before, self.after, self.owners, whole=whole)
        assert list(found) == sorted(found, key=lambda entry: entry.path)
        return {entry.path: entry for entry in found}

    def files(self) -> list[str]:
        return [path for path, entry in self.changes().items() if entry.kind != "dir"]


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(tmp_path)


def test_times_are_no_change(roots: Roots) -> None:
    os.utime(roots.after / "etc/a", (1, 1))
    assert roots.changes() == {}


def test_a_new_file_comes_with_its_folders_as_they_are(roots: Roots) -> None:
    (roots.after / "home/new").mkdir()
    (roots.after / "home/new/x").write_text("x")
    found = roots.changes()
    assert list(found) == ["home", "home/new", "home/new/x"]
    assert found["home"] == Entry.directory("home", 0o775, 1000, 0)
    assert (found["home/new/x"].uid, found["home/new/x"].size) == (0, 1)


def test_what_is_gone_is_whited_out_once(roots: Roots) -> None:
    shutil.rmtree(roots.after / "etc")
    (roots.after / "home/mine").unlink()
    assert roots.files() == [".wh.etc", "home/.wh.mine"]


def test_a_changed_file_keeps_the_owner_and_mode_that_the_layers_state(roots: Roots) -> None:
    (roots.after / "home/mine").write_text("other\n")
    entry = roots.changes()["home/mine"]
    assert (entry.mode, entry.uid, entry.gid) == (0o4755, 1000, 7)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o600, 0o777])
def test_a_mode_is_a_change_set_id_bits_too(roots: Roots, mode: int) -> None:
    (roots.after / "etc/a").chmod(mode)
    assert roots.changes()["etc/a"].mode == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_owner_is_a_change(roots: Roots) -> None:
    os.chown(roots.after / "etc/a", 12, 34)
    assert (roots.changes()["etc/a"].uid, roots.changes()["etc/a"].gid) == (12, 34)


def folder_to_file(root: Path) -> None:
    shutil.rmtree(root / "etc")
    (root / "etc").write_text("")


def file_to_folder(root: Path) -> None:
    (root / "etc/a").unlink()
    (root / "etc/a").mkdir()


def link_elsewhere(root: Path) -> None:
    (root / "etc/link").unlink()
    (root / "etc/link").symlink_to("b")


def link_to_file(root: Path) -> None:
    (root / "etc/link").unlink()
    (root / "etc/link").write_text("etc/a\n")


@pytest.mark.parametrize(
    ("change", "path", "kind"),
    [
        (folder_to_file, "etc", "file"),
        (file_to_folder, "etc/a", "dir"),
        (link_elsewhere, "etc/link", "symlink"),
        (link_to_file, "etc/link", "file"),
    ],
)
def test_another_kind_takes_the_place_without_a_whiteout(
    roots: Roots, change: Callable[[Path], None], path: str, kind: str
) -> None:
    """Whoever applies a layer replaces what is there (layer.md, "Applying Changesets")."""
    change(roots.after)
    found = roots.changes()
    assert found[path].kind == kind
    assert not [name for name in found if ".wh." in name]


def test_pipes_and_sockets_are_left_out(roots: Roots) -> None:
    os.mkfifo(roots.after / "etc/pipe")
    assert roots.files() == []


def test_bytecode_that_holds_for_one_time_is_left_out(roots: Roots) -> None:
    """In a layer its source has another time, so that it would never be used."""
    (roots.after / "etc/dated.pyc").write_bytes(b"\xa7\r\r\n" + bytes(12))
    (roots.after / "etc/hashed.pyc").write_bytes(b"\xa7\r\r\n\3" + bytes(11))
    assert roots.files() == ["etc/hashed.pyc"]


@pytest.mark.parametrize(
    "path",
    [
        "tmp/x", "var/tmp/x", "dev/null", "proc", "var/cache/apt/pkgcache.bin", "var/lib/apt/lists/x",
        "var/log/dpkg.log", "etc/resolv.conf", "root/.cache/pip/x",
    ],
)  # fmt: skip
def test_what_passes_is_not_kept(path: str) -> None:
    assert not is_kept(path)


@pytest.mark.parametrize(
    "path", ["tmp", "var/log/app", "run/sshd", "root/.cached", "tmpfile", "var/lib/apt/extended_states"]
)
def test_everything_else_is_kept(path: str) -> None:
    assert is_kept(path)


# -- an overlay ----------------------------------------------------------------------------------------------


@pytest.fixture
def overlay(roots: Roots) -> Roots:
    """As overlayfs leaves it: ``after`` holds what was touched alone."""
    shutil.rmtree(roots.after)
    (roots.after / "etc").mkdir(parents=True)
    return roots


def test_an_overlay_holds_what_was_touched_alone(overlay: Roots) -> None:
    (overlay.after / "etc/b").write_text("etc/b\n")  # copied up, and as it was
    (overlay.after / "etc/c").write_text("new")
    assert list(overlay.changes(whole=False)) == ["etc", "etc/c"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_whiteout_of_an_overlay_is_a_whiteout_where_something_was(overlay: Roots) -> None:
    for name in ("a", "came-and-went"):
        os.mknod(overlay.after / "etc" / name, stat.S_IFCHR, os.makedev(0, 0))
    assert list(overlay.changes(whole=False)) == ["etc", "etc/.wh.a"]


def test_in_an_opaque_folder_nothing_of_before_is_left(overlay: Roots) -> None:
    try:
        os.setxattr(overlay.after / "etc", "user.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system keeps no attributes")
    (overlay.after / "etc/a").write_text("etc/a\n")
    assert list(overlay.changes(whole=False)) == ["etc", "etc/.wh.b", "etc/.wh.link"]
