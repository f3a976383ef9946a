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
from taskimage.transform.effects.leftout import LEFT_OUT
from taskimage.transform.effects.program_commands import PROGRAM_COMMANDS
from taskimage.transform.effects.shell.host import Call, Host, Result
from taskimage.transform.effects.shell.interpreter import Interpreter
from taskimage.transform.effects.shell.nodes import ShellSyntaxError
from taskimage.transform.effects.shell.parser import parse_script
from taskimage.transform.effects.tree import Tree
from taskimage.transform.entry import Entry

__all__ = ["SHELL_SCRIPT", "TEMPORARY", "Commands"]

SHELL_SCRIPT = re.compile(r"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b")
"""How a file begins that a shell runs."""
TEMPORARY = "tmp/tmp."
"""How the paths of files begin that scripts make for a while."""
DONE, FAILED, UNKNOWN = Result(True, ""), Result(False, ""), Result(None)
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
        self._is_shared: Callable[[str], bool] = lambda _: False
        self._temporaries = 0
        self._known: dict[str, Callable[[Call, Interpreter], Result | None]] = {
            "[": self._test, "test": self._test, ".": self._source, "which": self._which, "command": self._which,
            "type": self._which, "false": lambda *_: FAILED, "echo": self._echo, "printf": self._printf,
            "cat": self._cat, "basename": self._basename, "dirname": self._basename, "dpkg": self._dpkg,
            "dpkg-divert": self._divert, "getent": self._getent, "uname": self._uname,
            "update-alternatives": self._alternatives, "cut": self._cut,
            "aa-enabled": lambda *_: FAILED, "aa-status": lambda *_: FAILED, "getcap": lambda *_: DONE,
            # Layers have no file capabilities: as on file systems without them, scripts fall back to a set-uid bit.
            "setcap": lambda *_: FAILED, "grep": self._grep,
            "seq": self._seq, "mktemp": self._temporary, "db_get": self._answer, "db_set": self._answer,
        }  # fmt: skip

    def begin(self, answers: Mapping[str, str | None], *, is_shared: Callable[[str], bool]) -> None:
        """Gets ready for another script.

        ``answers`` is what debconf answers to questions by name; ``is_shared`` says whether another package
        ships a file of that path.
        """
        self._is_shared = is_shared
        self.reasons.clear()
        self.files.umask = 0o022
        self._answers = dict(answers)

    def run(self, call: Call, shell: Interpreter) -> Result:
        """The result of one command."""
        name = posixpath.basename(call.name)
        if name in self._known and (result := self._known[name](call, shell)) is not None:
            return result
        if name in LEFT_OUT or any(word and word.endswith("/py_compile.py") for word in call.arguments):
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
            has_own = name in FILE_COMMANDS or name in ACCOUNT_COMMANDS
            return (None if has_own else self._follow(call)) or self._report(name, call)

    def _follow(self, call: Call) -> Result | None:
        """What comes of a program of the image that is a shell script itself; None for any other."""
        words = [word for word in call.arguments if word is not None]
        path = self._program(call.name) if call.sure and len(words) == len(call.arguments) else None
        text = (self._tree.read(path) or b"").decode("utf-8", "replace") if path else ""
        if not SHELL_SCRIPT.match(text):
            return None
        host = Host(self.run, self.write, self._tree.glob)
        try:
            return Interpreter(host, (f"/{path}", *words), {}).run_script(text)
        except ShellSyntaxError:
            return None

    def write(self, path: str, text: str | None, append: bool, sure: bool) -> None:  # noqa: FBT001 - Host's shape
        """Output that a script redirects to ``path``."""
        before = (self._tree.read(path) or b"") if append else b""
        try:
            if text is None or not sure:
                raise NotUnderstood
            self.files.place(path)
            data = before + text.encode("utf-8", "surrogateescape")
            self.files.make(self._tree.rewritten(path, data, 0o666 & ~self.files.umask))
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
        if name in PROGRAM_COMMANDS:
            return PROGRAM_COMMANDS[name](self.files, words)
        raise NotUnderstood

    def _alternatives(self, call: Call, _: Interpreter) -> Result:
        words = [word for word in call.arguments if word is not None]
        if _ALTERNATIVE_QUERIES & set(words):
            return UNKNOWN
        if _ALTERNATIVE_REMOVALS & set(words):
            return DONE
        choice = parse_install(words) if len(words) == len(call.arguments) else None
        if choice is None or not (call.sure or self._is_chosen(choice)):
            return self._report("update-alternatives", call)
        if not call.sure:
            return DONE
        self.choices.append(choice)
        return DONE

    def _is_chosen(self, choice: Choice) -> bool:
        return any((one.link, one.path) == (choice.link, choice.path) for one in self.choices)

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
        if not call.arguments:
            return Result(True, call.stdin)
        if None in call.arguments:
            return UNKNOWN
        read = [self._tree.read(str(word)) for word in call.arguments]
        known = [data.decode("utf-8", "surrogateescape") for data in read if data is not None]
        return Result(len(known) == len(read), "".join(known))

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
        path = (call.arguments or (None,))[-1]
        # Where nobody else has such a file, there is nothing to be moved out of the way.
        spares = path is not None and call.sure and path not in self._tree and not self._is_shared(path)
        return DONE if looks or spares else None

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

    def _grep(self, call: Call, _: Interpreter) -> Result | None:
        options, *rest = (*call.arguments, None)
        if options not in ("-qF", "-qFx") or len(rest) != 3 or rest[0] is None or rest[1] is None:
            return None
        lines = (self._tree.read(rest[1]) or b"").decode("utf-8", "replace").splitlines()
        return Result(rest[0] in lines if options == "-qFx" else any(rest[0] in line for line in lines), "")

    def _cut(self, call: Call, _: Interpreter) -> Result:
        options = re.fullmatch(r"-d ?(.) -f ?(\d+)", " ".join(word or "" for word in call.arguments))
        if options is None or call.stdin is None:
            return UNKNOWN
        rows = (line.split(options[1]) for line in call.stdin.splitlines())
        at = int(options[2]) - 1
        # A line without the delimiter stays whole.
        picked = (row[0] if len(row) == 1 else "".join(row[at : at + 1]) for row in rows)
        return Result(True, "".join(f"{text}\n" for text in picked))

    def _seq(self, call: Call, _: Interpreter) -> Result:
        try:
            first, *step, last = [
                int(word or "") for word in ("1", *call.arguments)[-max(2, len(call.arguments)) :]
            ]
        except ValueError:
            return UNKNOWN
        by = step[0] if step else 1
        return Result(
            True, "".join(f"{number}\n" for number in range(first, last + (1 if by > 0 else -1), by or 1))
        )

    def _temporary(self, call: Call, _: Interpreter) -> Result:
        if not call.sure or "-d" in call.arguments:
            return UNKNOWN
        self._temporaries += 1
        path = f"/{TEMPORARY}{self._temporaries}"
        self.files.make(Entry.file(path.lstrip("/"), b"", 0o600))
        return Result(True, f"{path}\n")

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
