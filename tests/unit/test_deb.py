"""What a .deb becomes, and what no hostile one can do."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.transform import deb as deb_module
from taskimage.transform.deb import Deb, read_deb
from taskimage.transform.deb.ar import Member
from taskimage.transform.deb.decompress import decompressed
from taskimage.transform.deb.layout import Layout
from taskimage.transform.entry import Entry

MakeDeb: TypeAlias = Callable[..., bytes]
MakePackage: TypeAlias = Callable[..., Deb]
BLOCK = 512


def read(data: bytes) -> Deb:
    return read_deb(io.BytesIO(data), io.BytesIO(), where="thing.deb")


def content(entry: Entry) -> bytes:
    assert entry.body is not None
    with entry.body.open() as stream:
        return stream.read()


def by_path(package: Deb) -> dict[str, Entry]:
    return {entry.path: entry for entry in package.entries}


def tar(*members: dict[str, Any], format: int = tarfile.GNU_FORMAT) -> bytes:  # noqa: A002 - tarfile's word
    """A tar archive whose members have the attributes of a TarInfo, and ``data``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for attributes in members:
            info = tarfile.TarInfo()
            data = attributes.pop("data", b"")
            info.size = len(data)
            for name, value in attributes.items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_control_fields_keep_their_order_and_scripts_their_bytes(make_package: MakePackage) -> None:
    package = make_package({}, scripts={"postinst": "#!/bin/sh\n"}, Depends="a, b")
    assert (package.package, package.version, package.architecture) == ("thing", "1.0-1", "amd64")
    assert list(package.control) == [
        "Package",
        "Version",
        "Architecture",
        "Maintainer",
        "Depends",
        "Description",
    ]
    assert dict(package.scripts) == {"postinst": b"#!/bin/sh\n"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bin/sh", "usr/bin/sh"),
        ("lib64/ld.so", "usr/lib64/ld.so"),
        ("lib", "usr/lib"),
        ("library/x", "library/x"),
        ("usr/lib/x", "usr/lib/x"),
        ("var/run/x", "run/x"),
        ("var/lock", "run/lock"),
        ("var/running", "var/running"),
    ],
)
def test_paths_are_merged_into_usr(path: str, expected: str) -> None:
    assert Layout().folder(path) == expected


@pytest.mark.parametrize(
    ("links", "path", "expected"),
    [
        ({}, "bin/sh", "bin/sh"),
        ({"bin": "usr/bin"}, "bin", "usr/bin"),
        ({"opt": "/srv/opt", "srv": "data"}, "opt/x", "data/opt/x"),
        ({"usr/lib64": "lib"}, "usr/lib64/x", "usr/lib/x"),
        ({"a/b": "../../../c/./d"}, "a/b/e", "c/d/e"),
    ],
)
def test_folders_go_through_the_links_of_a_base(links: dict[str, str], path: str, expected: str) -> None:
    assert Layout(links).folder(path) == expected


def test_links_of_a_base_without_an_end_are_refused() -> None:
    with pytest.raises(CannotBuild, match="'a/x' of the image is a link that has no end"):
        Layout({"a": "b", "b": "a"}).folder("a/x")


def test_on_a_base_that_is_not_merged_files_stay_where_a_package_has_them(make_deb: MakeDeb) -> None:
    deb = make_deb({"bin/": b"", "bin/a": b"A", "opt/": b"", "opt/b": b"B"}, links={"lib/c": "../bin/a"})
    layout = Layout({"opt": "srv"})
    package = read_deb(io.BytesIO(deb), io.BytesIO(), where="x", layout=layout)
    assert list(by_path(package)) == ["bin", "bin/a", "lib/c", "srv", "srv/b"]
    assert package.files == ("/bin", "/bin/a", "/opt", "/opt/b", "/lib/c")


def test_files_links_and_hard_links_are_merged_together(make_deb: MakeDeb) -> None:
    data = tar(
        {"name": "./bin/", "type": tarfile.DIRTYPE, "mode": 0o755},
        {"name": "./bin/a", "data": b"A", "mode": 0o4755, "gid": 8},
        {"name": "./bin/b", "type": tarfile.LNKTYPE, "linkname": "./bin/a"},
        {"name": "./lib/c", "type": tarfile.SYMTYPE, "linkname": "../bin/a"},
    )
    package = read(make_deb(data=data))
    entries = by_path(package)
    assert list(entries) == ["usr/bin", "usr/bin/a", "usr/bin/b", "usr/lib/c"]
    assert (entries["usr/bin/a"].mode, entries["usr/bin/a"].gid) == (0o4755, 8)
    assert (entries["usr/bin/b"].kind, entries["usr/bin/b"].target) == ("hardlink", "usr/bin/a")
    assert (entries["usr/lib/c"].kind, entries["usr/lib/c"].target) == ("symlink", "../bin/a")
    assert package.files == ("/bin", "/bin/a", "/bin/b", "/lib/c")


