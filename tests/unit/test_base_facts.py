"""What is known of a base: read from made-up files, one kind of fact after the other."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.archives import metadata

from taskimage.model.base import BaseFacts, Distribution
from taskimage.model.errors import CannotBuild, IntegrityError
from taskimage.model.oci import Platform
from taskimage.model.oci.document import canonical_json
from taskimage.transform.base import BaseTree, facts_of, smallfiles
from taskimage.transform.base.osrelease import parse_os_release
from taskimage.transform.deb.layout import Layout
from taskimage.transform.entry import Entry, StreamBody

AMD64 = Platform.parse("linux/amd64")


def tree_of(files: Mapping[str, str | bytes]) -> BaseTree:
    """A tree of ``files``; a text that begins with an arrow is a link, and what is in a bin/ can be run."""
    tree = BaseTree(())
    for path, content in files.items():
        parts = path.split("/")[:-1]
        for length in range(1, len(parts) + 1):
            tree.add(Entry.directory("/".join(parts[:length])))
        if isinstance(content, str) and content.startswith("-> "):
            tree.add(Entry.symlink(path, content[3:]))
        else:
            data = content.encode() if isinstance(content, str) else content
            tree.add(Entry.file(path, data, 0o755 if "bin/" in path else 0o644))
    return tree


def facts(files: Mapping[str, str | bytes], platform: Platform = AMD64) -> BaseFacts:
    return facts_of(tree_of(files), platform=platform, env={})


# -- the system --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ID=debian", "debian"),
        ('ID="debian"', "debian"),
        ("ID='debian'", "debian"),
        ("  ID=debian  ", "debian"),
        ("ID=", ""),
        ('ID=""', ""),
        ('ID="a \\"b\\" \\$c \\`d\\` \\\\"', 'a "b" $c `d` \\'),
        ("ID='a\\b'", "a\\b"),
        ("ID=first\nID=second", "second"),
        ("# a comment\n\nnonsense\nID=x", "x"),
        ("#ID=no\nID=yes", "yes"),
    ],
)
def test_os_release_is_read_as_a_shell_would(line: str, value: str) -> None:
    assert parse_os_release(line) == {"ID": value}


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20))
@settings(max_examples=25, deadline=None)
def test_a_quoted_value_is_what_a_real_shell_reads(value: str) -> None:
    """os-release(5) lets programs in shell source the file."""
    quoted = "".join(f"\\{character}" if character in '\\"$`' else character for character in value)
    line = f'ID="{quoted}"'
    shell = subprocess.run(
        ["sh", "-c", f'{line}\nprintf "%s" "$ID"'], check=True, capture_output=True, text=True
    )
    assert parse_os_release(line) == {"ID": shell.stdout}


def test_os_release_is_found_in_either_place() -> None:
    assert facts({"usr/lib/os-release": "ID=a"}).os_release == {"ID": "a"}
    assert facts({"usr/lib/os-release": "ID=a", "etc/os-release": "ID=b"}).os_release == {"ID": "b"}
    assert facts({"usr/lib/os-release": "ID=a", "etc/os-release": "-> ../usr/lib/os-release"}).os_release == {
        "ID": "a"
    }


BANNER = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright\0"
MERGED = {"lib": "-> usr/lib", "lib64": "-> usr/lib64"}


@pytest.mark.parametrize(
    ("platform", "files"),
    [
        (
            "linux/amd64",
            {
                **MERGED,
                "usr/lib64/ld-linux-x86-64.so.2": "-> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "",
                "usr/lib/x86_64-linux-gnu/libc.so.6": BANNER,
            },
        ),
        ("linux/amd64", {**MERGED, "usr/lib64/ld-linux-x86-64.so.2": "", "usr/lib64/libc.so.6": BANNER}),
        (
            "linux/arm64",
            {
                "lib/ld-linux-aarch64.so.1": "-> aarch64-linux-gnu/ld-2.36.so",
                "lib/aarch64-linux-gnu/ld-2.36.so": "",
                "lib/aarch64-linux-gnu/libc.so.6": "-> libc-2.36.so",
                "lib/aarch64-linux-gnu/libc-2.36.so": BANNER,
            },
        ),
    ],
    ids=["Debian", "Fedora", "before /usr was merged"],
)
def test_the_c_library_is_found_beside_the_loader(platform: str, files: Mapping[str, str | bytes]) -> None:
    found = facts(files, Platform.parse(platform))
    assert (found.glibc, found.musl) == ((2, 36), False)


def test_another_architectures_library_does_not_count() -> None:
    files = {"lib64/ld-linux-x86-64.so.2": b"", "lib64/libc.so.6": BANNER}
    assert facts(files, Platform.parse("linux/arm64")).glibc is None


def test_musl_is_told_apart() -> None:
    found = facts(
        {"lib/ld-musl-x86_64.so.1": b"\x7fELF", "lib/ld-linux-x86-64.so.2": "-> ld-musl-x86_64.so.1"}
    )
    assert (found.glibc, found.musl) == (None, True)


# -- where new files go ----------------------------------------------------------------------------------------


def test_links_are_those_that_a_new_path_could_go_through() -> None:
    found = facts(
        {
            "opt": "-> var/opt", "bin": "-> usr/bin", "usr/bin/x": b"", "x": "-> usr/bin/x", "y": "-> bin/x",
            "a": "-> b", "b": "-> a",
        }
    )  # fmt: skip
    assert found.links == {"opt": "var/opt", "bin": "usr/bin", "a": "b", "b": "a"}


LINKS = {
    "opt": "var/opt",
    "root": "/var/roothome",
    "home": "../../var/home",
    "var/opt/old": "new",
    "a": "b",
    "b": "a",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("opt/venv", "var/opt/venv"),
        ("root", "var/roothome"),
        ("home/u/x", "var/home/u/x"),
        ("opt/old/x", "var/opt/new/x"),
        ("usr/lib", "usr/lib"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_new_path_goes_through_the_links_of_its_base(path: str, expected: str) -> None:
    assert Layout(LINKS).folder(path) == expected


def test_a_loop_is_an_error_that_names_the_path() -> None:
    with pytest.raises(CannotBuild, match="'a/x'"):
        Layout(LINKS).folder("a/x")


# -- interpreters ----------------------------------------------------------------------------------------------


def program(*texts: str) -> bytes:
    return b"\x7fELF\2\1\1" + bytes(9) + b"\0".join(text.encode() for text in ("x", *texts, "y"))


def found(files: Mapping[str, str | bytes], **env: str) -> list[tuple[str, str]]:
    """Each interpreter's path and version."""
    interpreters = facts_of(tree_of(files), platform=AMD64, env=env).interpreters
    return [(one.executable, one.version) for one in interpreters]


