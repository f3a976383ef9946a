"""What packages and users change above the files of a base image: that, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest
from tests.unit.test_effects_certificates import certificate, pem

from taskimage.model.oci import Platform
from taskimage.model.user import User
from taskimage.transform.deb import Deb
from taskimage.transform.effects.emulation import Effects, effects
from taskimage.transform.entry import Entry

MakePackage: TypeAlias = Callable[..., Deb]
AMD64 = Platform.parse("linux/amd64")
FLYTEKIT = User(name="flytekit", uid=1000, gid=1000, home="/home/flytekit")
PASSWD = b"root:x:0:0:root:/root:/bin/bash\nubuntu:x:1001:1001:Ubuntu:/home/ubuntu:/bin/bash"
GROUP = b"root:x:0:\nstaff:x:50:ubuntu\nubuntu:x:1001:\n"
LINKS = (Entry.symlink("bin", "usr/bin"), Entry.symlink("lib", "usr/lib"), Entry.symlink("sbin", "usr/sbin"))


def above(*debs: Deb, below: Sequence[Entry], users: tuple[User, ...] = ()) -> Effects:
    return effects(debs, platform=AMD64, users=users, below=below)


def changes(made: Effects) -> dict[str, Entry]:
    return {entry.path: entry for entry in made.entries}


def text(made: Effects, path: str) -> str:
    body = changes(made)[path].body
    assert body is not None
    with body.open() as stream:
        return stream.read().decode()


def base(*entries: Entry, status: str = "", **files: bytes) -> tuple[Entry, ...]:
    """The files of a base; names in ``files`` are below etc."""
    known = {"passwd": PASSWD, "group": GROUP, **files}
    return (
        *LINKS,
        *(Entry.file(f"etc/{name}", data) for name, data in known.items()),
        *([Entry.file("var/lib/dpkg/status", status.encode())] if status else []),
        *entries,
    )


def record(package: str, version: str = "1.0-1", **fields: str) -> str:
    """A paragraph of the status file."""
    known = {
        "Package": package,
        "Status": "install ok installed",
        "Architecture": "amd64",
        "Version": version,
        **fields,
    }
    return "".join(f"{key}: {value}\n".replace(": \n", ":\n") for key, value in known.items()) + "\n"


def owned(package: str, *paths: str) -> Entry:
    return Entry.file(f"var/lib/dpkg/info/{package}.list", "".join(f"/{path}\n" for path in paths).encode())


# -- accounts -------------------------------------------------------------------------------------------


def test_without_packages_there_are_accounts_and_homes_alone() -> None:
    made = above(below=base(Entry.directory("root", 0o700)), users=(FLYTEKIT,))
    files = [entry.path for entry in made.entries if entry.kind == "file"]
    assert files == ["etc/group", "etc/passwd"]
    assert changes(made)["home/flytekit"] == Entry.directory("home/flytekit", 0o775, 1000, 1000)
    assert changes(made)["root"] == Entry.directory("root", 0o775, 1000)


def test_lines_of_the_base_stay_as_they_are() -> None:
    """Passwords, numbers that are used twice, lines that are no accounts, bytes that are no text."""
    passwd = PASSWD + b"\ntoor:$6$hash:0:0::/root:/bin/sh\n+::::::\n\xff:x:7:7::/:\n"
    made = above(below=base(passwd=passwd), users=(FLYTEKIT,))
    body = changes(made)["etc/passwd"].body
    assert body is not None
    assert body.open().read() == passwd + b"flytekit:*:1000:1000::/home/flytekit:/bin/bash\n"


def test_a_base_with_shadow_files_gets_lines_in_them() -> None:
    shadow = Entry.file("etc/shadow", b"root:*:1:0:99999:7:::\n", 0o600, 0, 7)
    made = above(below=base(shadow, gshadow=b"root:*::\n"), users=(FLYTEKIT,))
    assert text(made, "etc/passwd").endswith("flytekit:x:1000:1000::/home/flytekit:/bin/bash\n")
    assert text(made, "etc/shadow") == "root:*:1:0:99999:7:::\nflytekit:*::0:99999:7:::\n"
    assert (changes(made)["etc/shadow"].mode, changes(made)["etc/shadow"].gid) == (0o600, 7)
    assert "flytekit:*::" in text(made, "etc/gshadow")


@pytest.mark.parametrize(
    "user",
    [
        User(name="node", uid=1001, gid=1001, home="/home/node"),
        User(name="ubuntu", uid=1000, gid=1000, home="/home/flytekit"),
    ],
    ids=["number", "name"],
)
def test_an_account_of_the_base_is_not_added_again(user: User) -> None:
    made = above(below=base(), users=(user,))
    assert "etc/passwd" not in changes(made)
    assert "etc/group" not in changes(made)
    home = changes(made)[user.home.strip("/")]
    assert (home.kind, home.uid) == ("dir", 1001)


def test_a_group_of_the_base_is_not_added_again() -> None:
    made = above(below=base(), users=(User(name="x", uid=5, gid=50, home="/home/x"),))
    assert "etc/group" not in changes(made)


def test_a_home_is_made_where_the_links_of_the_base_lead() -> None:
    links = (Entry.symlink("home", "var/home"), Entry.symlink("root", "/var/roothome"))
    made = above(below=base(*links), users=(FLYTEKIT,))
    homes = {entry.path for entry in made.entries if entry.mode == 0o775}
    assert homes == {"var/home/flytekit", "var/roothome"}


def test_a_base_without_accounts_gets_them() -> None:
    made = above(below=(Entry.file("app", b"x"),), users=(FLYTEKIT,))
    assert text(made, "etc/passwd") == "flytekit:*:1000:1000::/home/flytekit:/bin/bash\n"


def test_accounts_of_packages_come_beside_those_of_the_base(make_package: MakePackage) -> None:
    script = "#!/bin/sh\nadduser --system --group x\nadduser x staff\nadduser --system ubuntu\n"
    made = above(make_package({}, scripts={"postinst": script}), below=base(status=record("base")))
    assert text(made, "etc/passwd").splitlines()[2:] == ["x:*:100:100::/nonexistent:/usr/sbin/nologin"]
    assert text(made, "etc/group").splitlines() == [
        "root:x:0:", "staff:x:50:ubuntu,x", "ubuntu:x:1001:", "x:*:100:",
    ]  # fmt: skip


# -- packages beside those of the base ------------------------------------------------------------------


def test_the_status_file_has_the_bases_packages_as_they_were(make_package: MakePackage) -> None:
    kept = record("aaa") + record("zzz", Weird_Field="x\n y")
    made = above(make_package({}, Version="2"), below=base(status=kept + record("thing", "1")))
    paragraphs = text(made, "var/lib/dpkg/status").split("\n\n")
    assert [paragraph.split()[1] for paragraph in paragraphs if paragraph] == ["aaa", "thing", "zzz"]
    assert "Version: 2\n" in paragraphs[1] + "\n"
    assert f"{paragraphs[0]}\n\n{paragraphs[2]}\n\n" == kept


def test_those_that_are_interested_in_triggers_stay_so(make_package: MakePackage) -> None:
    folder = "var/lib/dpkg/triggers"
    below = base(
        Entry.file(f"{folder}/File", b"/usr/share/a aaa\n/usr/share/b thing/noawait\n"),
        Entry.file(f"{folder}/cache", b"aaa:amd64/noawait\nthing/noawait\n"),
        Entry.file(f"{folder}/Unincorp", b""),
        status=record("aaa") + record("thing", "0"),
    )
    made = above(make_package({}, scripts={"triggers": "interest cache\ninterest /c\n"}), below=below)
    assert text(made, f"{folder}/File") == "/usr/share/a aaa\n/c thing\n"
    assert text(made, f"{folder}/cache") == "aaa:amd64/noawait\nthing\n"
    assert f"{folder}/Unincorp" not in changes(made)


ALTERNATIVE = "#!/bin/sh\nupdate-alternatives --install /bin/editor editor /usr/bin/new {} --slave /bin/e e /usr/bin/new-e\n"
RECORD = b"%s\n/bin/editor\ne\n/bin/e\n\n/usr/bin/old\n40\n/usr/bin/old-e\n/usr/bin/gone\n90\n\n\n"


@pytest.mark.parametrize(
    ("mode", "priority", "target"), [("auto", 50, "/usr/bin/new"), ("auto", 30, None), ("manual", 50, None)]
)
def test_alternatives_of_the_base_compete(
    make_package: MakePackage, mode: str, priority: int, target: str | None
) -> None:
    """The best one wins, unless somebody chose; what is recorded and gone is forgotten."""
    below = base(
        Entry.file("usr/bin/old", b"", 0o755), Entry.file("usr/bin/old-e", b"", 0o755),
        Entry.file("var/lib/dpkg/alternatives/editor", RECORD.replace(b"%s", mode.encode())),
        Entry.symlink("etc/alternatives/editor", "/usr/bin/old"), Entry.symlink("etc/alternatives/e", "/usr/bin/old-e"),
        Entry.symlink("usr/bin/editor", "/etc/alternatives/editor"), Entry.symlink("usr/bin/e", "/etc/alternatives/e"),
        status=record("base"),
    )  # fmt: skip
    script = {"postinst": ALTERNATIVE.format(priority)}
    made = above(make_package({"usr/bin/new": b"", "usr/bin/new-e": b""}, scripts=script), below=below)
    links = {entry.path: entry.target for entry in made.entries if entry.kind == "symlink"}
    wanted = {"etc/alternatives/editor": target, "etc/alternatives/e": "/usr/bin/new-e"} if target else {}
    assert links == wanted
    assert text(made, "var/lib/dpkg/alternatives/editor") == (
        f"{mode}\n/bin/editor\ne\n/bin/e\n\n/usr/bin/new\n{priority}\n/usr/bin/new-e\n/usr/bin/old\n40\n/usr/bin/old-e\n\n"
    )


def test_certificates_of_the_base_are_kept_in_the_bundle(make_package: MakePackage) -> None:
    """Its own ones, and what it has deselected stays so."""
    local, other, good = (pem(certificate(name)) for name in (b"local", b"other", b"good"))
    below = base(
        Entry.file("usr/local/share/ca-certificates/local.crt", local), status=record("ca-certificates", "0"),
        **{"ca-certificates.conf": b"# mine\n!other.crt\n"},
    )  # fmt: skip
    files = {"usr/share/ca-certificates/other.crt": other, "usr/share/ca-certificates/good.crt": good}
    made = above(make_package(files, Package="ca-certificates"), below=below)
    assert text(made, "etc/ssl/certs/ca-certificates.crt") == (good + local).decode()
    assert text(made, "etc/ca-certificates.conf").endswith("#\ngood.crt\n!other.crt\n")


def test_certificates_are_left_alone_by_other_packages(make_package: MakePackage) -> None:
    below = base(Entry.file("usr/share/ca-certificates/x.crt", b"not read"), status=record("ca-certificates"))
    assert not any(path.startswith("etc/ssl") for path in changes(above(make_package({}), below=below)))


def test_javas_certificates_are_made_of_those_of_the_base(make_package: MakePackage) -> None:
    """And the bundle, which a person may have changed by hand, stays as it is."""
    below = base(
        Entry.file("usr/share/ca-certificates/x.crt", pem(certificate(b"x"))),
        status=record("ca-certificates"),
    )
    made = above(make_package({}, Package="ca-certificates-java"), below=below)
    assert [path for path in changes(made) if path.startswith("etc/ssl")] == ["etc/ssl/certs/java/cacerts"]


def test_login_shells_are_added_to_those_of_the_base(make_package: MakePackage) -> None:
    """Also where a person has taken one out that was there before."""
    below = base(
        Entry.file("usr/share/debianutils/shells", b"/bin/sh\n"),
        Entry.file("usr/share/debianutils/shells.d/dash", b"/bin/dash\n"),
        Entry.file("var/lib/shells.state", b"/bin/sh\n/usr/bin/sh\n/bin/dash\n/usr/bin/dash\n"),
        shells=b"# mine\n/bin/sh\n", status=record("debianutils"),
    )  # fmt: skip
    made = above(make_package({"usr/share/debianutils/shells.d/zsh": b"/bin/zsh\n"}), below=below)
    assert text(made, "etc/shells") == "# mine\n/bin/sh\n/bin/zsh\n/usr/bin/zsh\n"


def test_the_local_time_of_the_base_stays(make_package: MakePackage) -> None:
    files = {"usr/share/zoneinfo/Etc/UTC": b"x"}
    berlin = Entry.symlink("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
    assert "etc/localtime" in changes(above(make_package(files), below=base(status=record("a"))))
    assert "etc/localtime" not in changes(above(make_package(files), below=base(berlin, status=record("a"))))


def test_directories_of_the_base_keep_their_modes(make_package: MakePackage) -> None:
    """dpkg changes none that it finds, whatever a package says of it."""
    own = (Entry.directory("srv", 0o2770, 5, 6), Entry.directory("opt", 0o700), Entry.directory("usr/lib"))
    made = above(
        make_package({"srv/": b"", "srv/x": b"", "opt/a/b": b"", "usr/lib/x": b""}),
        below=base(*own, status=record("a")),
    )
    kept = [entry for entry in made.entries if entry.path in ("srv", "opt", "usr/lib")]
    assert kept == [own[1], own[0]]


def test_overrides_of_the_base_hold_for_new_files(make_package: MakePackage) -> None:
    lines = b"root staff 4750 /usr/bin/x\nnobody-knows root 755 /usr/bin/y\n#7 #8 600 /bin/z\n"
    below = base(Entry.file("var/lib/dpkg/statoverride", lines), status=record("a"))
    made = changes(above(make_package({f"usr/bin/{name}": b"" for name in "xyz"}), below=below))
    assert {path: (made[path].mode, made[path].uid, made[path].gid) for path in made if path.startswith("usr/bin")} == {
        "usr/bin/x": (0o4750, 0, 50), "usr/bin/z": (0o600, 7, 8),
    }  # fmt: skip


def test_an_override_is_recorded_once(make_package: MakePackage) -> None:
    script = (
        "#!/bin/sh\nif ! dpkg-statoverride --list /usr/bin/x; then\n"
        "dpkg-statoverride --update --add root staff 0750 /usr/bin/x; fi\n"
    )
    package = make_package({"usr/bin/x": b""}, scripts={"postinst": script})
    path = "var/lib/dpkg/statoverride"
    assert text(above(package, below=base(status=record("a"))), path) == "root staff 750 /usr/bin/x\n"
    told = Entry.file(path, b"root root 700 /usr/bin/x\n")
    assert path not in changes(above(package, below=base(told, status=record("a"))))


# -- packages in the place of the base's ----------------------------------------------------------------


def test_files_that_the_new_version_lacks_are_gone(make_package: MakePackage) -> None:
    """Not those of other packages, nor documentation, nor what is there by another name; folders once empty."""
    below = base(
        *(Entry.file(f"usr/{path}", b"") for path in ("lib/liba.so.1.0", "lib/same", "lib/shared", "lib/old/deep/x")),
        Entry.directory("usr/lib/old"), Entry.directory("usr/lib/old/deep"), Entry.directory("usr/lib/full"),
        Entry.file("usr/lib/full/local", b""), Entry.file("usr/share/doc/thing/README", b""),
        owned("thing", "lib/liba.so.1.0", "lib/same", "lib/shared", "usr/lib/old", "usr/lib/old/deep", "usr/lib/old/deep/x",
              "usr/lib/full", "usr/lib/never", "usr/share/doc/thing/README"),
        owned("other", "usr/lib/shared"),
        status=record("thing", "0") + record("other"),
    )  # fmt: skip
    made = above(make_package({"usr/lib/liba.so.1.1": b"", "usr/lib/same": b"2"}), below=below)
    assert [path for path in changes(made) if ".wh." in path] == [
        "usr/lib/.wh.liba.so.1.0",
        "usr/lib/.wh.old",
    ]


def test_nothing_of_a_package_that_stays_is_gone(make_package: MakePackage) -> None:
    below = base(Entry.file("usr/lib/x", b""), owned("other", "usr/lib/x"), status=record("other"))
    assert not any(".wh." in path for path in changes(above(make_package({}), below=below)))


def test_scripts_that_the_new_version_lacks_are_gone(make_package: MakePackage) -> None:
    info = "var/lib/dpkg/info"
    below = base(
        *(Entry.file(f"{info}/thing.{name}", b"") for name in ("preinst", "postinst", "list")),
        Entry.file(f"{info}/things.preinst", b""), status=record("thing", "0"),
    )  # fmt: skip
    made = above(make_package({}, scripts={"postinst": "#!/bin/sh\n"}), below=below)
    assert [path for path in changes(made) if ".wh." in path] == [f"{info}/.wh.thing.preinst"]


@pytest.mark.parametrize(
    ("there", "expected"), [(b"old", None), (b"mine", "etc/x.conf"), (None, "etc/.wh.x.conf")], ids=str
)
def test_configuration_that_was_changed_in_the_base_stays(
    make_package: MakePackage, there: bytes | None, expected: str | None
) -> None:
    old = hashlib.md5(b"old", usedforsecurity=False).hexdigest()
    below = base(
        *([Entry.file("etc/x.conf", there, 0o600)] if there else []),
        owned("thing", "etc/x.conf"), status=record("thing", "0", Conffiles=f"\n /etc/x.conf {old}\n /etc/gone 0 obsolete"),
    )  # fmt: skip
    made = above(make_package({"etc/x.conf": b"new"}, scripts={"conffiles": "/etc/x.conf\n"}), below=below)
    assert [path for path in changes(made) if path.startswith("etc/")] == ([expected] if expected else [])
    if there == b"mine":
        assert (text(made, "etc/x.conf"), changes(made)["etc/x.conf"].mode) == ("mine", 0o600)
    new = hashlib.md5(b"new", usedforsecurity=False).hexdigest()
    assert f" /etc/x.conf {new}\n" in text(made, "var/lib/dpkg/status")


@pytest.mark.parametrize(
    ("script", "made_one"),
    [
        ('[ "$1" = configure ] && [ -z "$2" ] || mkdir /a', True),
        ('if dpkg --compare-versions "$2" lt-nl 1.5; then mkdir /a; fi', True),
        ('if dpkg --compare-versions "$2" lt 0.5; then mkdir /a; fi', False),
        ('if dpkg --compare-versions "$2" ge 1; then mkdir /a; fi', True),
        ('if dpkg --compare-versions "$2" ne 1.0-1; then mkdir /a; fi', False),
        ("if [ -e /etc/passwd ]; then mkdir /a; fi", True),
    ],
)
def test_scripts_hear_of_the_version_before(make_package: MakePackage, script: str, made_one: bool) -> None:  # noqa: FBT001
    package = make_package({}, Version="2", scripts={"postinst": f"#!/bin/sh\n{script}\n"})
    made = above(package, below=base(status=record("thing")))
    assert ("a" in changes(made), made.unknown) == (made_one, ())


def test_a_preinst_sees_the_base_and_not_the_package(make_package: MakePackage) -> None:
    script = (
        '#!/bin/sh\nif [ "$1" = upgrade ] && [ -e /etc/passwd ] && [ ! -e /usr/x ]; then mkdir /"$2"; fi\n'
    )
    package = make_package({"usr/x": b""}, Version="2", scripts={"preinst": script})
    assert "1.0-1" in changes(above(package, below=base(status=record("thing"))))


# -- layouts --------------------------------------------------------------------------------------------


def test_on_a_base_that_is_not_merged_links_go_where_they_are_named(make_package: MakePackage) -> None:
    below = (Entry.directory("bin"), Entry.file("bin/sh", b""), *base(status=record("a"))[len(LINKS) :])
    script = "#!/bin/sh\nln -s sh /bin/ash\nupdate-alternatives --install /bin/e e /usr/bin/x 1\n"
    made = above(make_package({"usr/bin/x": b""}, scripts={"postinst": script}), below=below)
    assert {entry.path for entry in made.entries if entry.kind == "symlink"} == {
        "bin/ash",
        "bin/e",
        "etc/alternatives/e",
    }
