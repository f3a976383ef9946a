"""The whole way from a mirror to pinned packages and their files, against small archives on loopback."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pysequoia import Tsk
from tests.sources import NOW, Archive, Mirror, package

from taskimage.adapters.debian import Debian
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.errors import (
    BadInput,
    CannotBuild,
    IntegrityError,
    NotFound,
    TaskImageError,
    Unreachable,
)
from taskimage.model.events import Event, Warned


def unheard(_: int) -> None:
    """For fetches whose progress does not matter."""


@pytest.fixture
def mirrors(tmp_path: Path) -> Iterator[Callable[[], Mirror]]:
    opened: list[Mirror] = []

    def another() -> Mirror:
        root = tmp_path / f"mirror{len(opened)}"
        root.mkdir()
        opened.append(Mirror(root))
        return opened[-1]

    yield another
    for mirror in opened:
        mirror.close()


@pytest.fixture
def archive(mirrors: Callable[[], Mirror], archive_key: Tsk) -> Archive:
    archive = Archive(mirrors(), archive_key)
    archive.publish_all()
    return archive


@pytest.fixture
def debian(tmp_path: Path, archive: Archive) -> Callable[..., Debian]:
    """Debian over the archive's mirror; each call is a new one over the same store."""
    keyring = tmp_path / "keyring.pgp"
    keyring.write_bytes(bytes(archive.key.extract_certificate()))

    def made(*urls: str, **options: object) -> Debian:
        given = {"mirrors": urls or (archive.mirror.url,), "keyring": keyring, **options}
        return Debian(Store(tmp_path / "home"), Http({}, pauses=()), **given)  # type: ignore[arg-type]

    return made


def pinned(debian: Debian) -> list[str]:
    resolution = debian.resolve("prime", "amd64", base=["base"], apt=["tool"])
    assert [pin.package for pin in resolution.base] == ["base"]
    return [f"{pin.package}={pin.version} {pin.archive} {pin.suite}" for pin in resolution.apt]


EXPECTED = ["lib=1.1 debian prime-updates", "tool=1.0 debian prime"]


@pytest.mark.usefixtures("archive")
def test_names_become_pins_of_release_updates_and_security(debian: Callable[..., Debian]) -> None:
    assert pinned(debian()) == EXPECTED


def test_a_pin_of_the_security_archive_says_so(debian: Callable[..., Debian], archive: Archive) -> None:
    archive.publish("prime-security", package("lib", "1.2"))
    assert pinned(debian())[0] == "lib=1.2 debian-security prime-security"


def test_a_version_that_the_request_pins_holds_for_the_base_too(debian: Callable[..., Debian]) -> None:
    resolution = debian().resolve("prime", "amd64", base=["lib"], apt=["tool", "lib=1.0+sec1"])
    assert [pin.version for pin in resolution.base] == ["1.0+sec1"]


def test_the_candidate_is_the_version_that_would_be_taken(debian: Callable[..., Debian]) -> None:
    assert debian().candidate("prime", "amd64", "lib") == "1.1"
    assert debian().candidate("prime", "amd64", "python9.9") is None


def test_files_are_fetched_into_the_store(debian: Callable[..., Debian], tmp_path: Path) -> None:
    pins = debian().resolve("prime", "amd64", base=["tool", "lib=1.0+sec1"]).base
    moved: list[int] = []
    debian().fetch(pins, moved=moved.append)
    store = Store(tmp_path / "home")
    assert [store.input_path(pin.digest).read_bytes() for pin in pins] == [b"lib 1.0+sec1", b"tool 1.0"]
    assert sum(moved) == sum(pin.size for pin in pins)


def test_what_is_in_the_store_is_not_fetched_again(debian: Callable[..., Debian], archive: Archive) -> None:
    pins = debian().resolve("prime", "amd64", base=["tool"]).base
    debian().fetch(pins, moved=unheard)
    archive.mirror.asked.clear()
    debian().fetch(pins, moved=unheard)
    assert archive.mirror.asked == []