@pytest.mark.parametrize(
    "executable",
    [
        "usr/bin/python3.11", "usr/local/bin/python3.11", "opt/conda/bin/python3.11", "opt/python/bin/python3.11",
        "root/miniconda3/bin/python3.11", "bin/python3.11", "opt/conda/envs/e/bin/python3.11",
    ],
)  # fmt: skip
def test_an_interpreter_is_found_wherever_it_is(executable: str) -> None:
    assert found({executable: program("3.11.9")}) == [(f"/{executable}", "3.11.9")]


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        (["3.11.2"], "3.11.2"),
        (["3.11.2+"], "3.11.2"),
        (["/usr/src/Python-3.11.7"], "3.11.7"),
        (["/opt/python-3.11.0", "3.11.7"], "3.11.7"),
        (["3.12.1", "3.11.2"], "3.11.2"),
        (["3.11.2", "3.11.2"], "3.11.2"),
        (["3.11.0rc1"], None),
        (["3.11"], None),
        (["13.11.2"], None),
        (["/opt/3.11.2/lib"], None),
        (["a3.11.2", "b3.11.3"], None),
        ([], None),
    ],
)
def test_the_version_is_the_one_that_the_program_states(texts: list[str], version: str | None) -> None:
    expected = [] if version is None else [("/usr/bin/python3.11", version)]
    assert found({"usr/bin/python3.11": program(*texts)}) == expected


