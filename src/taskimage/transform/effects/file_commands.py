"""mkdir, ln, cp, install, chmod and their like, on a tree instead of a disk."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from taskimage.transform.deb.layout import MERGED
from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["FILE_COMMANDS", "OVERRIDES", "Files", "NotUnderstood"]

OVERRIDES = "var/lib/dpkg/statoverride"
"""Where dpkg-statoverride keeps what it was told: user, group, mode and path in each line."""


class NotUnderstood(Exception):
    """A command that does what is not known here."""


class Files:
    """The files of an image; ``made`` has those that commands made or changed, ``removed`` links that are gone.

    Each command takes its words and returns whether it succeeds, as its status says. Raises NotUnderstood.
    """

    def __init__(self, tree: Tree, accounts: Accounts) -> None:
        self.tree = tree
        self.accounts = accounts
        self.made: dict[str, Entry] = {}
        self.removed: set[str] = set()
        self.umask = 0o022
        self._new: set[str] = set()  # of those made, what was not there before

    def make(self, entry: Entry) -> None:
        """Puts ``entry`` into the tree."""
        if self.tree.get(entry.path) is None:
            self._new.add(entry.path)
        self.made[entry.path] = entry
        self.removed.discard(entry.path)
        self.tree.add(entry)

    def place(self, path: str) -> str:
        """Where a file named ``path`` is made: the links of its folder followed."""
        place = self.tree.place(path)
        if (
            not path.startswith("/")
            or not posixpath.basename(path.rstrip("/"))
            or "\0" in path
            or place is None
        ):
            raise NotUnderstood
        return place

    def remove(self, words: Sequence[str]) -> bool:
        for word in words:
            place = self.tree.place(word) if word.startswith("/") else None
            entry = self.tree.get(place) if place else None
            # The links of the merged /usr stay, whatever a script thinks of them: programs are found through them.
            if entry is None or entry.kind == "dir" or entry.path in MERGED:
                continue
            # On a first installation nothing is left over from before; files that packages ship must stay.
            # A link among them is a setting: fontconfig's, for one.
            if entry.path in self._new:
                self._new.remove(entry.path)
            elif entry.kind == "symlink":
                self.removed.add(entry.path)
            else:
                raise NotUnderstood
            self.made.pop(entry.path, None)
            self.tree.remove(entry.path)
        return True

    def set_umask(self, words: Sequence[str]) -> bool:
        self.umask = _mode(words[0]) if words else self.umask
        return True

    def mkdir(self, words: Sequence[str]) -> bool:
        options, paths = _options(words, values="m")
        for path in map(self.place, paths):
            if not self.tree.is_directory(path):
                self.make(
                    Entry.directory(path, _mode(options["m"]) if "m" in options else 0o777 & ~self.umask)
                )
        return True

    def touch(self, words: Sequence[str]) -> bool:
        for path in _options(words, values="drt")[1]:
            if path not in self.tree:
                self.make(Entry.file(self.place(path), b"", 0o666 & ~self.umask))
        return True

    def link(self, words: Sequence[str]) -> bool:
        options, paths = _options(words)
        if "s" not in options or len(paths) != 2 or not paths[0] or "\0" in paths[0]:
            raise NotUnderstood
        target, path = paths
        if self.tree.is_directory(path) and not options.keys() & {"n", "T"}:
            path = posixpath.join(path, posixpath.basename(target))
        if self.tree.get(self.place(path)) is not None and "f" not in options:
            return False
        self.make(Entry.symlink(self.place(path), target))
        return True

    def copy(self, words: Sequence[str]) -> bool:
        options, paths = _options(words)
        if len(paths) != 2 or options.keys() - set("apfdnTZ"):
            raise NotUnderstood
        source, target = self.tree.file(paths[0]), paths[1]
        if source is None:
            raise NotUnderstood
        if self.tree.is_directory(target):
            target = posixpath.join(target, posixpath.basename(paths[0]))
        if "n" not in options or target not in self.tree:
            self.make(replace(source, path=self.place(target)))
        return True

    def install(self, words: Sequence[str]) -> bool:
        options, paths = _options(words, values="mog")
        mode = _mode(options.get("m", "755"))
        uid, gid = self._uid(options.get("o", "0")), self._gid(options.get("g", "0"))
        if "d" in options:
            for path in paths:
                self.make(Entry.directory(self.place(path), mode, uid, gid))
            return True
        self.copy(paths)
        self.make(replace(self.made[self.place(paths[1])], mode=mode, uid=uid, gid=gid))
        return True

    def copy_config(self, words: Sequence[str]) -> bool:
        paths = _options(words, values="S")[1]
        if len(paths) == 2:
            return paths[1] in self.tree or self.copy(paths)
        # With one path ucf only looks, or forgets.
        if len(paths) > 2:
            raise NotUnderstood
        return True

    def change_mode(self, words: Sequence[str]) -> bool:
        options, (mode, *paths) = _options(words)
        return self._alter(paths, options, lambda entry: replace(entry, mode=_mode(mode, entry.mode)))

    def change_owner(self, words: Sequence[str]) -> bool:
        options, (owner, *paths) = _options(words)
        user, _, group = owner.replace(".", ":").partition(":")

        def change(entry: Entry) -> Entry:
            uid = self._uid(user) if user else entry.uid
            return replace(entry, uid=uid, gid=self._gid(group) if group else entry.gid)

        return self._alter(paths, options, change)

    def change_group(self, words: Sequence[str]) -> bool:
        options, (group, *paths) = _options(words)
        return self._alter(paths, options, lambda entry: replace(entry, gid=self._gid(group)))

    def override(self, words: Sequence[str]) -> bool:
        before = (self.tree.read(OVERRIDES) or b"").decode("utf-8", "surrogateescape")
        if "--list" in words:
            return any(line.split()[-1:] == [words[-1]] for line in before.splitlines())
        words = [word for word in words if not word.startswith("--")]
        if len(words) != 4:
            raise NotUnderstood
        user, group, mode, path = words
        if not (self.change_owner([f"{user}:{group}", path]) and self.change_mode([mode, path])):
            return False
        text = before + f"{user} {group} {mode.lstrip('0')} {path}\n"
        self.make(self.tree.rewritten(OVERRIDES, text.encode("utf-8", "surrogateescape")))
        return True

    def add_shell(self, words: Sequence[str]) -> bool:
        before = self.tree.read("etc/shells") or b"# /etc/shells: valid login shells\n"
        known = before.decode().splitlines()
        added = "".join(f"{word}\n" for word in words if word not in known)
        self.make(Entry.file("etc/shells", before + added.encode()))
        return True

    def _alter(
        self, paths: Sequence[str], options: Mapping[str, str], change: Callable[[Entry], Entry]
    ) -> bool:
        if "R" in options:
            raise NotUnderstood
        for path in paths:
            place = self.place(path)
            entry = self.tree.get(place)
            if entry is None and not self.tree.is_directory(place):
                return False
            self.make(change(entry or Entry.directory(place)))
        return True

    def _uid(self, name: str) -> int:
        if (number := self.accounts.uid(name)) is None:
            raise NotUnderstood
        return number

    def _gid(self, name: str) -> int:
        if (number := self.accounts.gid(name)) is None:
            raise NotUnderstood
        return number


FILE_COMMANDS: Mapping[str, Callable[[Files, Sequence[str]], bool]] = {
    "mkdir": Files.mkdir, "touch": Files.touch, "ln": Files.link, "cp": Files.copy, "install": Files.install,
    "ucf": Files.copy_config, "chmod": Files.change_mode, "chown": Files.change_owner,
    "chgrp": Files.change_group, "dpkg-statoverride": Files.override, "add-shell": Files.add_shell,
    "rm": Files.remove, "rmdir": Files.remove, "umask": Files.set_umask,
}  # fmt: skip

_LONG = {
    "--parents": "p", "--recursive": "R", "--verbose": "v", "--force": "f", "--directory": "d", "--quiet": "q",
    "--no-dereference": "h", "--preserve": "p", "--no-target-directory": "T", "--mode": "m", "--owner": "o",
    "--group": "g", "--symbolic": "s", "--sum-file": "S", "--src-dir": "S", "--debconf-ok": "q",
    "--purge": "q", "--three-way": "q",
}  # fmt: skip


def _options(words: Sequence[str], *, values: str = "") -> tuple[dict[str, str], list[str]]:
    """Options by letter (those of ``values`` with their value), and the other words: at least one."""
    options: dict[str, str] = {}
    rest: list[str] = []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if name not in _LONG:
                raise NotUnderstood
            todo[:0] = [f"-{_LONG[name]}", *([value] if equals else [])]
        elif word.startswith("-") and len(word) > 1:
            letters, valued, value = _cut(word[1:], values)
            options |= dict.fromkeys(letters, "")
            if valued:
                options[valued] = value or (todo.pop(0) if todo else "")
        else:
            rest.append(word)
    if not rest:
        raise NotUnderstood
    return options, rest


def _cut(letters: str, values: str) -> tuple[str, str, str]:
    """Letters before the first one that has a value, that one, and what follows it."""
    at = next((i for i, letter in enumerate(letters) if letter in values), len(letters))
    return letters[:at], letters[at : at + 1], letters[at + 1 :]


_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}


def _mode(text: str, before: int = 0o755) -> int:
    """The mode that chmod's ``text`` makes of ``before``."""
    if text and not text.strip("01234567"):
        return int(text, 8) & 0o7777
    mode = before
    for clause in text.split(","):
        operator = next((char for char in clause if char in "+-="), "+")
        who, _, bits = clause.partition(operator)
        if operator not in clause or set(who) - set(_WHO) or set(bits) - set(_BITS):
            raise NotUnderstood
        mask = value = 0
        for letter in who or "a":
            mask |= _WHO[letter]
        for letter in bits:
            value |= _BITS[letter] & (mask | _BITS["t"])
        mode = {"+": mode | value, "-": mode & ~value, "=": mode & ~mask | value}[operator]
    return mode
