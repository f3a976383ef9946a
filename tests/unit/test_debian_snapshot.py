"""What no mirror has any more is looked for in a snapshot, by date or by digest."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.case import Case
from tests.sources import Mirror

from taskimage.adapters.debian.snapshot import Snapshot
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.lock import DebPin

PIN = DebPin(
    package="tool", version="1.0+x", architecture="amd64", archive="debian-security", suite="bookworm-security",
    path="pool/main/t/tool/tool_1.0+x_amd64.deb", size=1, digest=Digest.of(b""),
)  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("http://s.example", "http://s.example/pool/main/t/tool/tool_1.0%2Bx_amd64.deb"),
        ("http://s.example/", "http://s.example/pool/main/t/tool/tool_1.0%2Bx_amd64.deb"),
        (
            "https://s.example/archive/{archive}/20261101T000000Z/",
            "https://s.example/archive/debian-security/20261101T000000Z/pool/main/t/tool/tool_1.0%2Bx_amd64.deb",
        ),
        ("https://s.example/{archive}?file={path}", None),
        ("https://s.example/file/{sha256}", f"https://s.example/file/{PIN.digest.hex}"),
    ],
)
def test_a_setting_says_where_a_package_is(setting: str, address: str | None) -> None:
    wanted = address or "https://s.example/debian-security?file=pool/main/t/tool/tool_1.0%2Bx_amd64.deb"
    assert Snapshot.parse(setting).of(PIN) == wanted


@pytest.mark.parametrize(
    "setting",
    [
        "s.example",
        "file:///srv",
        "http://",
        "http://s.example/{date}",
        "http://s.example/{",
        "http://s.example/{}",
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_accepted(setting: str) -> None:
    with pytest.raises(BadInput, match="wanted a URL"):
        Snapshot.parse(setting)


def test_a_password_in_a_bad_address_is_not_shown() -> None:
    with pytest.raises(BadInput) as caught:
        Snapshot.parse("http://me:secret@s.example/{date}")
    assert "secret" not in str(caught.value)


@pytest.fixture
def gone(case: Case, tmp_path: Path) -> tuple[Case, Mirror, bytes]:
    """A locked spec whose package is on no mirror any more; a server that has nothing yet; the package."""
    case.lock()
    path = case.mirror.root / "pool/main/tool_1.0-1.deb"
    body = path.read_bytes()
    path.unlink()
    (tmp_path / "snapshot").mkdir()
    return case, Mirror(tmp_path / "snapshot"), body


@pytest.mark.parametrize("place", ["{archive}/20261101T000000Z", "file/{sha256}"])
def test_a_package_that_no_mirror_has_comes_from_the_snapshot(
    gone: tuple[Case, Mirror, bytes], place: str
) -> None:
    case, snapshot, body = gone
    path = f"{place}/{{path}}" if "archive" in place else place
    snapshot.write(
        path.format(archive="debian", path="pool/main/tool_1.0-1.deb", sha256=Digest.of(body).hex), body
    )
    try:
        assert "hint: mirrors keep the newest versions only" in case.fails(3)
        case.build(TASKIMAGE_DEBIAN_SNAPSHOT=f"{snapshot.url}/{place}")
    finally:
        snapshot.close()
    assert len(snapshot.asked) == 1, "what a mirror has is not asked of it"


def test_other_bytes_of_the_snapshot_are_refused(gone: tuple[Case, Mirror, bytes]) -> None:
    case, snapshot, body = gone
    snapshot.write("pool/main/tool_1.0-1.deb", body[:-1] + b"?")
    try:
        case.fails(3, TASKIMAGE_DEBIAN_SNAPSHOT=snapshot.url)
    finally:
        snapshot.close()


def test_a_locked_package_stays_while_the_snapshot_has_it(gone: tuple[Case, Mirror, bytes]) -> None:
    case, snapshot, body = gone
    snapshot.write("pool/main/tool_1.0-1.deb", body)
    case.publish_versions({"tool": "2.0-1", "other": "1.0-1"})
    case.spec(apt_packages=["tool", "other"])
    try:
        code, _, err = case.run("lock", str(case.spec_path), TASKIMAGE_DEBIAN_SNAPSHOT=snapshot.url)
    finally:
        snapshot.close()
    assert (code, "+ linux/amd64 deb other 1.0-1" in err, "deb tool" in err) == (0, True, False), err
