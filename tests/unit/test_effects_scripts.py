"""What maintainer scripts do to files, accounts and alternatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from taskimage.model.oci import Platform
from taskimage.model.user import User
from taskimage.transform.deb import Deb
from taskimage.transform.effects.emulation import Effects, byte_compiled, effects
from taskimage.transform.effects.scripts import Unhandled
from taskimage.transform.entry import BytesBody, Entry

MakePackage: TypeAlias = Callable[..., Deb]
AMD64 = Platform.parse("linux/amd64")
PASSWD = b"root:*:0:0:root:/root:/bin/bash\nman:*:6:12:man:/var/cache/man:/usr/sbin/nologin\n"
GROUP = b"root:*:0:\nman:*:12:\nstaff:*:50:\n"


def install(*debs: Deb, users: tuple[User, ...] = ()) -> Effects:
    return effects(debs, platform=AMD64, users=users)


def entry(made: Effects, path: str) -> Entry:
    [found] = [entry for entry in made.entries if entry.path == path]
    return found


def text(made: Effects, path: str) -> str:
    body = entry(made, path).body
    assert isinstance(body, BytesBody)
    return body.data.decode()


@pytest.fixture
def base(make_package: MakePackage) -> Deb:
    masters = {"passwd.master": PASSWD, "group.master": GROUP}
    files = {f"usr/share/base-passwd/{name}": data for name, data in masters.items()}
    return make_package(files, Package="base-passwd")


@pytest.mark.parametrize(
    ("script", "path", "expected"),
    [
        ("mkdir -p /a/b", "a/b", Entry.directory("a/b")),
        ("mkdir -m 1777 /a", "a", Entry.directory("a", 0o1777)),
        ("install -d -m 0750 -o man -g staff /var/x", "var/x", Entry.directory("var/x", 0o750, 6, 50)),
        ("install --directory --mode=700 --owner man /var/x", "var/x", Entry.directory("var/x", 0o700, 6, 0)),
        ("ln -s ../x /bin/y", "usr/bin/y", Entry.symlink("usr/bin/y", "../x")),
        ("ln -sf /x /etc", "etc/x", Entry.symlink("etc/x", "/x")),
        ("umask 077; touch /var/run/x", "run/x", Entry.file("run/x", b"", 0o600)),
        ("echo text > /etc/x; echo more >> /etc/x", "etc/x", Entry.file("etc/x", b"text\nmore\n")),
        ("cat > /etc/x <<EOF\n$DPKG_MAINTSCRIPT_PACKAGE\nEOF\n", "etc/x", Entry.file("etc/x", b"thing\n")),
        ("mkdir /a; chown man:staff /a; chmod g+ws,o-rx /a", "a", Entry.directory("a", 0o2770, 6, 50)),
        ("chgrp staff /usr/local", "usr/local", Entry.directory("usr/local", 0o755, 0, 50)),
        ("adduser --system --group x; install -d -o x -g x /x", "x", Entry.directory("x", 0o755, 100, 100)),
        ("[ -d /a ] || mkdir /a", "a", Entry.directory("a")),
        ("if [ ! -e /etc/there ]; then touch /b; fi; mkdir /a", "a", Entry.directory("a")),
        ('dpkg --compare-versions "$2" lt-nl 2 && touch /b; mkdir /a', "a", Entry.directory("a")),
        ("while read D M; do mkdir -m $M $D; done <<E\n/a 700\nE\n", "a", Entry.directory("a", 0o700)),
        ("mkdir /$(echo x:a | cut -d: -f2)", "a", Entry.directory("a")),
        ("mkdir $(cat /etc/there)", "a", Entry.directory("a")),
        ("/usr/bin/own /a", "a", Entry.directory("a")),
        ("X=$(mktemp); echo x > $X; rm -f /var/y; cp $X /var/y; rm $X", "var/y", Entry.file("var/y", b"x\n", 0o600)),
        ("touch /b; rm /b; mkdir /a", "a", Entry.directory("a")),
        ("setcap cap_net_raw+ep /x || mkdir /a", "a", Entry.directory("a")),
        ("if grep -qFx /a /etc/there; then mkdir /a; fi", "a", Entry.directory("a")),
        ("dpkg-divert --add --rename --divert /c /b; mkdir /a", "a", Entry.directory("a")),
        ("git lfs install --system --skip-repo; mkdir /a", "a", Entry.directory("a")),
        ("glib-compile-schemas /usr/share/none; mkdir /a", "a", Entry.directory("a")),
        ("fc-cache -f; ssh-keygen -A; mkdir /a", "a", Entry.directory("a")),
        ("which nothing || mkdir /a", "a", Entry.directory("a")),
        ("case $(dpkg --print-architecture) in amd64) mkdir /a;; esac", "a", Entry.directory("a")),
    ],
)  # fmt: skip
def test_what_a_script_does_is_made(
    base: Deb, make_package: MakePackage, script: str, path: str, expected: Entry
) -> None:
    own = b'#!/bin/sh\nmkdir "$1"\n'
    files = {"etc/there": b"/a", "usr/local/": b"", "usr/bin/own": own, "var/": b""}
    made = install(base, make_package(files, scripts={"postinst": f"#!/bin/sh\nset -e\n{script}\n"}))
    assert (entry(made, path), made.unknown) == (expected, ())
    assert not any(entry.path == "b" for entry in made.entries)


def test_a_shipped_file_can_be_copied_and_change_its_mode(base: Deb, make_package: MakePackage) -> None:
    script = "#!/bin/sh\ncp -p /usr/share/x /etc/x\ncp -a /usr/share/x /usr/bin/\nchmod u+s /bin/tool\n"
    made = install(base, make_package({"usr/share/x": b"x", "bin/tool": b"t"}, scripts={"postinst": script}))
    assert (entry(made, "etc/x").size, entry(made, "usr/bin/x").size) == (1, 1)
    assert entry(made, "usr/bin/tool").mode == 0o4644


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("[ -h /etc/set ] && rm /etc/set", [Entry.file("etc/.wh.set", b"")]),
        ("rm /etc/set; ln -s /usr/share/x /etc/set", [Entry.symlink("etc/set", "/usr/share/x")]),
        ("ln -s /usr/share/x /etc/new; rm /etc/new", []),
    ],
)
def test_a_link_that_a_script_takes_away_is_gone_and_never_what_it_leads_to(
    base: Deb, make_package: MakePackage, script: str, expected: list[Entry]
) -> None:
    links = {"etc/set": "/usr/share/x"}
    scripts = {"postinst": f"#!/bin/sh\n{script}\n"}
    made = install(base, make_package({"usr/share/x": b"x"}, links=links, scripts=scripts))
    own = [entry for entry in made.entries if entry.path.rpartition("/")[2] in {".wh.set", "set", "new", "x"}]
    assert (own, made.unknown) == (expected, ())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("make-cache --all", "runs make-cache --all"),
        ("rm -f /etc/there", "runs rm -f /etc/there"),
        ("sed -i s/a/b/ /etc/there", "runs sed -i s/a/b/ /etc/there"),
        ("chown nobody-knows /etc/there", "runs chown nobody-knows /etc/there"),
        ("if grep -q x /etc/there; then mkdir /a; fi", "runs mkdir /a"),
        ("mkdir $(query)", "runs mkdir …"),
        ("date > /etc/x", "writes /etc/x"),
        (
            "dpkg-divert --add --rename --divert /a /etc/there",
            "runs dpkg-divert --add --rename --divert /a /etc/there",
        ),
        ("update-alternatives --set x /y", "runs update-alternatives --set x /y"),
        ("adduser --system --gecos a:b x", "runs adduser --system --gecos a:b x"),
        ("adduser --system --home ../x x", "runs adduser --system --home ../x x"),
        ("update-alternatives --install /a ../b /c 1", "runs update-alternatives --install /a ../b /c 1"),
        ("exec make-cache", "runs make-cache"),
        ("command make-cache", "runs command make-cache"),
        ("read X < /etc/there; mkdir /a$X", "runs mkdir …"),
        ("eval $(query)", "runs eval …"),
        (". $(query)", "runs . …"),
        ("echo x > relative", "writes relative"),
        ("X=x; for i in 1 2 3 4 5 6; do X=$X$X$X$X$X$X$X$X$X$X$X$X; done; mkdir /a$X", "runs mkdir …"),
        ("if true; then", "is not understood: None where 'fi' must be"),
    ],
)
def test_what_is_not_understood_is_named_and_not_done(
    base: Deb, make_package: MakePackage, script: str, reason: str
) -> None:
    made = install(base, make_package({"etc/there": b"x"}, scripts={"postinst": f"#!/bin/sh\n{script}\n"}))
    assert Unhandled("thing", "postinst", reason) in made.unknown
    assert not {"a", "etc/x", "etc/there"} & {entry.path for entry in made.entries}


def test_scripts_in_other_languages_are_named(make_package: MakePackage) -> None:
    made = install(make_package({}, scripts={"preinst": "#!/usr/bin/perl\nexit 0;\n"}))
    assert made.unknown == (Unhandled("thing", "preinst", "is no shell script: #!/usr/bin/perl"),)


def test_packages_are_configured_after_those_they_depend_on(base: Deb, make_package: MakePackage) -> None:
    maker = make_package({}, scripts={"postinst": "#!/bin/sh\naddgroup --system crew\n"}, Package="zz-common")
    user = make_package(
        {"usr/bin/x": b""}, scripts={"postinst": "#!/bin/sh\nchgrp crew /usr/bin/x\n"}, Package="aa",
        Depends="other | zz-common (>= 1)", Pre_Depends="aa",
    )  # fmt: skip
    made = install(base, user, maker)
    assert (entry(made, "usr/bin/x").gid, made.unknown) == (100, ())


@pytest.mark.parametrize(
    ("script", "passwd", "group"),
    [
        ("adduser --quiet --system --no-create-home --home /run/x --shell /bin/sh x", "x:*:100:65534::/run/x:/bin/sh", ""),
        ("adduser --system --group --gecos 'The X' x", "x:*:100:100:The X:/nonexistent:/usr/sbin/nologin", "x:*:100:"),
        ("useradd -r -g staff -d /x -s /bin/false x", "x:*:100:50::/x:/bin/false", ""),
        ("groupadd -g 42 x", "", "x:*:42:"),
        ("adduser --system x; adduser x staff", "x:*:100:65534::/nonexistent:/usr/sbin/nologin", "staff:*:50:x"),
        ("adduser --system x; usermod -aG staff x", "", "staff:*:50:x"),
        ("getent passwd man || adduser --system man", "man:*:6:12:man:/var/cache/man:/usr/sbin/nologin", ""),
        ("systemd-sysusers x.conf", "x:*:100:100:X user:/x:/usr/sbin/nologin", "x:*:100:x"),
    ],
)  # fmt: skip
def test_accounts_are_made(
    base: Deb, make_package: MakePackage, script: str, passwd: str, group: str
) -> None:
    sysusers = b'# comment\ng y 7\nu x - "X user" /x\nm x x\n'
    package = make_package(
        {"usr/lib/sysusers.d/x.conf": sysusers}, scripts={"postinst": f"#!/bin/sh\n{script}\n"}
    )
    made = install(base, package)
    assert made.unknown == ()
    assert not passwd or passwd in text(made, "etc/passwd").splitlines()
    assert not group or group in text(made, "etc/group").splitlines()


def test_users_of_the_image_have_a_home_that_group_0_can_write_to(base: Deb) -> None:
    made = install(base, users=(User(name="me", uid=1000, gid=0, home="/home/me"),))
    assert text(made, "etc/passwd").splitlines()[-1] == "me:*:1000:0::/home/me:/bin/bash"
    assert entry(made, "home/me") == Entry.directory("home/me", 0o775, 1000, 0)
    assert text(made, "etc/group") == GROUP.decode()
    assert not any("shadow" in entry.path for entry in made.entries)


def test_passwords_are_kept_apart_where_passwd_is_installed(base: Deb, make_package: MakePackage) -> None:
    made = install(base, make_package({}, Package="passwd"))
    assert text(made, "etc/passwd").startswith("root:x:0:0:")
    assert text(made, "etc/shadow").startswith("root:*::0:99999:7:::\n")
    assert (entry(made, "etc/shadow").mode, entry(made, "etc/shadow").gid) == (0o640, 42)


def test_the_best_alternative_is_linked_and_all_are_recorded(base: Deb, make_package: MakePackage) -> None:
    first = make_package(
        {"usr/bin/gawk": b""}, Package="gawk",
        scripts={"postinst": "#!/bin/sh\nfor n in awk; do update-alternatives --install /usr/bin/$n $n /usr/bin/g$n 10 \\\n --slave /usr/bin/nawk nawk /usr/bin/gawk; done\n"},
    )  # fmt: skip
    second = make_package(
        {"usr/bin/mawk": b""}, Package="mawk",
        scripts={"postinst": "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 --slave /man/awk.1 awk.1 /man/mawk.1\nupdate-alternatives --install /usr/bin/x x /usr/bin/missing 5\n"},
    )  # fmt: skip
    made = install(base, second, first)
    assert entry(made, "usr/bin/awk").target == "/etc/alternatives/awk"
    assert entry(made, "etc/alternatives/awk").target == "/usr/bin/gawk"
    assert entry(made, "etc/alternatives/nawk").target == "/usr/bin/gawk"
    assert text(made, "var/lib/dpkg/alternatives/awk") == (
        "auto\n/usr/bin/awk\nawk.1\n/man/awk.1\nnawk\n/usr/bin/nawk\n\n"
        "/usr/bin/gawk\n10\n\n/usr/bin/gawk\n/usr/bin/mawk\n5\n/man/mawk.1\n\n\n"
    )
    assert not any(entry.path in ("usr/bin/x", "etc/alternatives/awk.1") for entry in made.entries)


def test_dpkg_knows_every_package_and_its_files(base: Deb, make_package: MakePackage) -> None:
    package = make_package(
        {"etc/x.conf": b"x\n", "bin/x": b"", "usr/share/doc/thing/README": b""},
        scripts={
            "conffiles": "/etc/x.conf\nremove-on-upgrade /etc/old\n", "postinst": "#!/bin/sh\n",
            "md5sums": f"{'0' * 32}  bin/x\n{'1' * 32}  usr/share/doc/thing/README\n",
            "triggers": "interest-noawait /usr/lib/x\ninterest cache # ours\nactivate-noawait ldconfig\n",
        },
        Multi_Arch="same", Depends="base-passwd", Homepage="h", Priority="optional",
    )  # fmt: skip
    made = install(base, package)
    assert text(made, "var/lib/dpkg/status").split("\n\n")[1].splitlines() == [
        "Package: thing", "Status: install ok installed", "Priority: optional", "Maintainer: A <a@example.org>",
        "Architecture: amd64", "Multi-Arch: same", "Version: 1.0-1", "Depends: base-passwd", "Conffiles:",
        " /etc/x.conf 401b30e3b8b5d629635a5c613cdb7919", " /etc/old newconffile remove-on-upgrade", "Description: x", "Homepage: h",
    ]  # fmt: skip
    info = "var/lib/dpkg/info"
    assert text(made, f"{info}/format") == "1\n"
    assert text(made, f"{info}/thing:amd64.list") == "/etc/x.conf\n/bin/x\n"
    assert text(made, f"{info}/thing:amd64.md5sums") == f"{'0' * 32}  bin/x\n"
    assert entry(made, f"{info}/thing:amd64.postinst").mode == 0o755
    assert text(made, "var/lib/dpkg/triggers/File") == "/usr/lib/x thing:amd64/noawait\n"
    assert text(made, "var/lib/dpkg/triggers/cache") == "thing:amd64\n"


def test_an_image_has_its_links_directories_time_and_shells(base: Deb, make_package: MakePackage) -> None:
    files = {
        "usr/lib64/x": b"", "usr/share/zoneinfo/Etc/UTC": b"", "usr/lib/python3.11/os.py": b"",
        "usr/share/debianutils/shells": b"# shells\n/bin/sh\n", "usr/share/debianutils/shells.d/zsh": b"/bin/zsh # z\n",
    }  # fmt: skip
    made = install(base, make_package(files))
    links = {entry.path: entry.target for entry in made.entries if entry.kind == "symlink"}
    assert links == {
        "bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin", "var/run": "/run",
        "var/lock": "/run/lock", "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
    }  # fmt: skip
    modes = {entry.path: entry.mode for entry in made.entries if entry.kind == "dir"}
    assert (modes["tmp"], modes["root"], modes["proc"]) == (0o1777, 0o775, 0o755)
    assert "usr/local/lib/python3.11/dist-packages" in modes
    assert text(made, "etc/timezone") == "Etc/UTC\n"
    assert text(made, "etc/shells") == "# shells\n/bin/sh\n/usr/bin/sh\n/bin/zsh\n/usr/bin/zsh\n"


def test_the_order_of_packages_does_not_matter(base: Deb, make_package: MakePackage) -> None:
    debs = [
        base,
        *(
            make_package({}, Package=f"p{i}", scripts={"postinst": f"#!/bin/sh\naddgroup g{i}\nx\n"})
            for i in range(5)
        ),
    ]
    made = install(*debs)
    assert install(*reversed(debs)) == made
    assert list(made.entries) == sorted(made.entries, key=lambda entry: entry.path)


def test_python_sources_of_packages_are_compiled(make_package: MakePackage) -> None:
    compiled = ["usr/lib/python3.11/os.py", "usr/lib/python3/dist-packages/x/y.py"]
    others = ["usr/share/x/z.py", "usr/lib/python3.11/data.txt", "usr/lib/python2.7/os.py"]
    package = make_package(
        dict.fromkeys([*compiled, *others], b""), links={"usr/lib/python3.11/site.py": "/etc/site.py"}
    )
    assert [entry.path for entry in byte_compiled([package])] == sorted(compiled)
