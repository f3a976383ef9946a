"""Packages unpacked and their scripts followed, against the same packages installed by dpkg in a chroot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.chroots import content, in_chroot, is_same, make_chroot, on_disk, parents

from taskimage.model.oci import Platform
from taskimage.transform.deb import Deb, read_deb
from taskimage.transform.effects.emulation import Effects, byte_compiled, effects
from taskimage.transform.entry import Entry

pytestmark = pytest.mark.integration

PACKAGES = (
    "ca-certificates", "curl", "default-jre-headless", "ffmpeg", "gcc", "ghostscript", "git", "git-lfs", "graphviz",
    "imagemagick", "libgl1", "libopenblas0", "locales", "netbase", "openssh-client", "procps", "python3", "sudo",
    "tdsodbc", "tzdata", "vim-tiny",
)  # fmt: skip

# Where an image differs from a chroot on purpose, or in what is not served yet: pattern of the path -> why.
CHOSEN: Mapping[str, str] = {
    r"(dev|proc|sys|run|tmp)/.*": "made by whoever runs the image",
    r"etc/(fstab|hostname|resolv\.conf)|etc/apt/.*|var/(cache|lib|log)/apt(/.*)?|var/lib/dpkg/arch": "made by the tool that made the chroot",
    r"usr/share/(doc|doc-base|info|lintian|locale|man|gnome/help)(/.*)?": "documentation is left out",
    r"(etc/alternatives|var/lib/dpkg/alternatives)/.*\.\w*\d(\.gz)?": "no manual pages, so no links to them",
    r".*/__pycache__(/.*)?": "bytecode is made by the compiler of the image",
    r"var/lib/dpkg/info/.*\.(list|md5sums)": "they name the files that are in the image",
    r"var/lib/dpkg/(lock|lock-frontend|.*-old|triggers/Lock|diversions|info)": "dpkg makes them when it runs, or keeps a link of its own",
    r"etc/(passwd|group|shadow|gshadow)-|etc/\.pwd\.lock": "left over from changes",
    r"etc/g?shadow": "a password has no date of its last change",
    r"var/cache/debconf/.*|var/lib/python(/.*)?": "answers and notes for later upgrades",
    r"etc/rc.\.d/.*|etc/systemd/.*|var/lib/systemd/.*": "no init system runs in an image",
    r"root|var/local": "the same in every image; /root is writable for group 0",
    r"etc/timezone": "still written where tzdata no longer does",
    r"etc/sub[ug]id": "no user has other users of its own",
    r"etc/shells": "the same shells in the order of a fresh installation",
    r"var/lib/dpkg/triggers/File": "the same lines in another order",
    r"etc/ssl/certs/java/cacerts": "the same certificates with another date, in another order",
    r"etc/locale\.gen|etc/default/locale": "the same locales, none chosen, below words of our own",
    r"var/lib/pam(/.*)?|var/lib/ucf(/.*)?": "notes for later upgrades",
    r"usr/share/mime/.*|.*/gdk-pixbuf-2\.0/.*/loaders\.cache": "caches for desktops",
    r"usr/share/fonts/X11/.*/(fonts|encodings)\.(dir|alias|scale)": "for X servers older than fontconfig",
    r"var/cache/fontconfig/.*|var/log/fontconfig\.log|.*/gio/modules/giomodule\.cache": "made by who needs them",
    r".*/gschemas\.compiled": "no schemas are there",
}  # fmt: skip


@dataclass(frozen=True)
class Installed:
    """The same packages, installed by dpkg in ``chroot``, and as ``debs`` and ``made`` have them."""

    chroot: Path
    debs: tuple[Deb, ...]
    made: Effects

    @property
    def entries(self) -> dict[str, Entry]:
        return {
            entry.path: entry
            for entries in (*(deb.entries for deb in self.debs), self.made.entries)
            for entry in entries
        }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    chroot = tmp_path_factory.mktemp("chroot") / "root"
    suite = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    assert suite is not None
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    make_chroot(
        chroot, suite[1], "--variant=essential", "--skip=essential/unlink,cleanup/apt",
        f"--include={','.join(PACKAGES)}",
        sources=[str(path) for path in sources if path.exists() and suite[1] in path.read_text()],
    )  # fmt: skip
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout
    platform = Platform.parse(f"linux/{architecture.strip()}")
    with tempfile.TemporaryFile() as spool:
        debs = []
        for path in sorted(chroot.glob("var/cache/apt/archives/*.deb")):
            with path.open("rb") as stream:
                debs.append(read_deb(stream, spool, where=path.name))
        yield Installed(chroot, tuple(debs), effects(debs, platform=platform, users=()))


@pytest.fixture(scope="module")
def unpacked(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The entries as files."""
    root = tmp_path_factory.mktemp("unpacked")
    root.chmod(0o755)
    hard_links = []
    for path, entry in sorted(installed.entries.items()):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "dir":
            place.mkdir(exist_ok=True)
        elif entry.kind == "symlink":
            place.symlink_to(entry.target)
            continue
        elif entry.kind == "hardlink":
            hard_links.append((place, root / entry.target))
            continue
        else:
            place.write_bytes(content(entry))
        os.chown(place, entry.uid, entry.gid)
        place.chmod(entry.mode)
    for place, target in hard_links:
        place.hardlink_to(target)
    return root


