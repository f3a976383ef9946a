"""Debian packages that people name work, their maintainer scripts followed, or run where that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.command import Command
from tests.folders import remove

pytestmark = pytest.mark.integration

SPEC = """\
name: {name}
python_version: "3.11"
apt_packages: [{packages}]
builder_options: {{taskimage: {{runtime: none, bytecode: false}}}}
"""

MARK = "@@ "


@dataclass(frozen=True)
class Image:
    """A built image, and what the command of each of its packages printed."""

    command: Command
    spec: Path
    name: str
    shown: Mapping[str, str]


# A command for each package of an image and what its output shows; it does a little real work, as far as that
# needs no network.
IMAGES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "media": {
        "ffmpeg": (
            "ffmpeg -v error -f lavfi -i testsrc=d=1:r=5 -frames:v 5 t.gif && ffprobe -v error -show_entries format=format_name t.gif",
            "gif",
        ),
        "imagemagick": ("convert -size 8x8 xc:red t.png && identify t.png", "PNG 8x8"),
        "sox": ("sox -n t.wav synth 1 sine 440 && soxi -D t.wav", "1.000000"),
        "graphviz": ("echo 'digraph { a -> b }' | dot -Tsvg", "<title>a&#45;&gt;b</title>"),
        "fontconfig": ("fc-list", "DejaVuSans.ttf"),
        "fonts-dejavu-core": ("fc-match 'DejaVu Sans'", "DejaVuSans.ttf"),
        "ghostscript": ("gs -q -dBATCH -sDEVICE=pdfwrite -o t.pdf -c '72 72 moveto showpage' && head -c 5 t.pdf", "%PDF-"),
        "poppler-utils": (
            "gs -q -dBATCH -sDEVICE=pdfwrite -o t.pdf -c '/Courier 20 selectfont 72 72 moveto (words) show showpage' && pdftotext t.pdf -",
            "words",
        ),
        "tesseract-ocr": ("tesseract --list-langs", "eng"),
        "libgl1": ("python -c \"import ctypes; print(ctypes.CDLL('libGL.so.1'))\"", "libGL.so.1"),
        "libsndfile1": ("python -c \"import ctypes; print(ctypes.CDLL('libsndfile.so.1'))\"", "libsndfile.so.1"),
        "librsvg2-bin": ("echo '<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>' | rsvg-convert | head -c 4 | tail -c 3", "PNG"),
        "gnuplot-nox": ("echo 'set terminal dumb; plot sin(x)' | gnuplot", "+----"),
        "mediainfo": ("ffmpeg -v error -f lavfi -i sine=d=1 t.wav && mediainfo t.wav", "PCM"),
    },
    "build": {
        "gcc": ("echo 'int main(){return 7;}' > m.c && gcc m.c -o m && ./m || echo $?", "7"),
        "g++": ("printf '#include <iostream>\\nint main(){std::cout<<42;}' > m.cc && g++ m.cc -o m && ./m", "42"),
        "make": ("echo 'int main(){return 7;}' > m.c && make -s m && ./m || echo $?", "7"),
        "gfortran": ("printf '      print *, 6*7\\n      end\\n' > m.f && gfortran m.f -o m && ./m", "42"),
        "ninja-build": ("printf 'rule r\\n command = echo made > $out\\nbuild x: r\\n' > build.ninja && ninja && cat x", "made"),
        "cmake": ("echo 'message(STATUS works)' > t.cmake && cmake -P t.cmake", "works"),
        "pkg-config": ("pkg-config --version", "."),
        "git": (
            "git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m words && git log --oneline",
            "words",
        ),
        "git-lfs": ("git config --system filter.lfs.smudge && git lfs version", "git-lfs smudge -- %f"),
        "patch": ("printf 'a\\n' > f && printf -- '--- f\\n+++ f\\n@@ -1 +1 @@\\n-a\\n+b\\n' | patch -s && cat f", "b"),
        "swig": ("swig -version", "SWIG Version"),
        "protobuf-compiler": (
            "printf 'syntax = \"proto3\";\\nmessage M {}\\n' > m.proto && protoc --python_out=. m.proto && ls",
            "m_pb2.py",
        ),
        "gdb": ("gdb -batch -ex 'print 6*7'", "42"),
        "libopenblas0": ("python -c \"import ctypes; print(ctypes.CDLL('libblas.so.3').openblas_get_num_threads())\"", ""),
        "libgomp1": ("python -c \"import ctypes; print(ctypes.CDLL('libgomp.so.1').omp_get_max_threads() > 0)\"", "True"),
        "openjdk-17-jre-headless": ("java -version 2>&1; readlink -f $(command -v java)", "java-17-openjdk"),
        "ca-certificates-java": ("keytool -list -cacerts -storepass changeit 2>/dev/null", "trustedCertEntry"),
        "ca-certificates": ("python -c 'import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 99)'", "True"),
    },
    "shell": {
        "curl": ("echo data > f && curl -s file://$PWD/f", "data"),
        "wget": ("wget --version", "GNU Wget"),
        "jq": ("echo '{\"a\": 3}' | jq .a", "3"),
        "rsync": ("mkdir a && touch a/b && rsync -a a/ c/ && ls c", "b"),
        "zip": ("echo hi > f && zip -q f.zip f && ls", "f.zip"),
        "unzip": ("python -c \"import zipfile; zipfile.ZipFile('f.zip', 'w').writestr('f', 'hi')\" && unzip -p f.zip", "hi"),
        "xz-utils": ("echo hi | xz | xz -d", "hi"),
        "zstd": ("echo hi | zstd -q | zstd -dq", "hi"),
        "bzip2": ("echo hi | bzip2 | bzip2 -d", "hi"),
        "pigz": ("echo hi | pigz | pigz -d", "hi"),
        "p7zip-full": ("echo hi > f && 7z a f.7z f > log && 7z e -so f.7z", "hi"),
        "file": ("file -b /bin/sh", "symbolic link"),
        "tree": ("mkdir a && tree", "directories"),
        "less": ("echo hi | less -F", "hi"),
        "nano": ("nano --version", "GNU nano"),
        "vim-tiny": ("vi --version", "VIM - Vi IMproved"),
        "gawk": ("awk --version", "GNU Awk"),
        "bc": ("echo '2^10' | bc", "1024"),
        "parallel": ("parallel --will-cite echo ::: b", "b"),
        "procps": ("ps -o comm= -C sh", "sh"),
        "htop": ("htop --version", "htop"),
        "lsof": ("lsof -v 2>&1", "revision"),
        "tini": ("tini -s -- echo hi", "hi"),
        "dumb-init": ("dumb-init echo hi", "hi"),
        "gnupg": ("gpg --batch --no-tty --list-keys && gpg --version", "gpg (GnuPG)"),
        "locales": ("locale -a; localedef -i en_US -f UTF-8 ./en_US.UTF-8 && ls", "en_US.UTF-8"),
        "tzdata": ("TZ=Asia/Tokyo date -d @0 +%H", "09"),
        "libxml2-utils": ("echo '<a><b>words</b></a>' | xmllint --xpath 'string(//b)' -", "words"),
        "aria2": ("aria2c --version", "aria2 version"),
    },
    "services": {
        "postgresql-client": ("psql --version", "psql (PostgreSQL) 15"),
        "libpq5": ("python -c \"import ctypes; print(ctypes.CDLL('libpq.so.5').PQlibVersion())\"", "15"),
        "sqlite3": ("sqlite3 :memory: 'select 6*7'", "42"),
        "default-mysql-client": ("mysql --version && mysql --print-defaults", "MariaDB"),
        "unixodbc": ("odbcinst -j", "unixODBC"),
        "tdsodbc": ("odbcinst -q -d", "[FreeTDS]"),
        "nginx-light": ("echo 'events {} pid p; error_log e; http { access_log a; }' > n && nginx -p $PWD -t -e $PWD/e -c $PWD/n 2>&1", "successful"),
        "redis-server": ("redis-server --port 0 --unixsocket $PWD/s --daemonize yes > log && sleep 1 && redis-cli -s s set a b", "OK"),
        "supervisor": ("supervisord --version", "4."),
        "openssh-client": ("ssh-keygen -q -t ed25519 -N '' -f k && ssh-keygen -lf k", "ED25519"),
        "openssh-server": ("ssh-keygen -q -t ed25519 -N '' -f k && /usr/sbin/sshd -T -h $PWD/k && ls /etc/ssh", "sshd_config"),
        "socat": ("echo hi | socat - -", "hi"),
        "iproute2": ("ip -brief address show lo", "127.0.0.1"),
        "dnsutils": ("dig -v 2>&1", "DiG"),
        "tmux": ("tmux -V", "tmux 3"),
    },
    # The scripts of these are run.
    "scripts": {
        "php-cli": ("php -r 'echo 6*7, extension_loaded(\"readline\");'", "421"),
        "apache2": (". /etc/apache2/envvars && APACHE_RUN_DIR=$PWD APACHE_LOG_DIR=$PWD apache2 -t 2>&1", "Syntax OK"),
        "r-base-core": ("Rscript -e 'cat(6*7)'", "42"),
        "man-db": ("printf '.TH X 1\\n.SH NAME\\nwords\\n' > x.1 && man -P cat ./x.1", "words"),
        "sgml-base": ("cat /etc/sgml/catalog && ls /var/lib/sgml-base", "supercatalog"),
        "gsettings-desktop-schemas": ("gsettings list-schemas", "org.gnome.desktop.interface"),
        "texlive-latex-base": (
            "printf '%s' '\\documentclass{article}\\begin{document}x\\end{document}' > x.tex && pdflatex -interaction=batchmode x > log && head -c 5 x.pdf",
            "%PDF-",
        ),
    },
}  # fmt: skip
# A command's own name where it is not its package's, and what comes with another.
PACKAGES = {
    "gcc": "build-essential", "g++": "build-essential", "make": "build-essential",
    "gsettings-desktop-schemas": "gsettings-desktop-schemas, libglib2.0-bin",
}  # fmt: skip
# What scripts count on, and nothing among these packages depends on.
ESSENTIAL = (
    "bsdutils",
    "init-system-helpers",
    "login",
    "ncurses-bin",
    "perl-base",
    "sysvinit-utils",
    "util-linux",
)


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """An image of its packages, and what each command printed inside of it."""
    folder = tmp_path_factory.mktemp(request.param)
    commands = IMAGES[request.param]
    needed = ESSENTIAL if request.param == "scripts" else ()
    packages = ", ".join(dict.fromkeys((*(PACKAGES.get(name, name) for name in commands), *needed)))
    spec = folder / "image.yaml"
    spec.write_text(SPEC.format(name=request.param, packages=packages))
    command = Command(folder / "home")
    command.succeed("build", str(spec))
    script = "".join(
        f"mkdir /tmp/{number} && cd /tmp/{number} && echo '{MARK}{name}'\n( {program}\n) < /dev/null 2>&1\n"
        for number, (name, (program, _)) in enumerate(commands.items())
    )
    printed = command("run", str(spec), "--", "sh", "-c", script).stdout
    shown = dict(part.partition("\n")[::2] for part in printed.split(MARK)[1:])
    yield Image(command, spec, request.param, shown)
    remove(folder)


def test_the_command_of_each_package_works(image: Image) -> None:
    expected = {name: shows for name, (_, shows) in IMAGES[image.name].items()}
    failed = {
        name: image.shown.get(name)
        for name, shows in expected.items()
        if shows not in image.shown.get(name, "")
    }
    assert failed == {}
    assert list(image.shown) == list(expected)


def test_dpkg_finds_every_package_whole(image: Image) -> None:
    done = image.command("run", str(image.spec), "--", "sh", "-c", "dpkg --audit; dpkg --verify 2>&1")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("image", ["scripts"], indirect=True)
def test_scripts_that_are_run_leave_the_same_behind_each_time(image: Image) -> None:
    again = image.command("build", "--verify", str(image.spec))
    assert again.returncode == 0, again.stderr
    assert "Ran the maintainer scripts" in again.stderr


def test_a_script_that_fails_is_an_error_that_the_spec_waives(tmp_path: Path) -> None:
    """It says what the script counts on that is not there."""
    command = Command(tmp_path / "home")
    spec = tmp_path / "image.yaml"
    spec.write_text(SPEC.format(name="sgml", packages="sgml-base"))
    done = command("build", str(spec))
    assert done.returncode == 7
    assert "sgml-base: maintainer scripts ended with exit code" in done.stderr
    assert "sgml-base.postinst: 64: update-catalog: not found" in done.stderr
    assert f"apt_packages: [{', '.join(ESSENTIAL)}]" in done.stderr
    assert "waive_scripts: [sgml-base]" in done.stderr
    spec.write_text(
        spec.read_text().replace("bytecode: false", "bytecode: false, waive_scripts: [sgml-base]")
    )
    command.succeed("build", str(spec))