def test_a_package_may_bring_the_links_of_the_merged_usr(make_package: MakePackage) -> None:
    package = make_package({}, links={"bin": "usr/bin"})
    assert package.entries == (Entry.symlink("bin", "usr/bin"),)


def test_a_compatibility_link_gives_way_to_the_file_it_points_to(make_package: MakePackage) -> None:
    package = make_package({"bin/tool": b"x"}, links={"usr/bin/tool": "/bin/tool"})
    assert [(entry.path, entry.kind) for entry in package.entries] == [("usr/bin/tool", "file")]


def test_documentation_is_left_out_and_licences_stay(make_package: MakePackage) -> None:
    dropped = [
        "usr/share/doc/thing/changelog.gz",
        "usr/share/doc/thing/examples/copyright",
        "usr/share/info/thing.info.gz",
        "usr/share/lintian/overrides/thing",
        "usr/share/locale/de/LC_MESSAGES/thing.mo",
        "usr/share/man/man1/thing.1.gz",
    ]
    kept = ["usr/share/doc/thing/copyright", "usr/share/documents/x", "usr/share/manifest"]
    package = make_package(dict.fromkeys([*dropped, *kept], b"x"), links={"usr/share/doc/other": "thing"})
    assert [entry.path for entry in package.entries] == sorted([*kept, "usr/share/doc/other"])
    assert "/usr/share/doc/thing/changelog.gz" not in package.files


@pytest.mark.parametrize("compression", ["", ".gz", ".xz"])
def test_every_compression_gives_the_same(make_package: MakePackage, compression: str) -> None:
    package = make_package({"a": b"text" * 1000}, compression=compression)
    assert content(package.entries[0]) == b"text" * 1000


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_format(make_deb: MakeDeb, format: int) -> None:  # noqa: A002
    path = "/".join(["d" * 70] * 3)
    link = {
        "name": "./l",
        "type": tarfile.SYMTYPE,
        "linkname": "t" * (100 if format == tarfile.USTAR_FORMAT else 300),
    }
    package = read(make_deb(data=tar({"name": f"./{path}", "data": b"x"}, link, format=format)))
    assert [(entry.path, len(entry.target)) for entry in package.entries] == [
        (path, 0),
        ("l", len(str(link["linkname"]))),
    ]


def test_one_spool_serves_many_packages_and_threads(make_deb: MakeDeb) -> None:
    with tempfile.TemporaryFile() as spool:
        packages = [
            read_deb(
                io.BytesIO(make_deb({f"f{i}": bytes([i]) * 300_000 for i in range(5)})), spool, where=str(n)
            )
            for n in range(2)
        ]
        bodies = [entry for package in packages for entry in package.entries] * 4
        with ThreadPoolExecutor(8) as pool:
            read_back = list(pool.map(content, bodies))
    assert read_back == [bytes([int(entry.path[1])]) * 300_000 for entry in bodies]


def test_a_body_can_be_read_from_any_place(make_package: MakePackage) -> None:
    body = make_package({"a": b"0123456789"}).entries[0].body
    assert body is not None
    with body.open() as stream:
        assert (stream.seek(4), stream.read(2), stream.seek(-1, 2), stream.read(5)) == (4, b"45", 9, b"9")


HOSTILE: dict[str, dict[str, Any]] = {
    "absolute path": {"name": "/etc/passwd"},
    "path out of the tree": {"name": "./a/../../x"},
    "character device": {"name": "./null", "type": tarfile.CHRTYPE},
    "block device": {"name": "./sda", "type": tarfile.BLKTYPE},
    "fifo": {"name": "./f", "type": tarfile.FIFOTYPE},
    "sparse file": {"name": "./s", "type": tarfile.GNUTYPE_SPARSE},
    "hard link out of the tree": {"name": "./l", "type": tarfile.LNKTYPE, "linkname": "../../etc/shadow"},
    "hard link to nothing": {"name": "./l", "type": tarfile.LNKTYPE, "linkname": "./missing"},
    "symlink out of the tree": {"name": "./a/l", "type": tarfile.SYMTYPE, "linkname": "../../etc/shadow"},
    "symlink to nothing": {"name": "./l", "type": tarfile.SYMTYPE, "linkname": ""},
    "file at the root": {"name": "./"},
    "PAX sparse file": {"name": "./s", "pax_headers": {"GNU.sparse.major": "1"}},
    "PAX header with a bad size": {"name": "./s", "pax_headers": {"size": "-1"}},
    "huge PAX header": {"name": "./s", "pax_headers": {"comment": "x" * 100_000}},
}


@pytest.mark.parametrize("attributes", HOSTILE.values(), ids=HOSTILE)
def test_hostile_members_are_refused(make_deb: MakeDeb, attributes: dict[str, Any]) -> None:
    data = tar(dict(attributes), format=tarfile.PAX_FORMAT)
    with pytest.raises(IntegrityError) as caught:
        read(make_deb(data=data))
    assert caught.value.where == "thing.deb"


