"""Debian's own archives: the solver beside apt's, and the bytes that a resolution names."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from taskimage.adapters.debian import Debian
from taskimage.adapters.debian.mirrors import Mirrors
from taskimage.adapters.debian.signature import SHIPPED
from taskimage.adapters.http import Http
from taskimage.adapters.store import Store
from taskimage.model.errors import NotFound
from taskimage.model.lock import DebPin
from taskimage.transform.deb.version import sort_key
from taskimage.verbs.foresight import STABLE

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="the oracle is apt-get"),
]

BASE = [
    "base-files", "base-passwd", "bash", "dash", "coreutils", "tar", "gzip", "sed", "grep", "findutils",
    "libc-bin", "ca-certificates", "tzdata", "netbase",
]  # fmt: skip

# What people name in apt_packages, one request a line.
REQUESTS = """
    git
    curl
    wget
    ffmpeg
    libgl1
    build-essential
    openjdk-17-jre-headless
    graphviz
    libpq5
    libpq-dev
    gcc
    g++
    make
    cmake
    pkg-config
    jq
    vim-tiny
    nano
    unzip
    zip
    libsm6 libxext6
    libglib2.0-0
    tesseract-ocr
    poppler-utils
    imagemagick
    libopenblas0
    libopenblas-dev
    liblapack3
    libgomp1
    openssh-client
    rsync
    postgresql-client
    default-mysql-client
    default-libmysqlclient-dev
    libmagic1
    fonts-dejavu-core
    locales
    procps
    htop
    less
    sudo
    gnupg
    libhdf5-dev
    r-base-core
    nodejs
    npm
    python3-dev
    unixodbc-dev
    libsndfile1
    portaudio19-dev
    gdal-bin
    libgdal-dev
    chromium
    xvfb
    wkhtmltopdf
    default-jre
    libreoffice-writer
    pandoc
    texlive-latex-base
    octave
    proj-bin
    libspatialindex-dev
    swig
    gfortran
    nginx-light
    supervisor
    cron
    tini
    dumb-init
    awscli
    mpich
    libopenmpi-dev
    git ffmpeg libgl1 default-jre build-essential
