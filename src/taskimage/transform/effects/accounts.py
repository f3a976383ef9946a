"""/etc/passwd and /etc/group: base-passwd's masters, and the users that packages and the image add."""

from __future__ import annotations

import re

from taskimage.model.user import User
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["Accounts", "User", "number"]

MASTERS = "usr/share/base-passwd"
NOGROUP = 65534
SHADOW = 42
# Debian policy 9.2.2: what packages may take as they are installed.
DYNAMIC = range(100, 1000)
NOLOGIN = "/usr/sbin/nologin"


class Accounts:
    """Users and groups by name, in the order in which they came."""

    def __init__(self, tree: Tree) -> None:
        self.users: dict[str, User] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        for name, _, uid, gid, gecos, home, shell in _lines(tree, "passwd.master", 7):
            self.users[name] = User(
                name=name, uid=int(uid), gid=int(gid), home=home, shell=shell, gecos=gecos
            )
        for name, _, gid, members in _lines(tree, "group.master", 4):
            self.groups[name] = (int(gid), members.split(",") if members else [])

    def add_group(self, name: str, gid: int | None = None) -> int:
        """The number of the group ``name``, which is made where it is missing."""
        if name not in self.groups:
            taken = {gid for gid, _ in self.groups.values()}
            self.groups[name] = (_free(taken) if gid is None else gid, [])
        return self.groups[name][0]

    def add_member(self, user: str, group: str) -> None:
        """Makes ``user`` a member of ``group``, which is made where it is missing."""
        self.add_group(group)
        if user not in self.groups[group][1]:
            self.groups[group][1].append(user)

    def add_system_user(
        self, name: str, *, group: str | None, home: str = "/nonexistent", shell: str = NOLOGIN, uid: int | None = None,
        gecos: str = "",
    ) -> User:  # fmt: skip
        """The user ``name``, made where it is missing; ``group`` is its primary one, else nogroup."""
        if name not in self.users:
            taken = {user.uid for user in self.users.values()}
            free = _free(taken) if uid is None else uid
            gid = NOGROUP if group is None else self.add_group(group)
            self.users[name] = User(name=name, uid=free, gid=gid, home=home, shell=shell, gecos=gecos)
        return self.users[name]

    def add(self, user: User) -> None:
        """Adds ``user``, and a group of its name where its primary group has no name yet."""
        self.users[user.name] = user
        if user.gid not in {gid for gid, _ in self.groups.values()}:
            self.groups[user.name] = (user.gid, [])

    def uid(self, name: str) -> int | None:
        """The number of a user, given by name or number; None when it is not known."""
        return self.users[name].uid if name in self.users else number(name)

    def gid(self, name: str) -> int | None:
        """The number of a group, given by name or number; None when it is not known."""
        return self.groups[name][0] if name in self.groups else number(name)

    def entries(self, *, shadow: bool) -> tuple[Entry, ...]:
        """The files. No account has a password; ``shadow`` says whether files of their own say so."""
        field = "x" if shadow else "*"
        users = self.users.values()
        passwd = [f"{user.passwd(field)}\n" for user in users]
        group = [f"{n}:{field}:{gid}:{','.join(members)}\n" for n, (gid, members) in self.groups.items()]
        entries = [
            Entry.file("etc/passwd", "".join(passwd).encode()),
            Entry.file("etc/group", "".join(group).encode()),
        ]
        if shadow:
            lines = [f"{u.name}:*::0:99999:7:::\n" for u in users]
            groups = [f"{n}:*::{','.join(members)}\n" for n, (_, members) in self.groups.items()]
            entries.append(Entry.file("etc/shadow", "".join(lines).encode(), 0o640, gid=SHADOW))
            entries.append(Entry.file("etc/gshadow", "".join(groups).encode(), 0o640, gid=SHADOW))
        return tuple(entries)


def number(text: str | None) -> int | None:
    """The user or group number that ``text`` states, if it does (32 bits)."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,10}", text) and int(text) < 2**32 else None


def _free(taken: set[int]) -> int:
    return next((free for free in DYNAMIC if free not in taken), NOGROUP)


def _lines(tree: Tree, name: str, count: int) -> list[list[str]]:
    lines = (tree.read(f"{MASTERS}/{name}") or b"").decode("utf-8", "replace").splitlines()
    return [
        fields
        for line in lines
        if len(fields := line.split(":")) == count
        and all(number(field) is not None for field in fields[2 : count // 2 + 1])
    ]
