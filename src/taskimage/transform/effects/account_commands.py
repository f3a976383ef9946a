"""adduser, addgroup, useradd, groupadd, usermod and sysusers.d: the literal ways to make accounts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from taskimage.transform.effects.accounts import NOLOGIN, Accounts, number
from taskimage.transform.effects.file_commands import Files, NotUnderstood
from taskimage.transform.entry import Entry

__all__ = ["ACCOUNT_COMMANDS"]

_Command = Callable[[Accounts, Sequence[str], Files], bool]
_WITH_VALUE = frozenset({
    "--home", "--shell", "--gecos", "--comment", "--uid", "--gid", "--ingroup", "--home-dir", "--firstuid",
    "--lastuid", "-d", "-s", "-c", "-u", "-g", "-G", "--groups",
})  # fmt: skip


def _parse(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    names: list[str] = []
    _refuse_separators(words)
    todo = list(words)
    while todo:
        word = todo.pop(0)
        key, equals, value = word.partition("=")
        if not word.startswith("-"):
            names.append(word)
        elif equals or key not in _WITH_VALUE:
            options[key] = value
        else:
            options[key] = todo.pop(0) if todo else ""
    return options, names


def _adduser(accounts: Accounts, words: Sequence[str], files: Files) -> bool:
    options, names = _parse(words)
    if len(names) == 2:
        accounts.add_member(names[0], names[1])
        return True
    if "--system" not in options or len(names) != 1:
        if "--group" not in options:
            raise NotUnderstood
        return _addgroup(accounts, words, files)
    name = names[0]
    group = name if "--group" in options else options.get("--ingroup")
    is_new = name not in accounts.users
    user = accounts.add_system_user(
        name,
        group=group,
        home=options.get("--home", "/nonexistent"),
        shell=options.get("--shell", NOLOGIN),
        uid=number(options.get("--uid")),
        gecos=options.get("--gecos", options.get("--comment", "")).rstrip(","),
    )
    if is_new and "--home" in options and "--no-create-home" not in options:
        files.make(Entry.directory(files.place(user.home), 0o755, user.uid, user.gid))
    return True


def _addgroup(accounts: Accounts, words: Sequence[str], _: Files) -> bool:
    options, names = _parse(words)
    if len(names) != 1:
        raise NotUnderstood
    for name in names:
        accounts.add_group(name, number(options.get("--gid", options.get("-g"))))
    return True


def _useradd(accounts: Accounts, words: Sequence[str], _: Files) -> bool:
    options, names = _parse(words)
    if len(names) != 1 or not {"-r", "--system"} & options.keys():
        raise NotUnderstood
    accounts.add_system_user(
        names[0],
        group=options.get("-g", options.get("--gid", names[0])),
        home=options.get("-d", options.get("--home-dir", options.get("--home", "/nonexistent"))),
        shell=options.get("-s", options.get("--shell", NOLOGIN)),
        uid=number(options.get("-u", options.get("--uid"))),
        gecos=options.get("-c", options.get("--comment", "")),
    )
    return True


def _usermod(accounts: Accounts, words: Sequence[str], _: Files) -> bool:
    options, names = _parse([word.replace("-aG", "-G") for word in words if word != "-a"])
    if len(names) != 1 or options.keys() - {"-G", "--groups"}:
        raise NotUnderstood
    for group in options.get("-G", options.get("--groups", "")).split(","):
        accounts.add_member(names[0], group)
    return True


def _sysusers(accounts: Accounts, words: Sequence[str], files: Files) -> bool:
    for name in words:
        config = files.tree.read(f"usr/lib/sysusers.d/{name}")
        if config is None:
            raise NotUnderstood
        for line in config.decode("utf-8", "replace").splitlines():
            try:
                fields = shlex.split(line, comments=True)
            except ValueError as error:
                raise NotUnderstood from error
            if fields:
                _sysuser(accounts, (*fields, *["-"] * 6)[:6])
    return True


def _sysuser(accounts: Accounts, fields: Sequence[str]) -> None:
    """One line of sysusers.d(5); a dash stands for what is not said."""
    kind, name, wanted, gecos, home, shell = fields
    _refuse_separators((name, gecos, home, shell))
    uid, _, gid = wanted.partition(":")
    if kind.rstrip("!-") == "g":
        accounts.add_group(name, number(wanted))
    elif kind.rstrip("!-") == "u":
        accounts.add_group(name, number(gid or uid))
        accounts.add_system_user(
            name,
            group=name,
            home="/" if home == "-" else home,
            shell=NOLOGIN if shell == "-" else shell,
            uid=number(uid),
            gecos="" if gecos == "-" else gecos,
        )
    elif kind == "m":
        accounts.add_member(name, wanted)


def _refuse_separators(words: Iterable[str]) -> None:
    # They would end a field, or a line, of the files that accounts go to.
    if any(char in word for word in words for char in ":\n"):
        raise NotUnderstood


ACCOUNT_COMMANDS: Mapping[str, _Command] = {
    "adduser": _adduser, "addgroup": _addgroup, "useradd": _useradd, "groupadd": _addgroup, "usermod": _usermod,
    "systemd-sysusers": _sysusers,
}  # fmt: skip
