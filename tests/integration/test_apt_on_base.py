"""Packages on a base image, beside apt and dpkg in a chroot that has exactly the base's files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
from tests.chroots import (
    content,
    entries_of,
    folder_links,
    in_chroot,
    is_same,
    make_chroot,
    on_disk,
    parents,
)

from taskimage.adapters.debian import Debian
from taskimage.adapters.debian.mirrors import Mirrors
from taskimage.adapters.debian.signature import SHIPPED
from taskimage.adapters.http import Http
from taskimage.adapters.settings import Settings
from taskimage.adapters.store import Store
from taskimage.model.base import BaseFacts
from taskimage.model.errors import CannotBuild
from taskimage.model.oci import Platform
from taskimage.transform.deb import Deb, read_deb
from taskimage.transform.deb.layout import Layout
from taskimage.transform.effects.emulation import Effects, effects, effects_before
from taskimage.transform.entry import Entry
from taskimage.transform.layer import arranged
from taskimage.verbs.scripts import Scripts
from taskimage.verbs.tools import Tools

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("mmdebstrap") is None, reason="the oracle is a chroot"
    ),
]

SUITES = ("bookworm", "trixie")
# Some are in the base already; some need newer versions of what it has.
REQUESTS = """
    curl
    git
    python3-numpy
    libgl1
    gcc
    ffmpeg
    libssl-dev
    default-jre
    r-base-core
    libc6 bash perl zlib1g
    apt systemd sudo
    curl git libgl1 default-jre build-essential
