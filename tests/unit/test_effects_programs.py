"""Programs of packages that maintainer scripts run, made without running them."""

from __future__ import annotations

import pytest

from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.file_commands import Files, NotUnderstood
from taskimage.transform.effects.pam import pam_stacks
from taskimage.transform.effects.program_commands import PROGRAM_COMMANDS
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

TEMPLATE = (
    b"# first\n$session_nonint_primary\nsession\trequisite\tpam_deny.so\n$session_nonint_additional\n# last\n"
)
UNIX = b"""\
Name: Unix
Default: yes
Priority: 256
Session-Type: Additional
Session:
\trequired\tpam_unix.so
Auth-Type: Primary
Auth:
\t[success=end default=ignore]\tpam_unix.so try_first_pass
Auth-Initial:
\t[success=end default=ignore]\tpam_unix.so
"""
DIRECTORY = b"""\
Name: Directory
Default: yes
Priority: 128
Auth-Type: Primary
Auth:
\t[success=end default=ignore]\tpam_ldap.so use_first_pass
"""


def files(**contents: bytes) -> Files:
    entries = [Entry.file(path.replace("__", "/").replace("_", "-"), data) for path, data in contents.items()]
    tree = Tree(entries)
    return Files(tree, Accounts(tree))


def stacks(**profiles: bytes) -> dict[str, str]:
    templates = {"auth": b"$auth_primary\n", "session-noninteractive": TEMPLATE}
    tree = Tree(
        [
            *(Entry.file(f"usr/share/pam/common-{name}", data) for name, data in templates.items()),
            *(Entry.file(f"usr/share/pam-configs/{name}", data) for name, data in profiles.items()),
        ]
    )
    read = Tree(pam_stacks(tree))
    return {name: (read.read(f"etc/pam.d/common-{name}") or b"").decode() for name in templates}


def test_profiles_fill_the_stacks_by_priority_and_jump_to_their_end() -> None:
    assert stacks(ldap=DIRECTORY, unix=UNIX)["auth"] == (
        "auth\t[success=2 default=ignore]\tpam_unix.so \n"
        "auth\t[success=1 default=ignore]\tpam_ldap.so use_first_pass\n"
    )


@pytest.mark.parametrize(
    ("profile", "last"),
    [
        (UNIX, "session\trequired\tpam_unix.so \n# last\n"),
        (UNIX.replace(b"Priority", b"Session-Interactive-Only: yes\nPriority"), "pam_deny.so\n# last\n"),
        (UNIX.replace(b"Default: yes", b"Default: no"), "pam_deny.so\n# last\n"),
    ],
)
def test_only_what_is_on_by_default_and_meant_for_a_stack_is_in_it(profile: bytes, last: str) -> None:
    stack = stacks(unix=profile)["session-noninteractive"]
    assert stack.startswith("# first\nsession\t[default=1]\t\t\tpam_permit.so\n")
    assert stack.endswith(last)


def test_stacks_that_a_base_brings_stay() -> None:
    there = files(usr__share__pam__common_auth=b"$auth_primary\n", etc__pam_d=b"")
    there.tree.add(Entry.file("etc/pam.d/common-auth", b"by hand\n"))
    with pytest.raises(NotUnderstood):
        PROGRAM_COMMANDS["pam-auth-update"](there, ["--package"])


def test_a_driver_is_registered_once() -> None:
    there = files(usr__share__x=b"[TDS]\nDriver\t= libtds.so\n")
    register = ["-i", "-d", "-f", "/usr/share/x"]
    assert PROGRAM_COMMANDS["odbcinst"](there, register)
    assert there.tree.read("etc/odbcinst.ini") == b"[TDS]\nDriver=libtds.so\nUsageCount=1\n\n"
    with pytest.raises(NotUnderstood):
        PROGRAM_COMMANDS["odbcinst"](there, register)


def test_git_lfs_is_added_once_to_what_git_is_told() -> None:
    there = files(etc__gitconfig=b"[user]\n")
    for _ in range(2):
        assert PROGRAM_COMMANDS["git"](there, ["lfs", "install", "--system"])
    text = (there.tree.read("etc/gitconfig") or b"").decode()
    assert text.startswith('[user]\n[filter "lfs"]\n')
    assert text.count("smudge =") == 1


@pytest.mark.parametrize(
    "plugin", [b"", b"\x7fELF\x01\x01", b"\x7fELF\x02\x01" + bytes(58), b"\x7fELF\x02\x01" + b"\xff" * 58]
)
def test_a_plugin_that_cannot_be_read_is_not_guessed(plugin: bytes) -> None:
    there = files()
    there.tree.add(Entry.file("usr/lib/x/graphviz/libgvplugin_a.so.6", plugin))
    with pytest.raises(NotUnderstood):
        PROGRAM_COMMANDS["libgvc6-config-update"](there, ["-c"])


def test_schemas_are_not_compiled() -> None:
    there = files()
    assert PROGRAM_COMMANDS["glib-compile-schemas"](there, ["/usr/share/schemas"])
    there.tree.add(Entry.file("usr/share/schemas/org.x.gschema.xml", b""))
    with pytest.raises(NotUnderstood):
        PROGRAM_COMMANDS["glib-compile-schemas"](there, ["/usr/share/schemas"])
