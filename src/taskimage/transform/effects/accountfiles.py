"""/etc/passwd, /etc/group, and the files of passwords beside them: made, or a base's own with what is new."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["account_files"]

SHADOW = 42


def account_files(accounts: Accounts, tree: Tree, *, shadow: bool) -> tuple[Entry, ...]:
    """The files of ``accounts``. Those that are in ``tree`` keep their lines, and get what it does not have.

    No new account has a password; ``shadow`` says whether files of their own say so, where none is there.
    """
    before, users, groups = Accounts(tree), accounts.users, accounts.groups
    has_shadow, has_gshadow = (shadow or f"etc/{name}" in tree for name in ("shadow", "gshadow"))
    field = "x" if has_shadow else "*"
    members = {name: ",".join(them) for name, (_, them) in groups.items()}
    passwd = {name: user.passwd(field) for name, user in users.items()}
    group = {name: f"{name}:{field}:{gid}:{members[name]}" for name, (gid, _) in groups.items()}
    new_users = users.keys() - before.users.keys()
    new_groups = {name for name, item in groups.items() if before.groups.get(name) != item}
    entries = [_file("passwd", passwd, new_users, tree), _file("group", group, new_groups, tree)]
    if has_shadow:
        secrets = {name: f"{name}:*::0:99999:7:::" for name in users}
        entries.append(_file("shadow", secrets, new_users, tree))
    if has_gshadow:
        secrets = {name: f"{name}:*::{members[name]}" for name in groups}
        entries.append(_file("gshadow", secrets, new_groups, tree))
    return tuple(entries)


def _file(name: str, lines: Mapping[str, str], new: Collection[str], tree: Tree) -> Entry:
    path = f"etc/{name}"
    there = tree.read(path)
    data = _text([*lines.values()]) if there is None else _grown(there, lines, new)
    is_secret = name.endswith("shadow")
    return tree.rewritten(path, data, 0o640 if is_secret else 0o644, gid=SHADOW if is_secret else 0)


def _grown(there: bytes, lines: Mapping[str, str], new: Collection[str]) -> bytes:
    """``there`` with the lines of what is ``new``; where it has a line of that name, a group got members."""
    if not new:
        return there
    text = there.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    known = {line.partition(":")[0] for line in text}
    text = [_joined(line, lines) if line.partition(":")[0] in new else line for line in text]
    return _text([*text, *(line for name, line in lines.items() if name in new and name not in known)])


def _joined(line: str, lines: Mapping[str, str]) -> str:
    """``line`` of a group, with the members that its name has in ``lines``."""
    members = lines[line.partition(":")[0]].rpartition(":")[2]
    return f"{line.rpartition(':')[0]}:{members}"


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