"""
NAMES = [tuple(line.split()) for line in REQUESTS.strip().splitlines()]
CASES = [(suite, names) for suite in SUITES for names in NAMES] + [("bookworm", ("openjdk-17-jre-headless",))]
# Whole trees are compared for these: new accounts and alternatives, certificates, upgrades, login shells, and scripts
# that are run.
INSTALLED = {
    "bookworm": ("openjdk-17-jre-headless", "libc6-dev", "openssh-client", "vim-tiny", "php-cli", "man-db"),
    "trixie": ("git", "libssl3t64", "zsh", "dbus", "tzdata"),
}
RUN = {
    "bookworm": {"man-db", "php8.2-cli", "php8.2-common", "php8.2-opcache", "php8.2-readline"},
    "trixie": set[str](),
}


@dataclass(frozen=True)
class Base:
    """A base image: its files in ``root``, which has lists of packages for apt, and what is known of them."""

    root: Path
    suite: str
    facts: BaseFacts
    entries: tuple[Entry, ...]

    def simulate(self, names: tuple[str, ...]) -> dict[str, str]:
        """What apt would install and upgrade."""
        done = in_chroot(self.root, "apt-get", "-s", "--no-install-recommends", "install", *names)
        if done.returncode or re.findall(r"^Remv ", done.stdout, re.MULTILINE):
            return {}
        return dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Base]:
    """A base of each suite, as old as the release, whose sources have its updates and security fixes too."""

    @cache
    def made(suite: str) -> Base:
        root = tmp_path_factory.mktemp(suite) / "root"
        mirrors = Mirrors.find((), Path("/etc/apt"))
        make_chroot(
            root, suite, "--variant=minbase",
            sources=[f"deb [signed-by={SHIPPED}] {mirrors.main[0]} {suite} main"],
        )  # fmt: skip
        lines = [
            f"deb {roots[0]} {suite}{part} main\n"
            for roots, part in (
                (mirrors.main, ""),
                (mirrors.main, "-updates"),
                (mirrors.security, "-security"),
            )
        ]
        (root / "etc/apt/sources.list").write_text("".join(lines))
        entries = entries_of(root)
        assert in_chroot(root, "apt-get", "-o", "Acquire::Languages=none", "update").returncode == 0
        return Base(root, suite, facts_of(root), entries)

    return made


def facts_of(root: Path) -> BaseFacts:
    """What is known of a base whose files are in ``root``."""
    release = re.findall(r'^(\w+)="?(.*?)"?$', (root / "etc/os-release").read_text(), re.MULTILINE)
    keyrings = root.glob("etc/apt/trusted.gpg.d/*")
    return BaseFacts(
        os_release=dict(release),
        links=folder_links(root),
        texts={path: (root / path).read_text() for path in ("etc/apt/sources.list", "var/lib/dpkg/status")},
        keyrings={str(path.relative_to(root)): path.read_bytes() for path in keyrings},
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize(("suite", "names"), CASES, ids=str)
def test_chooses_what_apt_chooses_in_the_base(
    suite: str, names: tuple[str, ...], base: Callable[[str], Base], store: Store
) -> None:
    """The same new packages, the same upgrades, at the same versions."""
    pins = Debian(store, Http()).on(base(suite).facts).resolve("amd64", apt=names)
    assert {pin.package: pin.version for pin in pins} == base(suite).simulate(names)


# Where a tree differs from the chroot's on purpose: pattern of the path -> why.
CHOSEN: Mapping[str, str] = {
    r"(dev|proc|sys|run|tmp)(/.*)?": "made by whoever runs the image",
    r"var/(cache|lib|log)/apt(/.*)?|var/log/dpkg\.log": "apt's own notes",
    r"usr/share/(doc|doc-base|info|lintian|locale|man|gnome/help)(/.*)?": "documentation is left out",
    r"(etc/alternatives|var/lib/dpkg/alternatives)/.*\.\w*\d(\.gz)?": "no manual pages, so no links to them",
    r".*/__pycache__(/.*)?": "bytecode is made by the compiler of the image",
    r"var/lib/dpkg/info/.*\.(list|md5sums)": "they name the files that are in the image",
    r"var/lib/dpkg/(lock|lock-frontend|.*-old|triggers/Lock)": "dpkg makes them when it runs",
    r"etc/(passwd|group|shadow|gshadow)-|etc/\.pwd\.lock": "left over from changes",
    r"etc/g?shadow": "a password has no date of its last change",
    r"var/cache/(debconf|ldconfig|man)/.*|var/lib/python(/.*)?|var/log/alternatives\.log": "notes for later",
    r"etc/rc.\.d(/.*)?|etc/systemd/.*|var/lib/systemd(/.*)?": "no init system runs in an image",
    r"root": "writable for group 0",
    r"etc/ssl/certs/java/cacerts": "the same certificates with another date, in another order",
    r"var/lib/dpkg/triggers/File": "the same lines in another order",
    r"var/lib/dbus/machine-id": "it tells one machine from all others",
}


@dataclass(frozen=True)
class Above:
    """The same packages on the same base: installed by apt in ``chroot``, and as ``entries``."""

    suite: str
    chroot: Path
    entries: Mapping[str, Entry]
    unknown: frozenset[str]


@pytest.fixture(scope="module", params=SUITES)
def above(
    request: pytest.FixtureRequest,
    base: Callable[[str], Base],
    store: Store,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Above]:
    below = base(request.param)
    chroot = tmp_path_factory.mktemp("installed") / "root"
    install_with_apt(below.root, chroot, INSTALLED[below.suite])
    debian = Debian(store, Http()).on(below.facts)
    pins = debian.resolve("amd64", apt=INSTALLED[below.suite])
    debian.fetch(pins, moved=lambda _: None)
    layout = Layout(below.facts.links)
    with tempfile.TemporaryFile() as spool:
        debs = []
        for pin in pins:
            with store.input_path(pin.digest).open("rb") as stream:
                debs.append(read_deb(stream, spool, where=pin.package, layout=layout))
        amd64 = Platform.parse("linux/amd64")
        follow = partial(effects, debs, platform=amd64, users=(), below=below.entries)
        made = effects_before(follow, waived=())
        entries = {entry.path: entry for entry in below.entries}
        for deb in debs:
            lay(deb.entries, entries)
        with run_scripts(store, below, debs, made) if made.unknown else nullcontext(made.entries) as top:
            lay(top, entries)
            yield Above(below.suite, chroot, entries, frozenset(one.package for one in made.unknown))


@contextmanager
def run_scripts(store: Store, below: Base, debs: Sequence[Deb], made: Effects) -> Iterator[tuple[Entry, ...]]:
    """What lies above packages on a base when the scripts that are not followed have run."""
    scripts = Scripts(
        tools=Tools(Settings(home=store.home)),
        platform=Platform.parse("linux/amd64"),
        debs=debs,
        unfollowed=made.unknown,
        waived=(),
        stopped=lambda: False,
    )
    there = {entry.path for entries in (below.entries, *(deb.entries for deb in debs)) for entry in entries}
    with scripts.run([arranged([below.entries])], there, made.entries) as entries:
        yield entries


def install_with_apt(base: Path, root: Path, names: Sequence[str]) -> None:
    subprocess.run(["cp", "-a", base, root], check=True)
    command = [
        "bwrap", "--cap-add", "ALL", "--bind", str(root), "/", "--proc", "/proc", "--dev", "/dev",
        "--unsetenv", "TMPDIR", "--setenv", "DEBIAN_FRONTEND", "noninteractive", "--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin",
        "apt-get", "-y", "install", "--no-install-recommends", *names,
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def lay(layer: Iterable[Entry], entries: dict[str, Entry]) -> None:
    """Put a layer above ``entries`` (OCI image-spec, layer.md)."""
    for entry in layer:
        folder, _, name = entry.path.rpartition("/")
        if name.startswith(".wh."):
            victim = f"{folder}/{name.removeprefix('.wh.')}".lstrip("/")
            for path in [path for path in entries if f"{path}/".startswith(f"{victim}/")]:
                del entries[path]
        else:
            entries[entry.path] = entry


def is_chosen(path: str) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in CHOSEN)


def test_the_same_paths_are_there(above: Above) -> None:
    there = on_disk(above.chroot)
    implied = {parent for path in above.entries for parent in parents(path)}
    ours = above.entries.keys() | implied
    missing = sorted(path for path in there.keys() - ours if not is_chosen(path))
    extra = sorted(path for path in above.entries.keys() - there.keys() if not is_chosen(path))
    assert (missing, extra) == ([], [])


def test_modes_owners_links_and_bytes_are_the_same(above: Above) -> None:
    """Among them dpkg's status, passwd, group, the alternatives, the certificates and the linker's cache."""
    there = on_disk(above.chroot)
    compared = [
        (entry, above.chroot / path)
        for path, entry in above.entries.items()
        if path in there and entry.kind != "hardlink" and not is_chosen(path)
    ]
    assert [entry.path for entry, place in compared if not is_same(entry, place)] == []
    files = [(entry, place) for entry, place in compared if entry.kind == "file"]
    assert [entry.path for entry, place in files if content(entry) != place.read_bytes()] == []


def test_scripts_are_run_where_they_are_not_followed_alone(above: Above) -> None:
    assert above.unknown == RUN[above.suite]


def test_what_would_take_a_package_of_the_base_away_is_refused(
    base: Callable[[str], Base], store: Store
) -> None:
    """apt would remove it, and ask before it does."""
    debian = Debian(store, Http()).on(base("bookworm").facts)
    with pytest.raises(CannotBuild, match=r"libelogind0 \S+ conflicts with 'libsystemd0'") as caught:
        debian.resolve("amd64", apt=["libelogind0"])
    assert "the base image has libsystemd0" in str(caught.value.hint)