def test_a_second_resolution_asks_for_one_small_file_a_suite(
    debian: Callable[..., Debian], archive: Archive
) -> None:
    pinned(debian())
    assert sum("by-hash" in path for path in archive.mirror.asked) == 3
    archive.mirror.asked.clear()
    again = debian()
    assert pinned(again) == pinned(again) == EXPECTED
    suites = ("prime", "prime-updates", "prime-security")
    assert sorted(archive.mirror.asked) == sorted(f"/dists/{suite}/InRelease" for suite in suites)


def test_offline_uses_what_the_store_has(
    debian: Callable[..., Debian], archive: Archive, tmp_path: Path
) -> None:
    """No mirror need be known, either."""
    pinned(debian())
    archive.mirror.asked.clear()
    offline = Debian(
        Store(tmp_path / "home"),
        Http({}, pauses=()),
        keyring=tmp_path / "keyring.pgp",
        offline=True,
        apt_root=tmp_path,
    )
    assert pinned(offline) == EXPECTED
    assert archive.mirror.asked == []


def test_offline_with_an_empty_store_says_so(debian: Callable[..., Debian]) -> None:
    with pytest.raises(NotFound, match="the store has no index of suite 'prime'"):
        pinned(debian(offline=True))


def test_an_index_that_was_changed_in_the_store_is_refused(
    debian: Callable[..., Debian], tmp_path: Path
) -> None:
    pinned(debian())
    path = tmp_path / "home/indexes/debian/prime.InRelease"
    path.write_bytes(path.read_bytes().replace(b"Codename: prime", b"Codename: crime"))
    with pytest.raises(IntegrityError, match="bad signature"):
        pinned(debian(offline=True))


def test_an_archive_without_by_hash_is_read_by_name(debian: Callable[..., Debian], archive: Archive) -> None:
    archive.publish("prime-updates", package("lib", "1.3"), by_hash=False)
    assert pinned(debian())[0].startswith("lib=1.3 ")


def gone(archive: Archive, *endings: str) -> None:
    """No list of packages with one of ``endings`` is on the mirror."""
    for path in archive.mirror.root.glob("dists/*/main/binary-amd64/Packages*"):
        if path.suffix in endings:
            path.unlink()


def publish_by_name(archive: Archive) -> None:
    """An archive whose lists have names that say what they are."""
    archive.publish("rolling", package("lib", "2"), state="unstable", by_hash=False)


def test_one_form_of_a_list_is_fetched_the_one_that_is_quickly_read(
    debian: Callable[..., Debian], archive: Archive
) -> None:
    publish_by_name(archive)
    debian().resolve("rolling", "amd64", base=["lib"])
    asked = [path for path in archive.mirror.asked if "Packages" in path]
    assert asked == ["/dists/rolling/main/binary-amd64/Packages.gz"]


@pytest.mark.parametrize("served", [".gz", ".xz", ""])
def test_a_form_that_is_signed_for_and_not_served_is_passed_over(
    debian: Callable[..., Debian], archive: Archive, served: str
) -> None:
    """And is not asked for again, nor missed without the network."""
    publish_by_name(archive)
    archive.mirror.write("dists/rolling/main/binary-amd64/Packages", package("lib", "2").encode())
    gone(archive, *({".gz", ".xz", ""} - {served}))
    assert debian().candidate("rolling", "amd64", "lib") == "2"
    archive.mirror.asked.clear()
    assert debian().candidate("rolling", "amd64", "lib") == "2"
    assert debian(offline=True).candidate("rolling", "amd64", "lib") == "2"
    assert not [path for path in archive.mirror.asked if "Packages" in path]


def test_a_list_of_which_no_form_is_served_is_worth_a_retry(
    debian: Callable[..., Debian], archive: Archive
) -> None:
    publish_by_name(archive)
    gone(archive, ".gz", ".xz")
    with pytest.raises(Unreachable, match="not there yet"):
        debian().candidate("rolling", "amd64", "lib")


