"""Packages on a base image: what it has, what its own sources add, and whom they are believed from."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import pytest
from pysequoia import SignatureMode, Tsk, sign
from tests.sources import Archive, Mirror, package

from taskimage.adapters.debian import Debian
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.base import BaseFacts
from taskimage.model.errors import BadInput, CannotBuild, IntegrityError, NotFound
from taskimage.model.events import Event, Warned

STATUS = "var/lib/dpkg/status"
LIST = "etc/apt/sources.list"
TRUSTED = "etc/apt/trusted.gpg.d/archive.gpg"
UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble"}


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    mirror = Mirror(tmp_path / "mirror")
    yield mirror
    mirror.close()


@pytest.fixture
def archive(mirror: Mirror, archive_key: Tsk) -> Archive:
    """An archive of its own key, in a folder as Ubuntu's is."""
    return Archive(mirror, archive_key, "ubuntu/")


Resolve: TypeAlias = Callable[..., list[str]]


@pytest.fixture
def resolve(tmp_path: Path, archive: Archive) -> Resolve:
    """Names to `name=version` words, on a base with ``status``, from ``sources`` (by default noble's main)."""

    def resolved(
        names: str, status: str = "", *, sources: str = "", heard: list[Event] | None = None, **facts: object
    ) -> list[str]:
        debian = Debian(
            Store(tmp_path / "home"),
            Http({}, pauses=()),
            apt_root=tmp_path,
            listener=(heard if heard is not None else []).append,
        )
        pins = debian.on(base(archive, status, sources=sources, **facts)).resolve("amd64", apt=names.split())
        return [f"{pin.package}={pin.version}" for pin in pins]

    return resolved


def base(archive: Archive, status: str = "", *, sources: str = "", **facts: object) -> BaseFacts:
    line = f"deb {archive.mirror.url}/ubuntu noble main\n"
    given = {
        "os_release": UBUNTU,
        "texts": {STATUS: installed(status), LIST: sources or line},
        "keyrings": {TRUSTED: bytes(archive.key.extract_certificate())},
        **facts,
    }
    return BaseFacts(**given)  # type: ignore[arg-type]


def installed(text: str, state: str = "install ok installed") -> str:
    """A status file of ``name version; Field: value; …`` lines; the last Status or Architecture counts."""
    paragraphs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, *fields = line.split("; ")
        name, version = head.split()
        known = {"Package": name, "Status": state, "Architecture": "amd64", "Version": version}
        known |= dict(field.split(": ", 1) for field in fields)
        paragraphs.append("".join(f"{key}: {value}\n" for key, value in known.items()))
    return "\n".join(paragraphs)


def listed(text: str) -> list[str]:
    """The paragraphs of a Packages file, of lines such as those of `installed`."""
    made = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, *fields = line.split("; ")
        name, version = head.split()
        made.append(package(name, version, None, **dict(field.split(": ", 1) for field in fields)))
    return made


# -- what is there already ------------------------------------------------------------------------------

