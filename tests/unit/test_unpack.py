"""Unpacking layers: what each kind of change does, and what is refused."""

from __future__ import annotations

import base64
import gzip
import importlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskimage.adapters.rootfs import Owned, Owners, inside, unpack
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform import unpack as unpack_module
from taskimage.transform.entry import Entry
from taskimage.transform.layer import arranged, write_layer
from taskimage.transform.unpack import Opaque, Whiteout, layer_changes
from taskimage.transform.zstd import zstd_errors

# A tar with one file "a", made with `zstd -19`.
_ZSTD = base64.b64decode(
    "KLUv/QRotQEAogIIDtBnDKT6x0KTTXIq0CsFDlJ8jUAn6cC67t3wr9n9KwIHIHAf+YUnc9T5M3ErERjOTw4L3p6Vog=="
)


def member(name: str, data: bytes | None = None, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
    info.mode = 0o644 if data is not None else 0o755
    info.size = len(data or b"")
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data or b""


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


Members = Iterable[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def apply(root: Path, *layers: Members) -> Owners:
    blobs = []
    for number, members in enumerate(layers):
        data = gzip.compress(tar(*members), 1)
        path = root.parent / f"layer{number}"
        path.write_bytes(data)
        blobs.append((path, Digest.of(data)))
    return unpack(blobs, root)


def tree(root: Path) -> dict[str, str]:
    """Every path with its content, its link's text, or a slash."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found


# -- what layers do ----------------------------------------------------------------------------------------


def test_files_links_and_folders_appear(root: Path) -> None:
    apply(root, [member("a"), member("a/f", b"one"), symlink("a/l", "f"), hardlink("h", "a/f")])
    assert tree(root) == {"a": "/", "a/f": "one", "a/l": "-> f", "h": "one"}
    assert (root / "h").samefile(root / "a/f")


def test_concatenated_gzip_members_are_one_layer(root: Path) -> None:
    """A layer may have one gzip member for each file (RFC 1952, section 2.2)."""
    plain = tar(member("a", b"one"), member("b", b"two" * 1000))
    data = b"".join(gzip.compress(plain[start : start + 512]) for start in range(0, len(plain), 512))
    (root.parent / "layer").write_bytes(data)
    unpack([(root.parent / "layer", Digest.of(data))], root)
    assert tree(root) == {"a": "one", "b": "two" * 1000}


def test_entries_are_unpacked_as_the_layer_that_they_make(root: Path) -> None:
    entries = [
        Entry.file("usr/lib/x", b"one", 0o755),
        Entry.symlink("lib", "usr/lib"),
        Entry("bin/h", "hardlink", 0o755, target="usr/lib/x"),
        Entry.directory("var/tmp", 0o1777),
        Entry.file("home/f", b"two", 0o600, uid=1000, gid=1000),
    ]
    blob, other = bytearray(), root.with_name("other")
    write_layer([entries], blob.extend)
    (root.parent / "layer").write_bytes(blob)
    other.mkdir()
    owners = unpack([(root.parent / "layer", Digest.of(bytes(blob)))], root)
    assert unpack([arranged([entries])], other) == owners
    assert tree(other) == tree(root)
    assert (other / "bin/h").samefile(other / "usr/lib/x")


def test_an_uncompressed_layer_is_read_as_well(root: Path) -> None:
    data = tar(member("a", b"one"))
    (root.parent / "layer").write_bytes(data)
    unpack([(root.parent / "layer", Digest.of(data))], root)
    assert tree(root) == {"a": "one"}


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        pytest.param([member("a/f", b"old")], [member("a/f", b"new")], {"a": "/", "a/f": "new"}, id="replace"),
        pytest.param([member("a/f", b"1")], [member("a/.wh.f", b"")], {"a": "/"}, id="whiteout of a file"),
        pytest.param([member("a/f", b"1")], [member(".wh.a", b"")], {}, id="whiteout of a folder"),
        pytest.param([member("a", b"1")], [member(".wh.b", b"")], {"a": "1"}, id="whiteout of nothing"),
        pytest.param(
            [member("a/f", b"1"), member("a/g/h", b"2")],
            [member("a/n", b"3"), member("a/.wh..wh..opq", b"")],
            {"a": "/", "a/n": "3"},
            id="opaque folder, told last",
        ),
        pytest.param(
            [member("a/f", b"1")],
            [member("a/.wh..wh..opq", b""), member("a/f", b"2")],
            {"a": "/", "a/f": "2"},
            id="opaque folder, told first",
        ),
        pytest.param(
            [member("a/f", b"1")],
            [member("a/f", b"2"), member("a/.wh.f", b"")],
            {"a": "/", "a/f": "2"},
            id="a whiteout leaves its own layer alone",
        ),
        pytest.param(
            [member("a/b/old", b"1")],
            [member("a/b/new", b"2"), member("a/.wh.b", b"")],
            {"a": "/", "a/b": "/", "a/b/new": "2"},
            id="a whiteout of a folder that its own layer made anew",
        ),
        pytest.param([member("a", b"1")], [member("a"), member("a/f", b"2")], {"a": "/", "a/f": "2"}, id="file to folder"),
        pytest.param([member("a/f", b"1")], [member("a", b"2")], {"a": "2"}, id="folder to file"),
        pytest.param([member("a/f", b"1")], [symlink("a", "b")], {"a": "-> b"}, id="folder to link"),
        pytest.param(
            [member("usr/lib/x", b"1"), symlink("lib", "usr/lib")],
            [member("lib/y", b"2")],
            {"lib": "-> usr/lib", "usr": "/", "usr/lib": "/", "usr/lib/x": "1", "usr/lib/y": "2"},
            id="through a link",
        ),
        pytest.param(
            [member("usr/lib/x", b"1"), symlink("lib", "/usr/lib")],
            [member("lib/.wh.x", b"")],
            {"lib": "-> /usr/lib", "usr": "/", "usr/lib": "/"},
            id="whiteout through an absolute link",
        ),
        pytest.param(
            [member("usr/lib/x", b"1"), symlink("lib", "usr/lib")],
            [member("lib"), member("lib/y", b"2")],
            {"lib": "/", "lib/y": "2", "usr": "/", "usr/lib": "/", "usr/lib/x": "1"},
            id="a folder entry replaces a link",
        ),
    ],
)  # fmt: skip
def test_an_upper_layer_changes_a_lower_one(
    root: Path, lower: Members, upper: Members, expected: dict[str, str]
) -> None:
    apply(root, lower, upper)
    assert tree(root) == expected


def test_modes_are_kept_but_not_what_means_something_to_the_host(root: Path) -> None:
    """Folders stay sticky and keep handing on their group; set-id programs and owners do not come out, and the
    caller can read everything."""
    owners = apply(
        root,
        [
            member("tmp", mode=0o1777), member("home", mode=0o775, uid=1000), member("shut", mode=0o000),
            member("su", b"", mode=0o4755), member("secret", b"", mode=0o000), member("x", b"", mode=0o750),
            member("shared", mode=0o2775), member("sg", b"", mode=0o2755),
        ],
    )  # fmt: skip
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()}
    assert modes == {
        "tmp": 0o1777, "home": 0o775, "shut": 0o700, "shared": 0o2775,
        "su": 0o755, "sg": 0o755, "secret": 0o400, "x": 0o750,
    }  # fmt: skip
    assert owners.folders["home"] == Owned(0o775, 1000, 0)
    assert (root / "home").stat().st_uid == os.geteuid()


def test_a_read_only_folder_takes_what_later_layers_bring(root: Path) -> None:
    apply(root, [member("a", mode=0o555), member("a/f", b"1")], [member("a/g", b"2"), member("a/.wh.f", b"")])
    assert tree(root) == {"a": "/", "a/g": "2"}
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o755


def test_the_umask_of_the_caller_does_not_matter(root: Path) -> None:
    before = os.umask(0o077)
    try:
        apply(root, [member("a/f", b"1")])
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "a/f").stat().st_mode) == 0o644


def test_a_folder_that_is_gone_has_no_owner_any_more(root: Path) -> None:
    owners = apply(root, [member("a", uid=1000), member("a/b", uid=1000)], [member(".wh.a", b"")])
    assert owners.folders == {"": Owned(0o755, 0, 0)}


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ([member("/etc/passwd", b"x")], "outside of the tree"),
        ([member("../x", b"x")], "outside of the tree"),
        ([member("a/../../x", b"x")], "outside of the tree"),
        ([hardlink("a", "/etc/passwd")], "outside of the tree"),
        ([hardlink("a", "../x")], "outside of the tree"),
        ([hardlink("a", "nothing")], "is no file"),
        ([symlink("l", "/etc/passwd"), hardlink("a", "l")], "is no file"),
        ([member("a", b"1"), member("a", b"2")], "appears twice"),
        ([member("a", b"1"), member("./a", b"2")], "appears twice"),
        ([member("odd", type=b"Z")], "unknown type b'Z'"),
        ([member("a" * 256, b"x")], "too long"),
        ([member("ä" * 128, b"x")], "too long"),
        ([member("a/" * 2048 + "f", b"x")], "too long"),
        ([symlink("l", "a/" * 2048)], "too long"),
        ([symlink("l", "")], "is a link to ''"),
        ([member("l", type=tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"})], "is a link to"),
        ([member("a/.wh..", b"")], "names nothing"),
        ([symlink("a", "b"), symlink("b", "a"), member("a/f", b"1")], "loop of links"),
        ([member("", b"x")], "stands for the root"),
    ],
)
def test_hostile_members_are_named_and_refused(root: Path, members: Members, complaint: str) -> None:
    with pytest.raises(IntegrityError, match=complaint):
        apply(root, members)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_or_pipe_is_never_made(root: Path, kind: bytes) -> None:
    """Tools that make a root file system put them into dev/; whoever runs an image has its own."""
    apply(root, [member("dev"), member("dev/null", type=kind, devmajor=1, devminor=3), member("dev/f", b"1")])
    assert tree(root) == {"dev": "/", "dev/f": "1"}


@pytest.mark.parametrize("target", ["/etc", "../../../../etc", "../outside", "/../../.."])
def test_nothing_is_written_through_a_link_that_leaves_the_root(root: Path, target: str) -> None:
    """A link keeps its text and is followed as after a change of root."""
    (root.parent / "outside").mkdir()
    apply(root, [symlink("l", target), member("l/planted", b"x")])
    assert str((root / "l").readlink()) == target
    assert not (root.parent / "outside/planted").exists()
    assert not Path("/etc/planted").exists()
    assert [path for path in root.rglob("planted") if not path.is_symlink()]


def test_a_blob_that_is_not_what_its_digest_says_is_refused(root: Path) -> None:
    (root.parent / "layer").write_bytes(b"something else")
    with pytest.raises(IntegrityError, match="wanted sha256:"):
        unpack([(root.parent / "layer", Digest.of(b"what was meant"))], root)
    assert tree(root) == {}


def changes(data: bytes, size: int | None = None) -> list[object]:
    return list(
        layer_changes(io.BytesIO(data), compressed_size=len(data) if size is None else size, where="L")
    )


def test_changes_are_told_in_order() -> None:
    found = changes(tar(member("a/.wh..wh..opq", b""), member("a/.wh.b", b""), member("c", b"1")))
    assert found[:2] == [Opaque("a"), Whiteout("a/b")]
    assert isinstance(found[2], Entry)
    assert found[2].path == "c"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut gzip"),
        pytest.param(lambda data: data + b"rest", id="bytes after the gzip stream"),
        pytest.param(lambda data: data[:-8] + bytes(8), id="wrong CRC"),
        pytest.param(lambda data: b"\x1f\x8bnonsense", id="no gzip"),
        pytest.param(lambda data: b"nonsense" * 100, id="no tar"),
    ],
)
def test_a_damaged_layer_is_an_integrity_error(damage: object) -> None:
    assert callable(damage)
    data = gzip.compress(tar(*(member(f"f{number}", os.urandom(2000)) for number in range(20))))
    with pytest.raises(IntegrityError):
        changes(damage(data))


def test_a_layer_is_whole_or_an_integrity_error_wherever_it_is_damaged() -> None:
    whole = changes(data := gzip.compress(tar(*(member(f"f{number}", b"text " * 99) for number in range(9)))))
    for place in range(10, len(data)):
        damaged = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        try:
            assert len(changes(damaged)) == len(whole)
        except IntegrityError:
            continue
        assert gzip.decompress(damaged) == gzip.decompress(data)


def test_a_broken_header_in_the_middle_does_not_pass_for_the_end() -> None:
    plain = bytearray(tar(member("a", b"1"), member("b", b"2"), member("c", b"3")))
    plain[1024 + 10] ^= 0xFF
    with pytest.raises(IntegrityError, match="bad checksum"):
        changes(bytes(plain))


def test_bytes_after_the_end_of_the_archive_are_refused() -> None:
    with pytest.raises(IntegrityError, match="after the end"):
        changes(tar(member("a", b"1")) + b"\1" * 512)


def test_a_layer_that_unpacks_to_an_absurd_size_is_refused_before_it_does() -> None:
    header = tarfile.TarInfo("bomb")
    header.size = 1 << 40
    with pytest.raises(IntegrityError, match=r"unpacks to more than .* 'bomb'"):
        changes(header.tobuf(), size=1000)


def test_many_empty_members_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of nothing compress a hundred times and more."""
    monkeypatch.setattr(unpack_module, "_FREE", 1 << 15)
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    with pytest.raises(IntegrityError, match="unpacks to more than 32768 bytes"):
        changes(gzip.compress(folder.tobuf() * 65 + bytes(1024)), size=0)


def test_a_header_of_an_absurd_size_is_not_read_into_memory() -> None:
    header = tarfile.TarInfo("a")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(IntegrityError, match="a header of 1073741824 bytes"):
        changes(header.tobuf())


def test_a_zstd_layer_without_a_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(CannotBuild, match="a layer is compressed with zstd") as caught:
        changes(_ZSTD)
    assert "zstandard" in str(caught.value.hint)


@pytest.mark.skipif(not zstd_errors(), reason="nothing here reads zstd")
def test_a_zstd_layer_is_read_and_its_damage_noticed() -> None:
    [found] = changes(_ZSTD)
    assert isinstance(found, Entry)
    assert found.path == "a"
    with pytest.raises(IntegrityError):
        changes(_ZSTD[:40])
    with pytest.raises(IntegrityError):
        changes(_ZSTD[:40] + b"damage")


# -- the pieces --------------------------------------------------------------------------------------------


def test_the_topmost_writable_folders_are_found() -> None:
    owners = Owners(
        {
            "": Owned(0o755, 0, 0), "home": Owned(0o755, 0, 0), "home/u": Owned(0o700, 1000, 1000),
            "home/u/x": Owned(0o700, 1000, 1000), "root": Owned(0o775, 1, 0), "tmp": Owned(0o1777, 0, 0),
            "usr": Owned(0o755, 0, 0),
        }
    )  # fmt: skip
    assert owners.writable(1000, 1000) == ("home/u", "tmp")
    assert owners.writable(1000, 0) == ("home/u", "root", "tmp")
    assert owners.writable(12345, 0) == ("root", "tmp")
    assert owners.writable(0, 0) == ("",)


_PARTS = st.sampled_from(["a", "b", "..", ".", "", "l", "up", "out", "abs"])


@given(st.lists(_PARTS, max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_path_leads_out_of_the_root(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    root = tmp_path_factory.mktemp("r")
    (root / "a" / "b").mkdir(parents=True)
    for name, target in {"l": "a/b", "up": "..", "out": "../../../..", "abs": "/a"}.items():
        (root / name).symlink_to(target)
    found = inside(root, "/".join(parts))
    assert (root / found).resolve(strict=False).is_relative_to(root.resolve())
    assert not {"..", "."} & set(found.split("/"))