@pytest.mark.parametrize("offset", [0, 1, 4 << 20, (4 << 20) - 3, (4 << 20) + 3, (8 << 20) - 7])
def test_a_version_is_found_wherever_it_lies(offset: int) -> None:
    data = b"\x7fELF" + b"x" * offset + b"\x003.11.9\0" + b"x" * 100
    assert found({"usr/bin/python3.11": data}) == [("/usr/bin/python3.11", "3.11.9")]


@pytest.mark.parametrize("folder", ["usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu"])
def test_the_version_may_be_in_the_shared_library(folder: str) -> None:
    files = {"usr/bin/python3.11": program(), f"{folder}/libpython3.11.so.1.0": program("3.11.9")}
    assert found(files) == [("/usr/bin/python3.11", "3.11.9")]


def test_links_are_followed_and_each_interpreter_is_told_once() -> None:
    files: dict[str, str | bytes] = {
        "usr/bin/python3.11": "-> /etc/alternatives/python3.11",
        "etc/alternatives/python3.11": "-> /opt/py/bin/python3.11",
        "opt/py/bin/python3.11": program("3.11.9"),
        "usr/bin/python3": "-> python3.11",
        "usr/bin/python3.12": "-> nowhere",
    }
    assert found(files) == [("/opt/py/bin/python3.11", "3.11.9")]


@pytest.mark.parametrize(
    "files",
    [
        {"opt/venv/bin/python3.11": program("3.11.9"), "opt/venv/pyvenv.cfg": ""},
        {"usr/bin/python3.11": b"#!/bin/sh\n\x003.11.9\0"},
        {"usr/bin/python3.13t": program("3.13.1")},
        {"usr/bin/python3.13": program("3.13.1", "%.80s experimental free-threading build (%.80s) %.80s")},
        {"usr/bin/python2.7": program("2.7.18")},
        {"usr/bin/python3.11-config": program("3.11.9")},
        {"usr/share/python3.11": program("3.11.9")},
        {"opt/pypy/bin/python3.10": "-> pypy3.10", "opt/pypy/bin/pypy3.10": program()},
    ],
    ids=[
        "copied into a venv",
        "a script",
        "without the GIL",
        "link to that",
        "2",
        "config",
        "no bin",
        "PyPy",
    ],
)
def test_what_is_no_interpreter_to_build_on_is_left_out(files: Mapping[str, str | bytes]) -> None:
    assert found(files) == []


def test_a_program_that_cannot_be_run_is_left_out() -> None:
    tree = BaseTree([Entry.file("usr/bin/python3.11", program("3.11.9"), 0o644)])
    assert facts_of(tree, platform=AMD64, env={}).interpreters == ()


def test_the_newest_comes_first_and_of_one_minor_the_one_that_a_shell_finds() -> None:
    files: dict[str, str | bytes] = {
        "usr/bin/python3.9": program("3.9.2"),
        "usr/bin/python3.11": program("3.11.9"),
        "opt/conda/bin/python3.11": program("3.11.5"),
        "opt/a/bin/python3.11": program("3.11.1"),
        "usr/local/bin/python3.10": program("3.10.4"),
        "venv/bin/python3.11": "-> /opt/a/bin/python3.11",
        "venv/pyvenv.cfg": "",
    }
    by_default = ["/usr/bin/python3.11", "/opt/a/bin/python3.11", "/opt/conda/bin/python3.11"]
    rest = ["/usr/local/bin/python3.10", "/usr/bin/python3.9"]

    def order(**env: str) -> list[str]:
        return [executable for executable, _ in found(files, **env)]

    assert order() == [*by_default, *rest]
    assert order(PATH="/opt/conda/bin:/usr/bin")[:2] == ["/opt/conda/bin/python3.11", "/usr/bin/python3.11"]
    assert order(PATH="/venv/bin:/usr/bin")[:2] == ["/opt/a/bin/python3.11", "/usr/bin/python3.11"]
    assert order(PATH="")[0] == "/opt/a/bin/python3.11"