@pytest.mark.parametrize(
    "members",
    [
        [{"name": "./a"}, {"name": "./a"}],
        [{"name": "./bin/a"}, {"name": "./usr/bin/a"}],
        [{"name": "./a", "type": tarfile.SYMTYPE, "linkname": "/etc"}, {"name": "./a/passwd"}],
        [{"name": "./a"}, {"name": "./a/b"}],
    ],
    ids=["twice", "twice once merged", "below a link", "below a file"],
)
def test_members_in_each_others_way_are_refused(make_deb: MakeDeb, members: list[dict[str, Any]]) -> None:
    with pytest.raises(IntegrityError, match=r"thing\.deb"):
        read(make_deb(data=tar(*(dict(member) for member in members))))


def test_a_damaged_header_is_no_end_of_the_archive(make_deb: MakeDeb) -> None:
    data = bytearray(tar({"name": "./a", "data": b"x"}, {"name": "./b"}))
    data[2 * BLOCK] ^= 1
    with pytest.raises(IntegrityError, match="checksum"):
        read(make_deb(data=bytes(data)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda deb: deb[:-700], "ends inside of"),
        (lambda deb: b"x" + deb, "not an ar archive"),
        (lambda deb: deb.replace(b"2.0\n", b"3.0\n"), "not a .deb"),
        (lambda deb: deb.replace(b"control.tar.xz", b"kontrol.tar.xz"), "where 'control.tar' must be"),
        (lambda deb: deb.replace(b"data.tar.xz ", b"data.tar.rar"), "compressed in no known way"),
        (lambda deb: deb.replace(b"`\n", b"`x", 1), "not a header"),
        (lambda deb: deb + b"garbage", "not a header"),
        (lambda deb: deb + deb[8:72], "follows the data archive"),
    ],
)
def test_wrong_ar_archives_are_refused(
    make_deb: MakeDeb, change: Callable[[bytes], bytes], reason: str
) -> None:
    with pytest.raises(IntegrityError, match=reason):
        read(change(make_deb({"a": b"x" * 1000}, compression="" if reason == "ends inside of" else ".xz")))


@pytest.mark.parametrize("packed", [lzma.compress(b"x"), gzip.compress(b"x")], ids=["xz", "gz"])
@pytest.mark.parametrize(
    "change", [lambda data: data + b"more", lambda data: data[:-1]], ids=["more", "less"]
)
def test_compressed_data_ends_where_its_member_ends(packed: bytes, change: Callable[[bytes], bytes]) -> None:
    data = change(packed)
    name = "data.tar.xz" if packed.startswith(b"\xfd") else "data.tar.gz"
    with pytest.raises(IntegrityError, match="damaged"):
        list(decompressed(Member(io.BytesIO(data), name, len(data), "thing.deb"), limit=9, where="thing.deb"))


def test_data_after_the_end_of_the_tar_is_refused(make_deb: MakeDeb) -> None:
    with pytest.raises(IntegrityError, match="after the end"):
        read(make_deb(data=tar({"name": "./a"}) + b"more".ljust(BLOCK, b"\0")))


@pytest.mark.parametrize("stated", ["1", "1000000", "none"])
def test_a_package_that_unpacks_to_too_much_is_refused(
    make_deb: MakeDeb, monkeypatch: pytest.MonkeyPatch, stated: str
) -> None:
    monkeypatch.setattr(deb_module, "SLACK", 0)
    with pytest.raises(IntegrityError, match="unpacks to more than"):
        read(make_deb({"zeros": bytes(3_000_000)}, Installed_Size=stated))


def test_zstd_without_a_reader_says_what_to_install(
    make_deb: MakeDeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    real = importlib.import_module

    def refuse(name: str, package: str | None = None) -> object:
        if name in ("zstandard", "compression.zstd"):
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", refuse)
    deb = make_deb({"a": b"x"}, compression="").replace(b"data.tar        ", b"data.tar.zst    ")
    with pytest.raises(CannotBuild, match="zstd") as caught:
        read(deb)
    assert "zstandard" in str(caught.value.hint)


@pytest.mark.parametrize(
    "fields", [{"Package": "../x"}, {"Version": "1/2"}, {"Architecture": ""}, {"Odd field": "x"}], ids=str
)
def test_control_fields_that_could_not_be_file_names_are_refused(
    make_deb: MakeDeb, fields: dict[str, str]
) -> None:
    with pytest.raises(IntegrityError, match="control"):
        read(make_deb({}, **fields))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_an_integrity_error_or_harmless(make_deb: MakeDeb, data: st.DataObject) -> None:
    """Whatever bytes change or go missing, there is a package or an IntegrityError, never anything else."""
    deb = bytearray(make_deb({"a": b"x" * 100, "b/c": b"y"}, links={"d": "a"}, compression=""))
    for _ in range(data.draw(st.integers(1, 3))):
        deb[data.draw(st.integers(0, len(deb) - 1))] = data.draw(st.integers(0, 255))
    del deb[data.draw(st.integers(1, len(deb))) :]
    try:
        package = read(bytes(deb))
    except IntegrityError:
        return
    assert all(".." not in entry.path.split("/") for entry in package.entries)
