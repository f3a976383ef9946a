"""Mirrors come from the settings, or from those of the host's apt sources that are Debian's."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskimage.adapters.debian.mirrors import Mirrors, archive_of
from taskimage.model.errors import BadInput, NotFound

DEB822 = """\
# the image's own
Types: deb
URIs: http://main.example/debian
Suites: bookworm bookworm-updates
# a comment in between
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://sec.example/debian-security/
Suites: bookworm-security
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
ONE_LINE = """\
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://main.example/debian bookworm main # own
deb-src http://src.example/debian bookworm main
deb http://sec.example/debian-security bookworm-security main
# deb http://off.example/debian bookworm main
deb http://backports.example/debian bookworm-backports main
"""


def apt_root(tmp_path: Path, **files: str) -> Path:
    """A folder like /etc/apt; ``debian_sources`` is written to sources.list.d/debian.sources."""
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        target = "sources.list" if name == "sources_list" else f"sources.list.d/{name.replace('_', '.')}"
        (tmp_path / target).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["sources_list", "debian_list", "debian_sources"])
def test_both_formats_of_sources_are_read(tmp_path: Path, name: str) -> None:
    root = apt_root(tmp_path, **{name: DEB822 if name.endswith("sources") else ONE_LINE})
    mirrors = Mirrors.find((), root)
    assert mirrors == Mirrors(("http://main.example/debian",), ("http://sec.example/debian-security",))


def test_a_host_of_another_release_has_the_same_mirrors(tmp_path: Path) -> None:
    root = apt_root(tmp_path, debian_sources=DEB822.replace("bookworm", "trixie"))
    assert Mirrors.find((), root).main == ("http://main.example/debian",)


@pytest.mark.parametrize(
    "text",
    [
        DEB822.replace("Types: deb", "Enabled: no\nTypes: deb"),
        DEB822.replace("bookworm", "jammy"),
        DEB822.replace("Components: main", "Components: stable"),
        DEB822.replace("http://", "cdrom:"),
        DEB822.replace("Types: deb\n", "Types: deb-src\n").replace("deb deb-src", "deb-src"),
        "",
    ],
    ids=["disabled", "another distribution", "no main", "no http", "sources only", "empty"],
)
def test_entries_that_are_not_debian_packages_over_http_are_passed_over(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotFound) as caught:
        Mirrors.find((), apt_root(tmp_path, debian_sources=text))
    assert caught.value.hint is not None
    assert "TASKIMAGE_DEBIAN_MIRROR" in caught.value.hint


def test_no_apt_at_all_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="TASKIMAGE_DEBIAN_MIRROR"):
        Mirrors.find((), tmp_path / "nothing")


def test_others_that_use_debians_suite_names_are_not_taken_for_debian(tmp_path: Path) -> None:
    """Vendors publish for 'bookworm main' too, signed with keys of their own."""
    vendor = "deb [signed-by=/etc/apt/keyrings/vendor.gpg] http://vendor.example/apt bookworm main\n"
    root = apt_root(tmp_path, a_list=vendor, debian_sources=DEB822)
    assert Mirrors.find((), root).main == ("http://main.example/debian",)


def test_without_a_security_entry_the_main_mirror_is_asked(tmp_path: Path) -> None:
    root = apt_root(tmp_path, sources_list="deb http://all.example/debian stable main")
    assert Mirrors.find((), root).security == ("http://all.example/debian",)


def test_settings_come_before_the_host(tmp_path: Path) -> None:
    """Each mirror serves both archives, those first that are named for one."""
    settings = ("http://a.example/debian/", "https://a.example/debian-security", "http://b.example/debian")
    mirrors = Mirrors.find(settings, apt_root(tmp_path, debian_sources=DEB822))
    a, security, b = (url.rstrip("/") for url in settings)
    assert mirrors == Mirrors((a, b, security), (security, a, b))


@pytest.mark.parametrize(
    "setting", ["ftp://a.example/debian", "a.example/debian", "file:///srv", "http:///debian"]
)
def test_a_setting_that_is_no_url_is_refused(setting: str) -> None:
    with pytest.raises(BadInput, match="not a Debian mirror"):
        Mirrors.find((setting,), Path("/nowhere"))


def test_a_refused_setting_does_not_show_its_password() -> None:
    with pytest.raises(BadInput) as caught:
        Mirrors.find(("ftp://me:secret@a.example/debian",), Path("/nowhere"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("suite", "archive"),
    [("bookworm", "debian"), ("bookworm-updates", "debian"), ("bookworm-security", "debian-security")],
)
def test_the_archive_follows_from_the_suite(suite: str, archive: str) -> None:
    assert archive_of(suite) == archive
