"""What the commands of maintainer scripts do: change files, ask, or nothing that an image would show."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence

from taskimage.model.errors import BadInput
from taskimage.transform.deb.version import OPERATORS, sort_key
from taskimage.transform.effects.account_commands import ACCOUNT_COMMANDS
from taskimage.transform.effects.accounts import Accounts
from taskimage.transform.effects.alternatives import Choice, parse_install
from taskimage.transform.effects.conditions import evaluate_test
from taskimage.transform.effects.file_commands import FILE_COMMANDS, Files, NotUnderstood
from taskimage.transform.effects.shell.interpreter import Call, Interpreter, Result
from taskimage.transform.effects.shell.parser import parse_script
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["Commands"]

DONE, FAILED, UNKNOWN = Result(True, ""), Result(False, ""), Result(None)
# Nothing in the files of an image changes by these: they tell running services, print, or redo what is made
# for the image as a whole (linker cache, bytecode, login shells).
_NO_EFFECT = frozenset({
    ":", "true", "trap", "hash", "wait", "sync", "sleep", "exec", "cd", "ldconfig", "update-shells",
    "deb-systemd-helper", "deb-systemd-invoke", "systemctl", "invoke-rc.d", "update-rc.d", "service",
    "systemd-tmpfiles", "udevadm", "telinit", "kill", "killall", "apparmor_parser", "restorecon", "chcon",
    "dpkg-trigger", "dpkg-maintscript-helper", "db_version", "db_capb", "db_input", "db_go",
    "db_reset", "db_stop", "db_fset", "db_metaget", "db_subst", "db_register", "db_unregister", "db_title", "db_purge",
    "py3compile", "pycompile", "pypy3compile", "py3clean", "pyclean", "update-menus", "update-mime",
    "update-info-dir", "install-info", "update-binfmts", "mandb", "ucfr", "setup_colors", "shadowconfig",
})  # fmt: skip
# These only look, and what they find is not known here; but not with the options beside them.
_QUERIES = frozenset({
    "grep", "egrep", "fgrep", "sed", "awk", "cut", "tr", "sort", "uniq", "wc", "head", "tail", "ls", "find", "cat",
    "readlink", "realpath", "stat", "diff", "cmp", "md5sum", "sha1sum", "sha256sum", "sha512sum", "id", "getconf",
    "mountpoint", "ischroot", "pidof", "pgrep", "ps", "tempfile", "mktemp", "expr", "seq", "date", "hostname",
    "dpkg", "dpkg-query", "dpkg-vendor", "dpkg-realpath", "debconf-show", "runlevel", "locale",
})  # fmt: skip
_CHANGING = frozenset({"-i", "--in-place", "-exec", "-execdir", "-delete", "--install", "--unpack"})
_FOLDERS = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
# What update-alternatives does besides --install: a first installation has nothing to remove or set.
# Manual pages are left out of images, and links to them with them.
_MANUAL = re.compile(r"^/usr/share/man/|\.[1-9]\w*\.gz$")
_ALTERNATIVE_QUERIES = frozenset({"--list", "--query", "--display", "--get-selections"})
_ALTERNATIVE_REMOVALS = frozenset({"--remove", "--remove-all", "--auto"})


class Commands:
    """Carries out commands; ``files.made`` and ``choices`` have what came of them.

    ``reasons`` has the commands that were not understood, or that may or may not run.
    """

    def __init__(self, tree: Tree, accounts: Accounts, *, architecture: str) -> None:
        self.files = Files(tree, accounts)
        self.choices: list[Choice] = []
        self.reasons: list[str] = []
        self._tree = tree
        self._accounts = accounts
        self._architecture = architecture
        self._answers: dict[str, str | None] = {}
        self._known: dict[str, Callable[[Call, Interpreter], Result | None]] = {
            "[": self._test, "test": self._test, ".": self._source, "which": self._which, "command": self._which,
            "type": self._which, "false": lambda *_: FAILED, "echo": self._echo, "printf": self._printf,
            "cat": self._cat, "basename": self._basename, "dirname": self._basename, "dpkg": self._dpkg,
            "dpkg-divert": self._divert, "getent": self._getent, "uname": self._uname,
            "update-alternatives": self._alternatives, "read": self._read, "db_get": self._answer, "db_set": self._answer,
        }  # fmt: skip

    def begin(self, answers: Mapping[str, str | None]) -> None:
        """Gets ready for another script; ``answers`` is what debconf answers to questions by name."""
        self.reasons.clear()
        self.files.umask = 0o022
        self._answers = dict(answers)

    def run(self, call: Call, shell: Interpreter) -> Result:
        """The result of one command."""
        name = posixpath.basename(call.name)
        if name in self._known and (result := self._known[name](call, shell)) is not None:
            return result
        if name in _NO_EFFECT:
            return DONE
        if name in _QUERIES and not _CHANGING & set(call.arguments):
            return UNKNOWN
        words = [word for word in call.arguments if word is not None]
        try:
            # What may not run is not done; but nothing there is nothing to remove.
            if name not in ("rm", "rmdir") and (len(words) < len(call.arguments) or not call.sure):
                raise NotUnderstood
            return Result(self._change(name, words), "")
        except NotUnderstood:
            return self._report(name, call)

    def write(self, path: str, text: str | None, append: bool, sure: bool) -> None:  # noqa: FBT001 - Host's shape
        """Output that a script redirects to ``path``."""
        before = (self._tree.read(path) or b"") if append else b""
        try:
            if text is None or not sure:
                raise NotUnderstood
            self.files.make(
                Entry.file(self.files.place(path), before + text.encode(), 0o666 & ~self.files.umask)
            )
        except NotUnderstood:
            self.reasons.append(f"writes {path or 'a file'}")

    def _report(self, name: str, call: Call) -> Result:
        if any(word and _MANUAL.search(word) for word in call.arguments):
            return UNKNOWN
        shown = " ".join("…" if word is None else word for word in (name, *call.arguments))
        self.reasons.append(f"runs {shown:.120}")
        return UNKNOWN

    def _change(self, name: str, words: Sequence[str]) -> bool:
        if name in FILE_COMMANDS:
            return FILE_COMMANDS[name](self.files, words)
        if name in ACCOUNT_COMMANDS:
            return ACCOUNT_COMMANDS[name](self._accounts, words, self.files)
        raise NotUnderstood

    def _alternatives(self, call: Call, _: Interpreter) -> Result:
        words = [word for word in call.arguments if word is not None]
        if _ALTERNATIVE_QUERIES & set(words):
            return UNKNOWN
        if _ALTERNATIVE_REMOVALS & set(words):
            return DONE
        choice = parse_install(words) if len(words) == len(call.arguments) and call.sure else None
        if choice is None:
            return self._report("update-alternatives", call)
        self.choices.append(choice)
        return DONE

    def _test(self, call: Call, _: Interpreter) -> Result:
        words = call.arguments[:-1] if call.name == "[" else call.arguments
        return Result(evaluate_test(words, self._tree), "")

    def _source(self, call: Call, shell: Interpreter) -> Result:
        path = call.arguments[0] if call.arguments else None
        if path == "/usr/share/debconf/confmodule":
            return DONE
        if path is None:
            return self._report(".", call)
        data = self._tree.read(path)
        return UNKNOWN if data is None else shell.run(parse_script(data.decode("utf-8", "replace")))

    def _which(self, call: Call, _: Interpreter) -> Result | None:
        if call.name == "command" and not {"-v", "-V"} & set(call.arguments):
            return None
        names = [word for word in call.arguments if word is not None and not word.startswith("-")]
        found = [path for name in names if (path := self._program(name))]
        return Result(True, f"/{found[0]}\n") if found and len(found) == len(names) else FAILED

    def _program(self, name: str) -> str | None:
        paths = [name.lstrip("/")] if "/" in name else [f"{folder}/{name}" for folder in _FOLDERS]
        return next((path for path in paths if path in self._tree), None)

    def _echo(self, call: Call, _: Interpreter) -> Result:
        words = [word for word in call.arguments if word is not None]
        if len(words) < len(call.arguments):
            return Result(True)
        return Result(True, " ".join(words[1:]) if words[:1] == ["-n"] else " ".join(words) + "\n")

    def _printf(self, _: Call, __: Interpreter) -> Result:
        return Result(True)

    def _cat(self, call: Call, _: Interpreter) -> Result:
        return Result(True, call.stdin) if not call.arguments else UNKNOWN

    def _basename(self, call: Call, _: Interpreter) -> Result:
        words = [word for word in call.arguments if word is not None]
        if not words or len(words) < len(call.arguments):
            return UNKNOWN
        if call.name == "dirname":
            return Result(True, f"{posixpath.dirname(words[0]) or '.'}\n")
        return Result(True, posixpath.basename(words[0]).removesuffix("".join(words[1:2])) + "\n")

    def _dpkg(self, call: Call, _: Interpreter) -> Result | None:
        if call.arguments == ("--print-architecture",):
            return Result(True, f"{self._architecture}\n")
        if call.arguments[:1] == ("--compare-versions",) and len(call.arguments) == 4:
            return Result(_compared(*call.arguments[1:]), "")
        return None

    def _divert(self, call: Call, _: Interpreter) -> Result | None:
        # Only files that a diversion moves matter to an image: dpkg asks for the others when it upgrades.
        if call.arguments[:1] == ("--truename",) and len(call.arguments) == 2:
            return Result(True, f"{call.arguments[1]}\n")
        looks = {"--list", "--listpackage", "--no-rename"} & set(call.arguments)
        return DONE if looks else None

    def _getent(self, call: Call, _: Interpreter) -> Result:
        if len(call.arguments) != 2 or call.arguments[1] is None:
            return UNKNOWN
        if call.arguments[0] == "passwd":
            return Result(call.arguments[1] in self._accounts.users)
        return Result(call.arguments[1] in self._accounts.groups) if call.arguments[0] == "group" else UNKNOWN

    def _answer(self, call: Call, shell: Interpreter) -> Result:
        question, *value = (*call.arguments, None)
        if question is None:
            return UNKNOWN
        if call.name == "db_set":
            self._answers[question] = value[0] if call.sure else None
        else:
            shell.assign("RET", self._answers.get(question))
        return DONE

    def _read(self, call: Call, shell: Interpreter) -> Result:
        for name in call.arguments:
            shell.assign(name or "", None)
        return UNKNOWN

    def _uname(self, call: Call, _: Interpreter) -> Result:
        return Result(True, "Linux\n") if call.arguments in ((), ("-s",)) else UNKNOWN


# The words of dpkg(1) for the relations between versions, beside the signs.
_WORDS = {"lt": "<<", "le": "<=", "eq": "=", "ge": ">=", "gt": ">>"}


def _compared(left: str | None, word: str | None, right: str | None) -> bool | None:
    """What `dpkg --compare-versions` answers; None where that is not known."""
    if left is None or word is None or right is None:
        return None
    if not left:
        # The version before, of which there is none: earlier than any, and for the -nl ones later (dpkg(1)).
        return word in ("lt", "le", "<<", "<=", "<", "ne", "gt-nl", "ge-nl")
    try:
        one, other = sort_key(left), sort_key(right)
    except BadInput:
        return None
    word = word.removesuffix("-nl")
    sign = _WORDS.get(word, word)
    return one != other if word == "ne" else OPERATORS[sign](one, other) if sign in OPERATORS else None