# -- distributions ---------------------------------------------------------------------------------------------


def installed(
    files: Mapping[str, str | bytes], executable: str = "usr/bin/python3.11"
) -> dict[str, tuple[str, str]]:
    [interpreter] = facts({executable: program("3.11.9"), **files}).interpreters
    return {one.name: (one.version, one.location) for one in interpreter.distributions}


def info(folder: str, name: str, version: str) -> dict[str, str | bytes]:
    return {f"{folder}/{name}-{version}.dist-info/METADATA": metadata(name, version)}


@pytest.mark.parametrize(
    ("executable", "folder"),
    [
        ("usr/local/bin/python3.11", "usr/local/lib/python3.11/site-packages"),
        ("opt/conda/bin/python3.11", "opt/conda/lib/python3.11/site-packages"),
        ("usr/bin/python3.11", "usr/lib64/python3.11/site-packages"),
    ],
)
def test_site_packages_of_the_interpreters_own_prefix_count(executable: str, folder: str) -> None:
    assert installed(info(folder, "Some_Thing", "1.0"), executable) == {"some-thing": ("1.0", f"/{folder}")}
    assert installed(info(f"other/{folder}", "Some_Thing", "1.0"), executable) == {}


def test_debians_interpreter_imports_from_its_own_folders_in_its_own_order() -> None:
    local, shared = "usr/local/lib/python3.11/dist-packages", "usr/lib/python3/dist-packages"
    files: dict[str, str | bytes] = {
        "usr/lib/python3.11/site.py": "# dist-packages",
        **info(shared, "a", "1"), **info(local, "a", "2"), **info(shared, "b", "3"),
        **info("usr/lib/python3.11/site-packages", "c", "4"),
    }  # fmt: skip
    assert installed(files) == {"a": ("2", f"/{local}"), "b": ("3", f"/{shared}")}


def test_metadata_of_every_age_is_read() -> None:
    folder = "usr/lib/python3.11/site-packages"
    files = {
        f"{folder}/new-1.0.dist-info/METADATA": metadata(
            "new", "1.0", needs=["a>=1", "b; extra == 'x'"], python=">=3.8"
        ),
        f"{folder}/old-1.0.egg-info/PKG-INFO": metadata("old", "1.0"),
        f"{folder}/old-1.0.egg-info/requires.txt": "c>=2\n\n[x:python_version < '3']\nd\n",
        f"{folder}/oldest-1.0.egg-info": metadata("oldest", "1.0"),
        f"{folder}/nothing-1.0.dist-info/RECORD": "",
        f"{folder}/nameless-1.0.dist-info/METADATA": "Version: 1.0\n",
        f"{folder}/empty-1.0.dist-info/METADATA": "",
        f"{folder}/no-1.0.dist-info": "-> loop",
        f"{folder}/loop": "-> no-1.0.dist-info",
    }
    [interpreter] = facts({"usr/bin/python3.11": program("3.11.9"), **files}).interpreters
    where = f"/{folder}"
    assert interpreter.distributions == (
        Distribution(
            name="new", version="1.0", location=where, requires=("a>=1", "b; extra == 'x'"), requires_python=">=3.8"
        ),
        Distribution(
            name="old", version="1.0", location=where,
            requires=("c>=2", "d; (python_version < '3') and extra == \"x\""),
        ),
        Distribution(name="oldest", version="1.0", location=where),
    )  # fmt: skip


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_metadata_may_be_anything(data: bytes) -> None:
    folder = "usr/lib/python3.11/site-packages"
    files = {
        f"{folder}/a-1.dist-info/METADATA": b"Name: a\nVersion: 1\n" + data,
        f"{folder}/b-1.egg-info/PKG-INFO": b"Name: b\nVersion: 1\n",
        f"{folder}/b-1.egg-info/requires.txt": data,
        f"{folder}/c-1.egg-info": data,
    }
    assert "b" in installed(files)


