"""Bad input, end to end: what the command says of it, its exit code, and that nothing is left half-done.

The sources are real ones on loopback. `Case.fails` checks what holds for every failure: standard output is empty, no
traceback is shown, and the store verifies.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pysequoia import Tsk
from tests.archives import make_deb, make_wheel, make_zip, member, metadata, record, tar_of
from tests.case import Case

from taskimage.verbs.inputs import Inputs

# -- the spec ------------------------------------------------------------------------------------------------


def test_a_missing_file_is_told_with_the_one_that_is_there(case: Case) -> None:
    said = case.fails(3, "build", str(case.folder / "imgae.yaml"))
    assert said == (
        f"error: {case.folder}/imgae.yaml: no such file\nhint: did you mean '{case.folder}/image.yaml'?\n"
    )


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1:1: the file is empty; wanted a mapping such as name: demo"]),
        ("# nothing yet\n", ["1:1: the file is empty"]),
        ("name: demo\npackages: [a\nenv: {}\n", ["3:4: not YAML", "expected ',' or ']'"]),
        ("name: demo\nenv:\n\tA: b\n", ["3:1: not YAML", "indented with spaces, never with tabs"]),
        ("\x00\x01", ["1:1: not YAML"]),
        ("- demo\n", ["1:1: wanted a mapping at the top"]),
        (
            "name: demo\npackages: demo\napt_packages: {a: 1}\nenv: [x]\npython_version: 2.7\n",
            [
                "2:11: packages is 'demo'; wanted a list of text",
                "write it in brackets, or as lines that start with a dash",
                "3:15: apt_packages is {'a': 1}; wanted a list of text",
                "4:6: env is ['x']; wanted a mapping of names to text",
                "5:17: python_version is '2.7'; wanted a version of Python 3",
            ],
        ),
        ("name: demo\npackges: [demo]\n", ["2:1: unknown key 'packges'", "did you mean packages?"]),
        (
            BOMB + "name: demo\n",
            [": with its aliases written out, this is more than a spec may hold"],
        ),
    ],
    ids=["empty", "comments", "bracket", "tab", "binary", "list", "types", "unknown key", "alias bomb"],
)
def test_every_problem_of_a_file_is_told_with_its_place(case: Case, text: str, problems: list[str]) -> None:
    case.spec_path.write_text(text)
    said = case.fails(2)
    assert f"error: {case.spec_path}:" in said
    for problem in problems:
        assert problem in said
    assert not case.home.exists(), "nothing was begun"


def test_everything_that_is_not_served_is_named_with_its_place(case: Case) -> None:
    case.spec(cuda="12.4", python_exec="p", builder_config={"a": 1}, builder="envd")
    said = case.fails(7)
    assert re.findall(r"image\.yaml:\d+:\d+: (\w+)", said) == [
        "cuda",
        "python_exec",
        "builder_config",
        "builder",
    ]
    assert "hint: take it out of the spec" in said
    assert case.mirror.asked == case.index.asked == []


@pytest.mark.parametrize(
    ("words", "complaint", "hint"),
    [
        (["bild"], "no such command: 'bild'", "did you mean 'build'?"),
        (["build", "--lokced", "image.yaml"], "no such option: '--lokced'", "did you mean '--locked'?"),
    ],
)
def test_words_that_are_not_known_are_told_with_the_nearest(
    case: Case, words: list[str], complaint: str, hint: str
) -> None:
    assert case.fails(2, *words) == f"error: {complaint}\nhint: {hint}\n"


# -- packages ------------------------------------------------------------------------------------------------


def entry(case: Case, text: str) -> str:
    """``file:line`` of the entry ``text`` of a list in the spec."""
    lines = case.spec_path.read_text().splitlines()
    return f"{case.spec_path}:{next(n for n, line in enumerate(lines, 1) if line.strip(' ,') == text)}:"


def test_an_unknown_python_package_is_told_with_its_place(case: Case) -> None:
    case.spec(packages=["demo", "sklearn>=1"])
    said = case.fails(3)
    assert entry(case, '"sklearn>=1"') in said
    assert "no package 'sklearn' on the package index\nhint: perhaps 'scikit-learn' is meant\n" in said


def test_a_package_that_another_one_needs_is_told_at_the_place_of_that(case: Case) -> None:
    case.index.add("app", "1.0", needs=["ghost"])
    case.spec(packages=["demo", "app"])
    said = case.fails(3)
    assert entry(case, '"app"') in said
    assert "no package 'ghost' on the package index, which 'app' depends on" in said


def test_a_package_without_a_wheel_for_the_platform_is_named(case: Case) -> None:
    case.index.add("fast", "1.0", tag="cp311-cp311-win_amd64")
    case.spec(packages=["demo", "fast"])
    said = case.fails(7)
    assert entry(case, '"fast"') in said
    assert "no wheel of 'fast==1.0' for Python 3.11.2 on linux/amd64" in said
    assert "hint: choose another version, package, python_version or platform" in said
    assert "builder_options: {taskimage: {build_sdists: [fast]}}" in said


def test_an_unknown_debian_package_is_told_with_its_place_and_the_nearest(case: Case) -> None:
    case.spec(apt_packages=["tool", "tol"])
    said = case.fails(3)
    assert entry(case, '"tol"') in said
    assert "no package 'tol' in bookworm for amd64; did you mean tool?" in said


def test_an_index_that_does_not_answer_is_worth_a_retry(case: Case) -> None:
    said = case.fails(5, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple")
    assert "no answer of use from 127.0.0.1:9: Connection refused" in said
    assert "hint: try again; another index is set with UV_DEFAULT_INDEX" in said


# -- trust ---------------------------------------------------------------------------------------------------


def changed_wheel(case: Case) -> str:
    (name,) = (name for name in case.index.files if name.endswith(".whl"))
    case.index.files[name] = case.index.files[name][:-1] + b"!"
    return name


def changed_deb(case: Case) -> str:
    (path,) = (case.mirror.root / "pool/main").glob("tool_*.deb")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    return path.name


@pytest.mark.parametrize("change", [changed_wheel, changed_deb])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["where it was locked", "with an empty store"])
def test_a_file_that_changed_after_it_was_locked_is_refused(
    case: Case, change: Callable[[Case], str], *, elsewhere: bool
) -> None:
    case.lock()
    if elsewhere:
        case.use_another_store()
    name = change(case)
    said = case.fails(6)
    assert name in said
    assert "wanted " in said
    assert "hint: find out why the file has changed before it is locked again" in said


def test_a_package_that_its_mirror_no_longer_has_is_told_with_what_to_do(case: Case) -> None:
    case.lock()
    (case.mirror.root / "pool/main/tool_1.0-1.deb").unlink()
    said = case.fails(3)
    assert "pool/main/tool_1.0-1.deb is not there" in said
    assert "taskimage lock --upgrade" in said


def test_an_archive_with_a_signature_by_another_key_is_refused(case: Case) -> None:
    other = Tsk.generate("Other <other@example.org>")
    case.publish(key=other)
    said = case.fails(6)
    assert f"{case.mirror.url}/dists/bookworm" in said
    assert "bad signature: no good signature by a key of the keyring" in said
    assert "TASKIMAGE_DEBIAN_KEYRING" in said


def test_a_release_that_was_changed_after_it_was_signed_is_refused(case: Case) -> None:
    path = case.mirror.root / "dists/bookworm/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Suite: stable", b"Suite: sstable"))
    assert "bad signature" in case.fails(6)


@pytest.mark.parametrize("text", [None, "no keyring"], ids=["missing", "something else"])
def test_a_keyring_that_cannot_be_read_is_a_wrong_setting(case: Case, text: str | None) -> None:
    path = case.folder / "other.pgp"
    if text is not None:
        path.write_text(text)
    said = case.fails(2, TASKIMAGE_DEBIAN_KEYRING=str(path))
    assert f"keyring {str(path)!r}" in said or f"certificates: {str(path)!r}" in said
    assert "hint: look at TASKIMAGE_DEBIAN_KEYRING" in said


# -- hostile packages ----------------------------------------------------------------------------------------

EVIL = "evil-1.0-py3-none-any.whl"


def with_member(member: str | zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    """A wheel with one more member, of which RECORD knows nothing."""
    stream = io.BytesIO(make_wheel("evil", "1.0", files={"evil.py": b"x = 1\n"})[1])
    with zipfile.ZipFile(stream, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there twice
        archive.writestr(member, data)
    return stream.getvalue()


def special(kind: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("evil/special")
    member.external_attr = (kind | 0o777) << 16
    return member


def stating(size: int) -> bytes:
    """A wheel with a member that unpacks to 100 kB, and states another size everywhere."""
    data = bytes(100_000)
    info = "evil-1.0.dist-info"
    members = {
        "evil/zeros": data,
        f"{info}/METADATA": metadata("evil", "1.0").encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    known = record(members, info).replace(b",100000\n", f",{size}\n".encode())
    return make_zip({**members, f"{info}/RECORD": known}).replace(
        struct.pack("<L", len(data)), struct.pack("<L", size)
    )


def with_wrong_crc() -> bytes:
    name, body = b"evil.py", make_wheel("evil", "1.0", files={"evil.py": b"x = 1\n"})[1]
    at = body.index(name) - 16  # in the local header: CRC, two sizes, two lengths, then the name
    crc = body[at : at + 4]
    return body.replace(crc, bytes(byte ^ 255 for byte in crc))


HOSTILE_WHEELS: dict[str, tuple[Callable[[], bytes], str]] = {
    "path escape": (lambda: with_member("../../etc/passwd"), "'../../etc/passwd' points outside of the tree"),
    "absolute path": (lambda: with_member("/etc/passwd"), "'/etc/passwd' points outside of the tree"),
    "bad CRC": (with_wrong_crc, "evil.py' inflates to 6 bytes with CRC"),
    "bomb": (lambda: stating(10), "evil/zeros' inflates to"),
    "bomb that is stated": (lambda: stating(4 << 30 - 1), "states 2147483648 bytes, more than"),
    "device": (lambda: with_member(special(stat.S_IFCHR)), "'evil/special' is a link or a device"),
    "link": (lambda: with_member(special(stat.S_IFLNK)), "'evil/special' is a link or a device"),
    "duplicate": (lambda: with_member("evil.py"), "'evil.py' is there twice"),
    "no archive": (lambda: b"no archive", "cannot be read as a zip archive"),
    "early end": (lambda: with_member("evil/more")[:-30], "cannot be read as a zip archive"),
}


@pytest.mark.parametrize("kind", HOSTILE_WHEELS)
def test_a_hostile_wheel_is_refused_by_name(case: Case, kind: str) -> None:
    make, complaint = HOSTILE_WHEELS[kind]
    case.index.files[EVIL] = make()
    case.index.files[f"{EVIL}.metadata"] = metadata("evil", "1.0").encode()
    case.spec(packages=["demo", "evil"])
    said = case.fails(6)
    assert f"error: {EVIL}: " in said
    assert complaint in said
    assert "hint: it was published like this: choose another version, or leave it out" in said


def evil_deb(*members: tuple[tarfile.TarInfo, bytes], installed_size: str = "9") -> bytes:
    return make_deb(data=tar_of(members), compression=".gz", Package="evil", Installed_Size=installed_size)


def with_wrong_deb_crc() -> bytes:
    body = evil_deb(member("usr/evil", b"x" * 600))
    return body[:-8] + bytes([body[-8] ^ 255]) + body[-7:]


HOSTILE_DEBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "path escape": (
        lambda: evil_deb(member("../../etc/passwd", b"x")),
        "'./../../etc/passwd' points outside of the tree",
    ),
    "through a link": (
        lambda: evil_deb(
            member("usr/out", type=tarfile.SYMTYPE, linkname="/etc"), member("usr/out/passwd", b"x")
        ),
        "'usr/out/passwd' is below 'usr/out', no directory",
    ),
    "bad CRC": (with_wrong_deb_crc, "'data.tar.gz' is damaged: CRC check failed"),
    "bomb": (
        lambda: evil_deb(member("usr/zeros", bytes(65 << 20)), installed_size="1"),
        "'data.tar.gz' unpacks to more than",
    ),
    "device": (lambda: evil_deb(member("dev/sda", type=tarfile.BLKTYPE)), "'./dev/sda' is of type"),
    "duplicate": (
        lambda: evil_deb(member("usr/evil", b"1"), member("usr/evil", b"2")),
        "'./usr/evil' is there twice",
    ),
    "false name": (lambda: make_deb({}, Package="good"), "is 'good' 1.0-1, locked as 'evil' 1.0-1"),
    "no archive": (lambda: b"no archive" * 20, "not an ar archive"),
    "early end": (
        lambda: evil_deb(member("usr/evil", b"x" * 600))[:-20],
        "ends inside of member 'data.tar.gz'",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE_DEBS)
def test_a_hostile_deb_is_refused_by_name(case: Case, kind: str) -> None:
    make, complaint = HOSTILE_DEBS[kind]
    case.publish({"evil": make()})
    case.spec(apt_packages=["tool", "evil"])
    said = case.fails(6)
    assert "error: evil_1.0-1.deb: " in said
    assert complaint in said
    assert "hint: it was published like this: choose another version, or leave it out" in said


# -- the lock ------------------------------------------------------------------------------------------------


def test_a_stale_lock_is_refused_with_what_changed_and_the_command_that_mends_it(case: Case) -> None:
    case.lock()
    case.spec(packages=["demo", "more"])
    said = case.fails(2)
    assert f"{case.lock_path}: the lock no longer says what {case.spec_path} wants:" in said
    assert "packages: 'more' is wanted and not locked" in said
    assert f"hint: make it anew with `taskimage lock {case.spec_path}`" in said


def test_where_a_lock_must_be_and_is_none_the_command_that_makes_it_is_told(case: Case) -> None:
    said = case.fails(2, "build", "--locked", str(case.spec_path))
    assert f"there is no lock {str(case.lock_path)!r}" in said
    assert f"hint: make one with `taskimage lock {case.spec_path}`" in said
    assert not case.home.exists()


REMADE = "hint: restore it, or remove it and make it anew with `taskimage lock`"
BROKEN_LOCKS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "no TOML": (lambda text: f"{text}<\n", "not a lock: ", REMADE),
    "a merge in conflict": (
        lambda text: f"{text}<<<<<<< ours\n",
        "not a lock: ",
        "hint: a merge stopped here: take either side's lock",
    ),
    "empty": (lambda _: "", "not a lock: it has no lock-version", REMADE),
    "a key too many": (lambda text: text.replace("size =", "bytes =", 1), "'bytes' is no key", REMADE),
    "no digest": (lambda text: text.replace('sha256 = "', 'sha256 = "x', 1), "not a digest: ", REMADE),
    "a newer format": (
        lambda text: text.replace("lock-version = 1", "lock-version = 2"),
        "lock-version is 2; this taskimage reads 1",
        "hint: use a newer taskimage",
    ),
}


@pytest.mark.parametrize("kind", BROKEN_LOCKS)
def test_a_lock_that_cannot_be_read_is_told_with_what_to_do(case: Case, kind: str) -> None:
    spoil, complaint, hint = BROKEN_LOCKS[kind]
    case.lock()
    case.lock_path.write_text(spoil(case.lock_path.read_text()))
    said = case.fails(2)
    assert f"error: {case.lock_path}: " in said
    assert complaint in said
    assert hint in said


def test_a_lock_that_is_no_text_or_no_file_is_told(case: Case) -> None:
    case.lock_path.write_bytes(b"\xff\xfe")
    assert f"{case.lock_path}: not a lock: " in case.fails(2)
    case.lock_path.unlink()
    case.lock_path.mkdir()
    assert f"{case.lock_path}: not a regular file" in case.fails(2)


# -- the store -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["a file", "below a file", "nowhere"])
def test_a_store_that_cannot_be_written_to_is_told_with_the_setting(case: Case, kind: str) -> None:
    home = {"a file": case.spec_path, "below a file": case.spec_path / "x", "nowhere": Path("/proc/x")}[kind]
    said = case.fails(4, TASKIMAGE_HOME=str(home))
    assert f"error: cannot use the store at {str(home)!r}: " in said
    assert "hint: set TASKIMAGE_HOME to a folder that you may write to" in said


def test_after_failures_the_same_store_builds(case: Case) -> None:
    case.index.files[EVIL] = with_wrong_crc()
    case.index.files[f"{EVIL}.metadata"] = metadata("evil", "1.0").encode()
    case.spec(packages=["demo", "evil"])
    case.fails(6)
    case.spec()
    assert case.build().startswith("demo:")


def test_a_disk_that_is_full_while_packages_are_unpacked_is_told(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.spec()
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - closed below
    monkeypatch.setattr(Inputs, "_spool", lambda _: full)
    code, out, err = case.run("build", str(case.spec_path))
    full.close()
    assert (code, out) == (7, "")
    assert "no space left while writing to the store" in err
    assert "hint: free some space" in err