"""
BOOKWORM = [tuple(line.split()) for line in REQUESTS.strip().splitlines()]
TRIXIE = [
    ("git",),
    ("ffmpeg",),
    ("build-essential",),
    ("libgdal-dev",),
    ("default-jre",),
    ("r-base-core",),
    ("nodejs",),
]
PYTHON = {"bookworm": "python3.11", "trixie": "python3.13"}
CASES = [("bookworm", names) for names in BOOKWORM] + [("trixie", names) for names in TRIXIE]


class Apt:
    """The real apt in a root of its own, where exactly ``base`` is installed."""

    def __init__(self, root: Path, suite: str, mirrors: Mirrors) -> None:
        self._root = root
        for folder in (
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "state/lists/partial",
            "cache/archives/partial",
        ):
            (root / folder).mkdir(parents=True)
        self._status = root / "state/status"
        self._status.touch()
        keyring = shutil.copy(SHIPPED, root / "keyring.gpg")
        lines = [
            f"deb [signed-by={keyring}] {uris[0]} {pocket} main\n"
            for uris, pocket in (
                (mirrors.main, suite),
                (mirrors.main, f"{suite}-updates"),
                (mirrors.security, f"{suite}-security"),
            )
        ]
        (root / "etc/apt/sources.list").write_text("".join(lines))
        (root / "apt.conf").write_text(
            f'Dir "{root}"; Dir::State "state"; Dir::Cache "cache"; Dir::State::status "{self._status}";\n'
            'APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "root";\n'
            'Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; pkgCacheGen::ForceEssential ",";\n'
        )
        self._run("apt-get", "update")

    def install_base(self, pins: Sequence[DebPin]) -> None:
        stanzas = self._run("apt-cache", "show", *(f"{pin.package}={pin.version}" for pin in pins))
        self._status.write_text(stanzas.replace("\nVersion:", "\nStatus: install ok installed\nVersion:"))

    def simulate(self, names: Sequence[str]) -> dict[str, str]:
        output = self._run("apt-get", "-s", "--no-install-recommends", "install", *names)
        assert not re.findall(r"^Remv ", output, re.MULTILINE)
        return dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", output, re.MULTILINE))

    def _run(self, *command: str) -> str:
        env = {**os.environ, "APT_CONFIG": str(self._root / "apt.conf"), "LC_ALL": "C"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Debian:
    return Debian(Store(tmp_path_factory.mktemp("store")), Http())


@pytest.fixture(scope="module")
def apt(debian: Debian, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Apt]:
    @cache
    def prepared(suite: str) -> Apt:
        apt = Apt(tmp_path_factory.mktemp(suite), suite, Mirrors.find((), Path("/etc/apt")))
        apt.install_base(debian.resolve(suite, "amd64", base=[*BASE, PYTHON[suite]]).base)
        return apt

    return prepared


@pytest.mark.parametrize(("suite", "names"), CASES, ids=str)
def test_chooses_what_apt_chooses(
    suite: str, names: tuple[str, ...], apt: Callable[[str], Apt], debian: Debian
) -> None:
    """The same names at the same versions, on top of the same base."""
    expected = apt(suite).simulate(names)
    resolution = debian.resolve(suite, "amd64", base=[*BASE, PYTHON[suite]], apt=names)
    assert {pin.package: pin.version for pin in resolution.apt} == expected


def test_fetches_what_it_pins(debian: Debian, tmp_path: Path) -> None:
    """Each file of a resolution is in the store under its digest, and is the package that was pinned."""
    store = Store(tmp_path)
    fresh = Debian(store, Http())
    pins = fresh.resolve("bookworm", "amd64", base=["netbase", "libmagic1"]).base
    moved: list[int] = []
    fresh.fetch(pins, moved=moved.append)
    assert sum(moved) == sum(pin.size for pin in pins)
    for pin in pins:
        shown = subprocess.run(
            ["dpkg-deb", "--field", store.input_path(pin.digest), "Package", "Version"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert shown.splitlines() == [f"Package: {pin.package}", f"Version: {pin.version}"]


def test_another_architecture_has_packages_of_its_own(debian: Debian) -> None:
    """arm64 is resolved from this host, whatever it runs on."""
    pins = debian.resolve("bookworm", "arm64", base=["bash"]).base
    assert {pin.architecture for pin in pins} == {"arm64"}


def test_says_which_python_a_suite_ships(debian: Debian) -> None:
    version = debian.candidate("bookworm", "amd64", "python3.11")
    assert version is not None
    assert version.startswith("3.11.")
    assert debian.candidate("bookworm", "amd64", "python3.12") is None


@pytest.mark.parametrize("suite", STABLE)
def test_a_suite_still_has_what_it_is_expected_to_have(debian: Debian, suite: str) -> None:
    """Nothing breaks where it has not: packages are then resolved later."""
    python, glibc = STABLE[suite]
    interpreter = f"python{python.rpartition('.')[0]}"
    found = [debian.candidate(suite, "amd64", name) for name in (interpreter, "libc6")]
    assert [re.split("[-+~]", version or "")[0] for version in found] == [python, "{}.{}".format(*glibc)]


def test_unknown_package_has_a_suggestion(debian: Debian) -> None:
    with pytest.raises(NotFound, match=r"'curll' in bookworm for amd64; did you mean curl"):
        debian.resolve("bookworm", "amd64", base=["bash"], apt=["curll"])


def test_versions_sort_as_dpkg_sorts_them() -> None:
    """Pairs of versions with every odd part that policy allows."""
    dice = random.Random(5612)
    parts = [
        "0",
        "1",
        "9",
        "10",
        "01",
        "~",
        "~rc1",
        "+",
        "+dfsg",
        "a",
        "b",
        ".",
        "-",
        "-0",
        "-1",
        "b1",
        "+b1",
        "~~",
    ]
    for _ in range(300):
        one, other = (
            dice.choice(["", "0:", "1:"]) + "1" + "".join(dice.choices(parts, k=4)) + "0" for _ in "ab"
        )
        low, high = sort_key(one), sort_key(other)
        relation = "lt" if low < high else "eq" if low == high else "gt"
        assert (
            subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0
        )