# -- suites ---------------------------------------------------------------------------------------------


def test_a_suite_that_is_not_served_needs_no_updates(debian: Callable[..., Debian], archive: Archive) -> None:
    archive.publish("rolling", package("lib", "2"), state="unstable")
    assert [pin.version for pin in debian().resolve("rolling", "amd64", base=["lib"]).base] == ["2"]


def test_security_fixes_of_a_stable_suite_may_not_be_left_out(
    debian: Callable[..., Debian], archive: Archive
) -> None:
    """A mirror that hides them would have old packages installed in silence."""
    (archive.mirror.root / "dists/prime-security/InRelease").unlink()
    with pytest.raises(NotFound, match="suite 'prime-security' is on none of the mirrors"):
        pinned(debian())


def test_an_unknown_suite_is_told_with_the_mirrors(debian: Callable[..., Debian], archive: Archive) -> None:
    with pytest.raises(NotFound, match=f"suite 'prima' is on none of the mirrors: {archive.mirror.url}"):
        debian().resolve("prima", "amd64", base=["base"])


@pytest.mark.parametrize("suite", ["", "../etc", "prime/updates", "Prime", "prime\n"])
def test_what_is_no_suite_is_refused(debian: Callable[..., Debian], suite: str) -> None:
    with pytest.raises(BadInput, match="not a suite"):
        debian().resolve(suite, "amd64", base=["base"])


def test_an_architecture_that_the_suite_lacks_is_told(debian: Callable[..., Debian]) -> None:
    with pytest.raises(NotFound, match="no packages for architecture 's390x'; it has amd64"):
        debian().resolve("prime", "s390x", base=["base"])


def test_where_no_mirror_is_known_the_error_says_what_to_set(
    debian: Callable[..., Debian], tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="TASKIMAGE_DEBIAN_MIRROR"):
        pinned(debian(mirrors=(), apt_root=tmp_path))


def test_the_solver_speaks_through_the_door(debian: Callable[..., Debian], archive: Archive) -> None:
    archive.publish("prime-updates", package("tool", "2", Depends="gone"))
    with pytest.raises(CannotBuild, match="tool 2 depends on 'gone'"):
        pinned(debian())


# -- hostile or broken mirrors --------------------------------------------------------------------------


def spoil_signature(archive: Archive) -> None:
    archive.publish("prime-updates", package("lib", "9"), key=Tsk.generate("Nobody <nobody@example.org>"))


def spoil_identity(archive: Archive) -> None:
    archive.mirror.write(
        "dists/prime-security/InRelease", (archive.mirror.root / "dists/prime/InRelease").read_bytes()
    )


def spoil_time(archive: Archive) -> None:
    archive.publish("prime-updates", package("lib", "9"), until=NOW - timedelta(minutes=1))


def spoil_packages(archive: Archive) -> None:
    for path in (archive.mirror.root / "dists/prime/main/binary-amd64/by-hash/SHA256").iterdir():
        path.write_bytes(path.read_bytes()[::-1])


def spoil_size(archive: Archive) -> None:
    archive.publish("prime", package("base", "1"), packed={".xz": lzma.compress(b"x" * 5_000_000, preset=0)})


def spoil_end(archive: Archive) -> None:
    cut = lzma.compress(package("base", "1").encode())[:-8]
    archive.publish("prime", package("base", "1"), packed={".xz": cut})


def spoil_format(archive: Archive) -> None:
    archive.publish("prime", package("base", "1"), packed={".xz": b"not xz" * 9})


def spoil_release(archive: Archive) -> None:
    archive.mirror.write("dists/prime/InRelease", b"-" * (5 << 20))


