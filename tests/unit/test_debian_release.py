"""A release file is held against what was asked for, and against the time."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from taskimage.adapters.debian.release import Release
from taskimage.model.errors import IntegrityError, NotFound

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
HEX = "ab" * 32
TEXT = f"""\
Origin: Debian
Suite: oldstable
Codename: bookworm
Date: Sat, 21 Nov 2026 00:53:02 UTC
Valid-Until: Sat, 28 Nov 2026 00:53:02 UTC
Acquire-By-Hash: yes
MD5Sum:
 0ed6d4c8891eb86358b94bb35d9e4da4  9 main/binary-amd64/Packages.xz
SHA256:
 {HEX}       90 main/binary-amd64/Packages
 {HEX}       30 main/binary-amd64/Packages.xz
 {HEX}       90 main/binary-s390x/Packages
 {HEX}       30 main/binary-s390x/Packages.xz
"""


def release(text: str = TEXT) -> Release:
    return Release.parse(text, where="here")


@pytest.mark.parametrize("suite", ["bookworm", "oldstable"])
def test_a_suite_is_known_by_its_codename_and_its_state(suite: str) -> None:
    release().check(suite, now=NOW, allow_expired=False)


@pytest.mark.parametrize("suite", ["trixie", "bookworm-updates", "stable"])
def test_another_suite_in_its_place_is_refused(suite: str) -> None:
    with pytest.raises(IntegrityError, match=f"signed for 'bookworm'.*wanted '{suite}'"):
        release().check(suite, now=NOW, allow_expired=False)


def test_an_index_past_its_time_is_refused_unless_that_is_allowed() -> None:
    late = datetime(2026, 11, 29, tzinfo=timezone.utc)
    with pytest.raises(IntegrityError, match=r"valid until 2026-11-28 00:53 UTC"):
        release().check("bookworm", now=late, allow_expired=False)
    release().check("bookworm", now=late, allow_expired=True)


def test_an_index_that_names_no_time_does_not_expire() -> None:
    text = "\n".join(line for line in TEXT.splitlines() if not line.startswith("Valid"))
    release(text).check("bookworm", now=datetime(2100, 1, 1, tzinfo=timezone.utc), allow_expired=False)


def test_the_list_of_packages_is_that_of_sha256() -> None:
    packed, plain = release().packages("amd64")
    assert (packed.path, packed.size, packed.digest.hex) == ("main/binary-amd64/Packages.xz", 30, HEX)
    assert plain.path == "main/binary-amd64/Packages"
    assert release().unpacked_size(packed) == release().unpacked_size(plain) == 90


def test_what_gzip_made_comes_before_what_xz_made() -> None:
    """It is larger, and unpacked in a sixth of the time."""
    both = TEXT.replace(
        f" {HEX}       30 main/binary-amd64/Packages.xz\n",
        f" {HEX} 30 main/binary-amd64/Packages.xz\n {HEX} 40 main/binary-amd64/Packages.gz\n",
    )
    endings = [listed.path.rpartition("Packages")[2] for listed in release(both).packages("amd64")]
    assert endings == [".gz", ".xz", ""]


def test_an_unknown_architecture_is_told_with_those_that_there_are() -> None:
    with pytest.raises(NotFound, match=r"'riscv64'; it has amd64, s390x"):
        release().packages("riscv64")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SHA256:", "SHA1:"),
        ("Date: Sat, 21 Nov", "Date: someday"),
        (" 90 ", " many "),
        (HEX, "abc"),
        (f"{HEX}  ", f"{HEX} x "),
    ],
)
def test_what_cannot_be_read_is_refused(old: str, new: str) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        release(TEXT.replace(old, new))


@pytest.mark.parametrize(("state", "served"), [("stable", True), ("oldstable", True), ("unstable", False)])
def test_stable_suites_are_served_with_updates(state: str, served: bool) -> None:  # noqa: FBT001
    assert release(TEXT.replace("oldstable", state)).is_served is served
