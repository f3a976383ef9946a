"""Users and groups: those of a base or of base-passwd's masters, and those that packages and the image add."""

from __future__ import annotations

import re
from dataclasses import replace

from taskimage.model.user import User
from taskimage.transform.effects.tree import Tree

__all__ = ["Accounts", "User", "number"]

MASTERS = "usr/share/base-passwd"
NOGROUP = 65534
# Debian policy 9.2.2: what packages may take as they are installed.
DYNAMIC = range(100, 1000)
NOLOGIN = "/usr/sbin/nologin"


class Accounts:
    """Users and groups by name, in the order in which they came; those that ``tree`` has are there."""

    def __init__(self, tree: Tree) -> None:
        self.users: dict[str, User] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        passwd, group = "etc/passwd", "etc/group"
        if tree.file(passwd) is None:
            passwd, group = f"{MASTERS}/passwd.master", f"{MASTERS}/group.master"
        for name, _, uid, gid, gecos, home, shell in _lines(tree, passwd, 7):
            self.users[name] = User(
                name=name, uid=int(uid), gid=int(gid), home=home, shell=shell, gecos=gecos
            )
        for name, _, gid, members in _lines(tree, group, 4):
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

    def add(self, user: User) -> User:
        """Adds ``user``, and a group of its name where its primary group has no name yet.

        Nothing is added where the name or the number is somebody's already: a second one would shadow it.
        What is returned is ``user``, with the numbers that its name has.
        """
        if known := self.users.get(user.name):
            return replace(user, uid=known.uid, gid=known.gid)
        if user.uid not in {known.uid for known in self.users.values()}:
            self.users[user.name] = user
            if user.name not in self.groups and user.gid not in {gid for gid, _ in self.groups.values()}:
                self.groups[user.name] = (user.gid, [])
        return user

    def uid(self, name: str) -> int | None:
        """The number of a user, given by name or number; None when it is not known."""
        return self.users[name].uid if name in self.users else number(name)

    def gid(self, name: str) -> int | None:
        """The number of a group, given by name or number; None when it is not known."""
        return self.groups[name][0] if name in self.groups else number(name)


def number(text: str | None) -> int | None:
    """The user or group number that ``text`` states, if it does (32 bits)."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,10}", text) and int(text) < 2**32 else None


def _free(taken: set[int]) -> int:
    return next((free for free in DYNAMIC if free not in taken), NOGROUP)


def _lines(tree: Tree, path: str, count: int) -> list[list[str]]:
    lines = (tree.read(path) or b"").decode("utf-8", "surrogateescape").splitlines()
    return [
        fields
        for line in lines
        if len(fields := line.split(":")) == count
        and all(number(field) is not None for field in fields[2 : count // 2 + 1])
    ]