# name -> (installed, published, wanted, chosen)
CHOSEN = {
    "what is there is not added": ("a 1", "a 1", "a", ""),
    "what is named is upgraded": ("a 1", "a 2", "a", "a=2"),
    "what is there meets a dependency": ("b 1", "a 1; Depends: b\nb 2", "a", "a=1"),
    "what is too old is upgraded": ("b 1", "a 1; Depends: b (>= 2)\nb 2", "a", "a=1 b=2"),
    "what is there meets an alternative": ("y 1", "a 1; Depends: x | y\nx 1\ny 1", "a", "a=1"),
    "what is there provides": ("y 1; Provides: v", "a 1; Depends: v\nx 1; Provides: v", "a", "a=1"),
    "what is newer than the archive's stays": ("b 3", "a 1; Depends: b\nb 2", "a b", "a=1"),
    "what no archive has stays": ("b 3; Depends: gone", "a 1; Depends: b", "a", "a=1"),
    "what depends on an old version moves along": (
        "b 1\nc 1; Depends: b (= 1)", "a 1; Depends: b (>= 2)\nb 2\nc 2; Depends: b (= 2)", "a", "a=1 b=2 c=2",
    ),
    "what is broken in its old version is upgraded": ("b 1", "a 1; Breaks: b (<< 2)\nb 2", "a", "a=1 b=2"),
    "what breaks others in its old version is upgraded": (
        "b 1; Breaks: a", "a 1\nb 2; Depends: c\nc 1", "a", "a=1 b=2 c=1",
    ),
    "an upgrade of what is there may need more": ("b 1", "a 1; Depends: b (>= 2)\nb 2; Depends: c\nc 1", "a", "a=1 b=2 c=1"),
    "what is of one source moves along": (
        "b 1; Source: s\nc 1; Source: s\nd 1", "a 2; Source: s\nb 2; Source: s\nc 2; Source: t\nd 2", "a", "a=2 b=2",
    ),
    "but not when it cannot": ("b 1; Source: s", "a 2; Source: s\nb 2; Source: s; Depends: gone", "a", "a=2"),
    "another alternative where the first would break the base": (
        "b 1", "a 1; Depends: x | y\nx 1; Conflicts: b\ny 1", "a", "a=1 y=1",
    ),
    "what is unpacked alone is not installed": ("b 1; Status: install ok unpacked", "a 1; Depends: b\nb 1", "a", "a=1 b=1"),
    "what left its configuration is not installed": ("a 1; Status: deinstall ok config-files", "a 1", "a", "a=1"),
    "what is of another architecture is not installed": ("a 1; Architecture: i386", "a 1", "a", "a=1"),
    "what is held meets a dependency": ("b 1; Status: hold ok installed", "a 1; Depends: b\nb 2", "a b", "a=1"),
    "what was broken before stays so": ("c 1; Depends: none\nb 1", "a 1; Depends: b (>= 2)\nb 2", "a", "a=1 b=2"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOSEN)
def test_on_a_base_is_chosen(name: str, resolve: Resolve, archive: Archive) -> None:
    status, packages, names, expected = CHOSEN[name]
    archive.publish("noble", *listed(packages))
    assert resolve(names, status) == expected.split()


CANNOT = {
    "a conflict with the base": (
        "b 1", "a 1; Conflicts: b\nb 1", "a", r"a 1 conflicts with 'b', so that b 1(.|\n)*the base image has b 1: leave",
    ),
    "a conflict of the base": ("b 1; Conflicts: a", "a 1", "a", r"b 1 conflicts with 'a'(.|\n)*or use another base image"),
    "what the base breaks": ("b 1; Breaks: a (<< 2)", "a 1", "a", r"b 1 breaks 'a \(<< 2\)'"),
    "a dependency of the base on an old version": (
        "b 1\nc 1; Depends: b (= 1)", "a 1; Depends: b (>= 2)\nb 2", "a", r"c 1 depends on 'b \(= 1\)'",
    ),
    "a held package": (
        "b 1; Status: hold ok installed", "a 1; Depends: b (>= 2)\nb 2", "a", r"a 1 depends on.*the base image has b 1",
    ),
    "two that need other versions": (
        "b 1", "a 1; Depends: b (= 1)\nc 1; Depends: b (= 2)\nb 2", "a c", r"a 1 depends on 'b \(= 1\)'",
    ),
    "an older version": ("a 2", "a 1\na 2", "a=1", r"the base image has a 2, which is newer than the 1 that is asked"),
}  # fmt: skip


@pytest.mark.parametrize("name", CANNOT)
def test_what_a_base_does_not_allow_is_refused(name: str, resolve: Resolve, archive: Archive) -> None:
    status, packages, names, message = CANNOT[name]
    archive.publish("noble", *listed(packages))
    with pytest.raises(CannotBuild, match=message):
        resolve(names, status)


def test_another_version_of_a_held_package_is_not_there(resolve: Resolve, archive: Archive) -> None:
    archive.publish("noble", *listed("a 2"))
    with pytest.raises(NotFound, match=r"'a=2' in noble for amd64; there is a 1 \(now\)"):
        resolve("a=2", "a 1; Status: hold ok installed")


@pytest.mark.parametrize("status", ["a", "a 1 2"])
def test_a_status_file_that_cannot_be_read_is_told(resolve: Resolve, archive: Archive, status: str) -> None:
    archive.publish("noble", *listed("a 1"))
    text = f"Package: a\nStatus: install ok installed\nArchitecture: amd64\n{status.replace('a ', 'Version: ')}\n"
    with pytest.raises(BadInput, match="cannot read what is installed"):
        resolve("a", texts={STATUS: text, LIST: f"deb {archive.mirror.url}/ubuntu noble main\n"})


# -- its sources ----------------------------------------------------------------------------------------


def publish_noble(archive: Archive) -> None:
    """Release, updates and backports as Ubuntu has them: one codename, and lists of several components."""
    for part, version, more in (("", "1", {}), ("-updates", "2", {}), ("-backports", "3", BACKPORTS)):
        changes = {"Suite": f"noble{part}", "Codename": "noble", "Origin": "Ubuntu", **more}
        universe = package("b", version, Depends="a")
        archive.publish(
            f"noble{part}", package("a", version), changes=changes, components={"universe": universe}
        )
    for version in "123":
        archive.mirror.write(f"ubuntu/pool/main/a_{version}.deb", f"a {version}".encode())


BACKPORTS = {"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"}
ONE_LINE = "deb {url} noble main\ndeb {url}/ noble universe # more\ndeb [arch=amd64] {url} noble-updates main universe\n"
DEB822 = "Types: deb deb-src\nURIs: {url}\nSuites: noble noble-updates noble-backports\nComponents: main universe\n"


@pytest.mark.parametrize(
    "file", ["etc/apt/sources.list", "etc/apt/sources.list.d/x.list", "etc/apt/sources.list.d/ubuntu.sources"]
)
def test_both_formats_and_all_components_are_read(resolve: Resolve, archive: Archive, file: str) -> None:
    publish_noble(archive)
    text = (DEB822 if file.endswith(".sources") else ONE_LINE).format(url=f"{archive.mirror.url}/ubuntu")
    assert resolve("b", texts={STATUS: "", file: text}) == ["a=2", "b=2"]


def test_a_release_is_asked_for_once_whatever_lines_name_it(resolve: Resolve, archive: Archive) -> None:
    publish_noble(archive)
    resolve("b", sources=ONE_LINE.format(url=f"{archive.mirror.url}/ubuntu"))
    assert sum("noble/InRelease" in path for path in archive.mirror.asked) == 1


@pytest.mark.parametrize(
    ("wanted", "status", "expected"),
    [
        ("a", "", ["a=2"]),
        ("a/noble-backports", "", ["a=3"]),
        ("a/noble", "", ["a=1"]),
        ("a=1", "", ["a=1"]),
        ("a", "a 2.5", ["a=3"]),
    ],
)
def test_backports_are_taken_when_they_are_asked_for(
    resolve: Resolve, archive: Archive, wanted: str, status: str, expected: list[str]
) -> None:
    """Or when a version is installed that is newer than all others: it is one of theirs."""
    publish_noble(archive)
    text = DEB822.format(url=f"{archive.mirror.url}/ubuntu")
    assert (
        resolve(wanted, texts={STATUS: installed(status), "etc/apt/sources.list.d/u.sources": text})
        == expected
    )


def test_a_pin_names_its_archive_by_alias_and_its_file_is_found_again(
    archive: Archive, tmp_path: Path
) -> None:
    """By the sources of the base, which are the same wherever it is built."""
    publish_noble(archive)
    facts = base(archive, sources=ONE_LINE.format(url=f"{archive.mirror.url}/ubuntu"))
    debian = Debian(Store(tmp_path / "one"), Http({}, pauses=()), apt_root=tmp_path)
    [pin] = debian.on(facts).resolve("amd64", apt=["a"])
    assert (pin.archive, pin.suite, pin.path) == ("ubuntu", "noble-updates", "pool/main/a_2.deb")
    store = Store(tmp_path / "other")
    Debian(store, Http({}, pauses=()), apt_root=tmp_path).on(facts).fetch([pin], moved=lambda _: None)
    assert store.input_path(pin.digest).read_bytes() == b"a 2"


def test_a_pin_of_no_source_is_told(archive: Archive, tmp_path: Path) -> None:
    publish_noble(archive)
    debian = Debian(Store(tmp_path / "home"), Http({}, pauses=()), apt_root=tmp_path)
    [pin] = debian.on(base(archive)).resolve("amd64", apt=["a"])
    other = base(archive, sources=f"deb {archive.mirror.url}/ubuntu jammy main")
    with pytest.raises(NotFound, match="no source of the base image has the suite 'noble' of 'a'"):
        debian.on(other).fetch([pin], moved=lambda _: None)


def test_offline_uses_what_the_store_has(archive: Archive, tmp_path: Path) -> None:
    publish_noble(archive)
    made = [
        Debian(Store(tmp_path / "home"), Http({}, pauses=()), apt_root=tmp_path, offline=offline)
        .on(base(archive))
        .resolve("amd64", apt=["a"])
        for offline in (False, True)
    ]
    assert made[0] == made[1] != ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("deb [trusted=yes] {url} other main", "it says trusted=yes, and what is not signed is not taken"),
        ("deb file:/srv/packages other main", "file:///srv/packages other: it is not reached by http"),
        ("deb cdrom:[Ubuntu]/ other main", "it is not reached by http"),
        ("deb [signed-by=/etc/apt/keyrings/gone.gpg] {url} other main", "its keyring '/etc/apt/keyrings/gone.gpg' is not"),
        ("deb {url} noble gone", "'gone' of suite 'noble' has no packages for architecture 'amd64'"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_serve_is_passed_over_with_a_warning(
    resolve: Resolve, archive: Archive, line: str, reason: str
) -> None:
    archive.publish("noble", package("a", "1"))
    heard: list[Event] = []
    good = f"deb {archive.mirror.url}/ubuntu noble main\n"
    assert resolve("a", sources=good + line.format(url=f"{archive.mirror.url}/ubuntu"), heard=heard) == [
        "a=1"
    ]
    [warned] = [event for event in heard if isinstance(event, Warned)]
    assert "a source of the base image is passed over" in warned.text
    assert reason in warned.text


@pytest.mark.parametrize(
    "line", ["deb-src {url} noble main", "deb [arch=arm64] {url} noble main", "# deb {url} noble main", "deb [trusted=yes] {url} x y"]
)  # fmt: skip
def test_a_base_without_a_source_that_serves_is_told(resolve: Resolve, archive: Archive, line: str) -> None:
    with pytest.raises(CannotBuild, match="no source of packages for 'amd64'") as caught:
        resolve("a", sources=line.format(url=f"{archive.mirror.url}/ubuntu"))
    assert "/etc/apt" in str(caught.value.hint)


def test_a_suite_that_is_gone_is_told(resolve: Resolve, archive: Archive) -> None:
    """As `apt-get update` fails: what else is there may be too old."""
    archive.publish("noble", package("a", "1"))
    with pytest.raises(NotFound, match="suite 'gone' is on none of the mirrors"):
        resolve(
            "a",
            sources=f"deb {archive.mirror.url}/ubuntu noble main\ndeb {archive.mirror.url}/ubuntu gone main\n",
        )


# -- keys -----------------------------------------------------------------------------------------------


def armored(key: Tsk) -> str:
    return str(key.extract_certificate())


@pytest.mark.parametrize("form", ["trusted", "path", "fingerprint", "block"])
def test_a_source_is_believed_by_the_keys_that_it_names(
    resolve: Resolve, archive: Archive, form: str
) -> None:
    archive.publish("noble", package("a", "1"))
    certificate = archive.key.extract_certificate()
    block = "".join(f"\n {line or '.'}" for line in armored(archive.key).strip().splitlines())
    signed_by = {
        "trusted": "", "path": "/usr/share/keyrings/a.gpg", "fingerprint": certificate.fingerprint.upper(), "block": block,
    }[form]  # fmt: skip
    text = DEB822.format(url=f"{archive.mirror.url}/ubuntu").replace(
        "noble noble-updates noble-backports", "noble"
    )
    text = text.replace(" universe", "") + (f"Signed-By: {signed_by}\n" if signed_by else "")
    keyrings = {"usr/share/keyrings/a.gpg" if form == "path" else TRUSTED: bytes(certificate)}
    if form == "block":
        keyrings = {}
    assert resolve("a", texts={STATUS: "", "etc/apt/sources.list.d/u.sources": text}, keyrings=keyrings) == [
        "a=1"
    ]


@pytest.mark.parametrize("signed_by", ["", "[signed-by=/k/other.gpg]", f"[signed-by={'AB' * 20}]"])
def test_a_source_is_not_believed_by_any_other_key(
    resolve: Resolve, archive: Archive, signed_by: str
) -> None:
    """A key that is there for another archive does not count, nor do those that come with taskimage."""
    archive.publish("noble", package("a", "1"))
    other = bytes(Tsk.generate("Other <other@example.org>").extract_certificate())
    own = bytes(archive.key.extract_certificate())
    keyrings = {
        "k/other.gpg": other,
        "etc/apt/trusted.gpg.d/broken.gpg": b"no keys",
        ("k/own.gpg" if not signed_by else TRUSTED): own,
    }
    with pytest.raises(IntegrityError, match="bad signature") as caught:
        resolve("a", sources=f"deb {signed_by} {archive.mirror.url}/ubuntu noble main\n", keyrings=keyrings)
    assert "keyrings of the base image" in str(caught.value.hint)


# -- Debian's own archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_mirrors_that_are_known_are_asked_before_the_bases_own(
    mirror: Mirror,
    archive_key: Tsk,
    tmp_path: Path,
    known: bool,  # noqa: FBT001
) -> None:
    """A host may have a mirror near it; and where none is known, the base has one."""
    near, far = Archive(mirror, archive_key, "near/debian/"), Archive(mirror, archive_key, "debian/")
    near.publish("bookworm", package("a", "2"))
    far.publish("bookworm", package("a", "1"))
    facts = base(far, sources=f"deb {mirror.url}/debian bookworm main", os_release={"ID": "debian"})
    roots = (f"{mirror.url}/near/debian",) if known else ()
    debian = Debian(Store(tmp_path / "home"), Http({}, pauses=()), mirrors=roots, apt_root=tmp_path)
    [pin] = debian.on(facts).resolve("amd64", apt=["a"])
    assert (pin.version, pin.archive, pin.suite) == ("2" if known else "1", "debian", "bookworm")


@pytest.mark.parametrize("source", ["deb {url}/archive/debian/20260101T000000Z bookworm main", "deb [signed-by=/k/v.gpg] {url}/debian bookworm main", "deb {url}/debian bookworm stable"])  # fmt: skip
def test_a_snapshot_or_another_vendor_is_not_taken_for_debian(
    mirror: Mirror, archive_key: Tsk, tmp_path: Path, source: str
) -> None:
    near = Archive(mirror, archive_key, "near/debian/")
    near.publish("bookworm", package("a", "9"), components={"stable": package("a", "9")})
    root = source.split()[-3].removeprefix("{url}/")
    own = Archive(mirror, archive_key, f"{root}/")
    own.publish("bookworm", package("a", "1"), components={"stable": package("a", "1")})
    keys = bytes(archive_key.extract_certificate())
    facts = base(
        own,
        sources=source.format(url=mirror.url),
        os_release={"ID": "debian"},
        keyrings={TRUSTED: keys, "k/v.gpg": keys},
    )
    debian = Debian(Store(tmp_path / "home"), Http({}, pauses=()), mirrors=(f"{mirror.url}/near/debian",))
    assert [pin.version for pin in debian.on(facts).resolve("amd64", apt=["a"])] == ["1"]


# -- flat archives --------------------------------------------------------------------------------------


def publish_flat(archive: Archive, text: bytes, packed: bytes | None) -> None:
    """Files in one folder, as vendors have them, whose release has no name."""
    files = {"Packages": text, **({"Packages.gz": packed} if packed else {})}
    lines = [f" {sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in files.items()]
    release = f"Origin: Some Vendor, Inc.\nDate: Sat, 21 Nov 2026 00:53:02 UTC\nSHA256:\n{''.join(lines)}"
    for name, data in files.items():
        archive.mirror.write(f"flat/{name}", data)
    signed = sign(archive.key.signer(), release.encode(), mode=SignatureMode.CLEAR)
    archive.mirror.write("flat/InRelease", signed)


FLAT = package("a", "1").replace("pool/main", "./x").encode()


@pytest.mark.parametrize("packed", [gzip.compress(FLAT), None], ids=["gzip", "plain"])
@pytest.mark.parametrize("place", ["{url}/flat /", "{url} flat/"])
def test_a_flat_archive_is_read(archive: Archive, tmp_path: Path, place: str, packed: bytes | None) -> None:
    publish_flat(archive, FLAT, packed)
    debian = Debian(Store(tmp_path / "home"), Http({}, pauses=()), apt_root=tmp_path)
    facts = base(archive, sources=f"deb {place.format(url=archive.mirror.url)}\n")
    [pin] = debian.on(facts).resolve("amd64", apt=["a"])
    assert (pin.archive, pin.path) == ("some-vendor-inc", "x/a_1.deb")


PACKED = gzip.compress(FLAT, mtime=0)
DAMAGED = PACKED[:10] + b"\xff" * 9 + PACKED[19:]


@pytest.mark.parametrize("packed", [PACKED[:-9], b"no gzip", DAMAGED, gzip.compress(b"x" * 99_999)])
def test_a_list_that_does_not_unpack_as_signed_is_refused(
    archive: Archive, resolve: Resolve, packed: bytes
) -> None:
    publish_flat(archive, FLAT, packed)
    with pytest.raises(IntegrityError, match=r"not a gzip file|does not unpack to the \d+ bytes"):
        resolve("a", sources=f"deb {archive.mirror.url}/flat /\n")


# -- other systems --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("os_release", "texts", "reason"),
    [
        (
            {"ID": "alpine", "PRETTY_NAME": "Alpine Linux v3.20"},
            {},
            "'Alpine Linux v3.20', which is neither Debian",
        ),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, {STATUS: ""}, "'rocky', which is neither"),
        ({}, {STATUS: ""}, "'an unknown system'"),
        (
            {"ID": "debian", "PRETTY_NAME": "Distroless"},
            {},
            "'Distroless', and has no record of its packages",
        ),
    ],
)
def test_a_base_without_debian_packages_says_why_and_what_to_do(
    tmp_path: Path, os_release: dict[str, str], texts: dict[str, str], reason: str
) -> None:
    debian = Debian(Store(tmp_path / "home"), Http({}, pauses=()), apt_root=tmp_path)
    with pytest.raises(
        CannotBuild, match=f"apt_packages cannot be installed: the base image is {reason}"
    ) as caught:
        debian.on(BaseFacts(os_release=os_release, texts=texts))
    assert caught.value.exit_code == 7
    assert "leave base_image out" in str(caught.value.hint)


def test_a_derivative_of_debian_is_served_from_its_own_sources(resolve: Resolve, archive: Archive) -> None:
    archive.publish("noble", package("a", "1"))
    assert resolve("a", os_release={"ID": "mint", "ID_LIKE": "ubuntu debian"}) == ["a=1"]