# -- texts and keyrings ----------------------------------------------------------------------------------------


def test_small_files_that_later_steps_need_are_kept_by_their_paths() -> None:
    files: dict[str, str | bytes] = {
        "etc/passwd": "root:x:0:0:\udcff".encode("utf-8", "surrogateescape"),
        "etc/group": "root:x:0:", "etc/shadow": "root:*:1::::::", "etc/gshadow": "root:*::",
        "etc/apt/sources.list": "-> /opt/sources", "opt/sources": "deb x",
        "etc/apt/sources.list.d/a.list": "deb a", "etc/apt/sources.list.d/b.sources": "Types: deb",
        "etc/apt/sources.list.d/c.save": "deb c", "etc/hostname": "h", "var/lib/dpkg/status": "Package: a\n\n",
    }  # fmt: skip
    assert facts(files).texts == {
        "etc/passwd": "root:x:0:0:\ufffd",
        "etc/group": "root:x:0:", "etc/shadow": "root:*:1::::::", "etc/gshadow": "root:*::",
        "etc/apt/sources.list": "deb x", "etc/apt/sources.list.d/a.list": "deb a",
        "etc/apt/sources.list.d/b.sources": "Types: deb", "var/lib/dpkg/status": "Package: a\n",
    }  # fmt: skip


def test_the_packages_of_a_distroless_image_are_in_one_status() -> None:
    """Such images have a file for each package, which apt did not install."""
    files = {
        "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\n",
        "var/lib/dpkg/status.d/b": "Package: b\nVersion: 1\n\n",
        "var/lib/dpkg/status.d/b.md5sums": "0  x",
        "var/lib/dpkg/status.d/c": "Package: c\nStatus: install ok installed\n",
    }
    assert facts(files).texts == {
        "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\n\n"
        "Package: b\nVersion: 1\nStatus: install ok installed\n\n"
        "Package: c\nStatus: install ok installed\n"
    }


def test_keyrings_are_those_that_apt_or_its_sources_look_for() -> None:
    kept = {
        "etc/apt/trusted.gpg", "etc/apt/trusted.gpg.d/a.gpg", "etc/apt/trusted.gpg.d/a.asc", "etc/apt/keyrings/any",
        "usr/share/keyrings/a.gpg", "usr/share/keyrings/a.asc", "usr/share/keyrings/a.pgp",
    }  # fmt: skip
    files: dict[str, str | bytes] = {path: path.encode() for path in kept}
    files |= {"etc/apt/trusted.gpg.d/a.txt": b"", "usr/share/keyrings/README": b""}
    files |= {"usr/share/keyrings/link.gpg": "-> a.pgp"}
    assert facts(files).keyrings == {
        **{path: path.encode() for path in kept},
        "usr/share/keyrings/link.gpg": b"usr/share/keyrings/a.pgp",
    }


def test_a_file_of_an_absurd_size_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def unread() -> None:
        pytest.fail("it was read")

    monkeypatch.setattr(smallfiles, "_BUDGET", 100)
    tree = BaseTree([Entry.file("etc/passwd", b"x" * 60), Entry.file("etc/group", StreamBody(unread, 60))])  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match="'etc/group' has 60 bytes"):
        facts_of(tree, platform=AMD64, env={})


def test_names_that_are_not_utf_8_do_not_count() -> None:
    """JSON has no place for them."""
    found = facts(
        {
            "caf\udce9": "-> usr", "link": "-> caf\udce9", "usr/share/keyrings/\udce9.gpg": b"",
            "opt/\udce9/bin/python3.11": program("3.11.9"), "usr/bin/python3.11": "-> /l/bin/python3.11",
            "l": "-> opt/\udce9",
        }
    )  # fmt: skip
    assert found == BaseFacts(links={"usr/bin/python3.11": "/l/bin/python3.11"})
    canonical_json(found.to_dict())


def test_a_base_of_nothing_has_no_facts() -> None:
    assert facts({}) == BaseFacts()