SPOILED: dict[Callable[[Archive], None], str] = {
    spoil_signature: r"dists/prime-updates/InRelease: bad signature: .* it names [0-9a-f]{16,}",
    spoil_identity: r"signed for 'prime' \(stable\), wanted 'prime-security'",
    spoil_time: r"'prime-updates' was valid until",
    spoil_packages: r"digest is sha256:",
    spoil_size: r"does not unpack to the \d+ bytes that are signed for",
    spoil_end: r"does not unpack to the \d+ bytes that are signed for",
    spoil_format: r"not an xz file",
    spoil_release: r"more than the \d+ bytes",
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_mirror_that_lies_is_refused(
    debian: Callable[..., Debian], archive: Archive, tmp_path: Path, spoil: Callable[[Archive], None]
) -> None:
    """Nothing of it is used, and nothing half-made stays in the store."""
    spoil(archive)
    with pytest.raises(IntegrityError, match=SPOILED[spoil]):
        pinned(debian())
    home = tmp_path / "home"
    assert not [path for path in (home / "tmp").rglob("*") if path.suffix != ".lock"]
    archive.publish_all()
    assert pinned(debian()) == EXPECTED


def test_an_index_past_its_time_can_be_allowed(debian: Callable[..., Debian], archive: Archive) -> None:
    spoil_time(archive)
    assert pinned(debian(allow_expired=True))[0].startswith("lib=9 ")


def test_the_time_is_what_the_caller_says(debian: Callable[..., Debian], archive: Archive) -> None:
    spoil_time(archive)
    assert pinned(debian(now=NOW - timedelta(hours=1)))[0].startswith("lib=9 ")


@pytest.mark.parametrize(
    "spoil", [spoil_signature, spoil_identity, spoil_time, spoil_packages, spoil_release]
)
def test_after_a_mirror_that_lies_the_next_is_asked(
    debian: Callable[..., Debian],
    archive: Archive,
    mirrors: Callable[[], Mirror],
    spoil: Callable[[Archive], None],
) -> None:
    """And a person hears of it."""
    good = Archive(mirrors(), archive.key)
    good.publish_all()
    spoil(archive)
    heard: list[Event] = []
    assert pinned(debian(archive.mirror.url, good.mirror.url, listener=heard.append)) == EXPECTED
    assert sum(isinstance(event, Warned) for event in heard) == 1


def test_a_mirror_that_does_not_answer_is_passed_over(
    debian: Callable[..., Debian], archive: Archive
) -> None:
    assert pinned(debian("http://127.0.0.1:9", archive.mirror.url)) == EXPECTED


def test_no_answer_is_not_taken_for_absence(debian: Callable[..., Debian], archive: Archive) -> None:
    """A mirror has no suite, the other cannot say: that is unknown, not absent."""
    with pytest.raises(Unreachable):
        debian(archive.mirror.url, "http://127.0.0.1:9").resolve("rolling", "amd64", base=["base"])


def test_a_mirror_in_the_middle_of_an_update_is_worth_a_retry(
    debian: Callable[..., Debian], archive: Archive
) -> None:
    for path in (archive.mirror.root / "dists/prime/main/binary-amd64/by-hash/SHA256").iterdir():
        path.unlink()
    with pytest.raises(Unreachable, match="not there yet"):
        pinned(debian())


def test_a_changed_package_is_refused_and_taken_from_the_next_mirror(
    debian: Callable[..., Debian], archive: Archive, mirrors: Callable[[], Mirror]
) -> None:
    pins = debian().resolve("prime", "amd64", base=["base"]).base
    archive.mirror.write("pool/main/base_1.deb", b"base 2")
    with pytest.raises(IntegrityError, match="wanted 6 bytes with digest"):
        debian().fetch(pins, moved=unheard)
    good = mirrors()
    good.write("pool/main/base_1.deb", b"base 1")
    debian(archive.mirror.url, good.url).fetch(pins, moved=unheard)


def test_a_package_that_is_gone_is_told(debian: Callable[..., Debian], archive: Archive) -> None:
    pins = debian().resolve("prime", "amd64", base=["base"]).base
    (archive.mirror.root / "pool/main/base_1.deb").unlink()
    with pytest.raises(TaskImageError, match=r"base_1\.deb is not there"):
        debian().fetch(pins, moved=unheard)
