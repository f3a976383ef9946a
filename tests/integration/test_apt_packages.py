"""Debian packages that people name work in an image that no maintainer script ever ran in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import Command

pytestmark = pytest.mark.integration

SPEC = """\
name: {name}
python_version: "3.11"
apt_packages: [{packages}]
builder_options: {{taskimage: {{runtime: none, bytecode: false}}}}
"""

# Packages that go into one image.
IMAGES = {
    "media": (
        "ffmpeg", "imagemagick", "sox", "graphviz", "fontconfig", "fonts-dejavu-core", "ghostscript", "poppler-utils",
        "tesseract-ocr", "libgl1", "libsndfile1", "librsvg2-bin", "gnuplot-nox", "potrace", "mediainfo",
    ),
    "build": (
        "build-essential", "gfortran", "cmake", "ninja-build", "pkg-config", "git", "git-lfs", "patch", "swig",
        "protobuf-compiler", "gdb", "strace", "libopenblas0", "libgomp1", "openjdk-17-jre-headless", "ca-certificates",
    ),
    "shell": (
        "curl", "wget", "jq", "rsync", "unzip", "zip", "xz-utils", "zstd", "bzip2", "pigz", "p7zip-full", "file", "tree",
        "less", "nano", "vim-tiny", "gawk", "bc", "parallel", "procps", "htop", "lsof", "tini", "dumb-init", "gnupg",
        "locales", "tzdata", "sudo", "libxml2-utils", "aria2",
    ),
    "services": (
        "postgresql-client", "libpq5", "sqlite3", "default-mysql-client", "unixodbc", "tdsodbc", "nginx-light",
        "redis-server", "supervisor", "openssh-client", "openssh-server", "socat", "netcat-openbsd", "iproute2",
        "iputils-ping", "dnsutils", "cron", "tmux",
    ),
}  # fmt: skip

# Each does a little real work, as far as that needs no network.
COMMANDS = {
    "git": (
        "git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m x && git log --oneline",
        "x",
    ),
    "curl": ("echo data > f && curl -s file://$PWD/f", "data"),
    "jq": ("echo '{\"a\": 3}' | jq .a", "3"),
    "gcc": ("echo 'int main(){return 7;}' > m.c && gcc m.c -o m && ./m || echo $?", "7"),
    "g++ and make": (
        "printf '#include <iostream>\\nint main(){std::cout<<42;}' > m.cc && make -s m && ./m",
        "42",
    ),
    "ffmpeg": (
        "ffmpeg -v error -f lavfi -i testsrc=d=1:r=5 -frames:v 5 t.gif && ffprobe -v error -show_entries format=format_name t.gif",
        "gif",
    ),
    "java": ("java -version 2>&1; readlink -f $(command -v java)", "java-17-openjdk"),
    "java's certificates": (
        "keytool -list -cacerts -storepass changeit 2>/dev/null | grep -c trustedCertEntry",
        "1",
    ),
    "imagemagick": ("convert -size 8x8 xc:red t.png && identify t.png", "PNG 8x8"),
    "poppler-utils": ("pdftotext -v 2>&1", "pdftotext version"),
    "postgresql-client": ("psql --version", "psql (PostgreSQL) 15"),
    "tesseract-ocr": ("tesseract --list-langs", "eng"),
    "libgl1": ("python -c \"import ctypes; print(ctypes.CDLL('libGL.so.1'))\"", "libGL.so.1"),
    "libpq5": ("python -c \"import ctypes; print(ctypes.CDLL('libpq.so.5').PQlibVersion())\"", "15"),
    "rsync": ("mkdir a && touch a/b && rsync -a a/ c/ && ls c", "b"),
    "zip and unzip": ("echo hi > f && zip -q f.zip f && unzip -p f.zip", "hi"),
    "openssh-client": ("ssh-keygen -q -t ed25519 -N '' -f k && ssh-keygen -lf k", "ED25519"),
    "procps": ("ps -o comm= -C sh", "sh"),
    "awk, by its alternative": ("echo a b | awk '{print $2}'", "b"),
    "sqlite3": ("sqlite3 :memory: 'select 6*7'", "42"),
    "file": ("file -b /bin/sh", "symbolic link"),
    "wget": ("wget --version | head -1", "GNU Wget"),
}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Path]:
    """An image with all of the packages, and the file that it was built from."""
    folder = tmp_path_factory.mktemp("tools")
    spec = folder / "tools.yaml"
    spec.write_text(SPEC)
    command = Command(folder / "home")
    command.succeed("build", str(spec))
    return command, spec


@pytest.mark.parametrize("name", COMMANDS)
def test_a_package_s_command_works(tools: tuple[Command, Path], name: str) -> None:
    command, spec = tools
    program, shows = COMMANDS[name]
    done = command("run", str(spec), "--", "sh", "-c", f"cd /tmp && {program}")
    assert shows in done.stdout, f"{done.stdout}\n{done.stderr}"


def test_dpkg_finds_every_package_whole(tools: tuple[Command, Path]) -> None:
    command, spec = tools
    done = command("run", str(spec), "--", "sh", "-c", "dpkg --audit; dpkg --verify 2>&1")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_package_whose_script_does_more_is_named(tools: tuple[Command, Path]) -> None:
    command, spec = tools
    warned = command("build", "--force", str(spec)).stderr
    assert "warning: shared-mime-info: its postinst is not run" in warned
    waived = spec.with_name("waived.yaml")
    waived.write_text(
        spec.read_text().replace("bytecode: false", "bytecode: false, waive_scripts: [shared-mime-info]")
    )
    assert "shared-mime-info: its" not in command("build", "--force", str(waived)).stderr