def chosen(path: str) -> str | None:
    return next((why for pattern, why in CHOSEN.items() if re.fullmatch(pattern, path)), None)


def test_the_same_paths_are_there(installed: Installed) -> None:
    there = on_disk(installed.chroot)
    ours = installed.entries
    implied = {parent for path in ours for parent in parents(path)}
    missing = [path for path in there if path not in ours and path not in implied and chosen(path) is None]
    extra = [path for path in ours if path not in there and chosen(path) is None]
    assert (missing, extra) == ([], [])


def test_modes_owners_and_links_are_the_same(installed: Installed) -> None:
    ours = installed.entries
    wrong = []
    for path in on_disk(installed.chroot):
        entry = ours.get(path)
        if entry is None or entry.kind == "hardlink" or chosen(path):
            continue
        if not is_same(entry, installed.chroot / path):
            wrong.append(path)
    assert wrong == []


def test_files_have_the_same_bytes(installed: Installed) -> None:
    """Among them ld.so.cache, the certificate bundle, passwd, group, dpkg's status and the alternatives."""
    wrong = [
        path
        for path, entry in installed.entries.items()
        if entry.kind == "file"
        and not chosen(path)
        and content(entry) != (installed.chroot / path).read_bytes()
    ]
    # git-lfs writes its lines in another order each time.
    assert set(wrong) <= {"etc/gitconfig"}


def test_what_git_lfs_tells_git_is_told_in_some_order(installed: Installed) -> None:
    ours, there = (
        content(installed.entries["etc/gitconfig"]),
        (installed.chroot / "etc/gitconfig").read_bytes(),
    )
    assert sorted(ours.splitlines()) == sorted(there.splitlines())


def test_every_script_is_understood(installed: Installed) -> None:
    assert installed.made.unknown == ()


def test_sources_that_scripts_compile_are_found(installed: Installed) -> None:
    ours = {entry.path.removesuffix(".py") for entry in byte_compiled(installed.debs)}
    theirs = {
        re.sub(r"__pycache__/(.*)\.cpython-\d+$", r"\1", path.removesuffix(".pyc"))
        for path in on_disk(installed.chroot)
        if path.endswith(".pyc") and path.startswith("usr/lib/python3")
    }
    assert theirs - ours == set()


def test_the_images_own_ldconfig_writes_the_same_cache(unpacked: Path) -> None:
    result = in_chroot(unpacked, "/usr/sbin/ldconfig", "-X", "-C", "/tmp/cache")
    assert result.returncode == 0, result.stderr
    assert (unpacked / "tmp/cache").read_bytes() == (unpacked / "etc/ld.so.cache").read_bytes()


def test_the_images_own_dpkg_finds_nothing_wrong(unpacked: Path) -> None:
    assert in_chroot(unpacked, "dpkg", "--audit").stdout == ""
    assert in_chroot(unpacked, "dpkg", "--verify").stdout == ""


def test_the_images_own_tools_accept_certificates_and_alternatives(unpacked: Path) -> None:
    verified = in_chroot(
        unpacked,
        "sh",
        "-c",
        "for c in /etc/ssl/certs/*.pem; do openssl verify -CApath /etc/ssl/certs $c; done",
    )
    assert re.findall(r"unable to get.*", verified.stdout + verified.stderr) == []
    assert (
        "best version is /usr/bin/mawk"
        in in_chroot(unpacked, "update-alternatives", "--display", "awk").stdout
    )
    assert in_chroot(
        unpacked, "sh", "-c", "awk 'BEGIN { print 1 }'; vi --version | head -1"
    ).stdout.startswith("1\nVIM")


def test_java_reads_its_keystore(unpacked: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("java needs /proc, and so bubblewrap")
    listed = subprocess.run(
        [
            "bwrap", "--bind", str(unpacked), "/", "--proc", "/proc", "--dev", "/dev", "keytool", "-list", "-keystore",
            "/etc/ssl/certs/java/cacerts", "-storepass", "changeit",
        ],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    names = list((unpacked / "usr/share/ca-certificates/mozilla").iterdir())
    assert f"contains {len(names)} entries" in listed


def test_a_large_package_takes_little_memory(installed: Installed) -> None:
    largest = max(installed.chroot.glob("var/cache/apt/archives/*.deb"), key=lambda path: path.stat().st_size)
    tracemalloc.start()
    with largest.open("rb") as stream, tempfile.TemporaryFile() as spool:
        read_deb(stream, spool, where=largest.name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
