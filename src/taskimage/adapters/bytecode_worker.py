"""Compiles sources sent over a pipe. Runs alone, in the image's own Python, of any version from 3.8 on.

Its first words are a line with the version of this Python. Then come lengths and bytes, big-endian. Sources come
in batches, and the answers to a batch when the whole of it was read, so that neither side waits for the other:

    batch           >I  count of requests
    request         >II lengths, then the path that the code shall state, then the source
    answers         >I  length of all answers
    answer          >i  length, then the .pyc; -1 where there is none

The library of an image has no bytecode yet: each module of it that is imported here is compiled at every start, and
`importlib.util`, `types` and `warnings` take three times as long as all else. What they build on is in the interpreter itself.
"""

from __future__ import annotations

import _imp
import _warnings
import marshal
import struct
import sys
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any
else:
    CodeType = type((lambda: None).__code__)

# PEP 552: bit 0 says "by hash", bit 1 "check the source"; an image's sources do not change.
UNCHECKED = 0b01

NESTED = frozenset({CodeType, tuple, frozenset})


def holds_frozenset(value: object) -> bool:
    """Whether a constant is, or contains, a frozenset; code objects are constants of their code objects."""
    if isinstance(value, CodeType):
        value = value.co_consts
    if isinstance(value, tuple):
        return any(map(holds_frozenset, [one for one in value if type(one) in NESTED]))
    return isinstance(value, frozenset)


def settled(value: Any, names: dict[str, str]) -> Any:
    """The same constant, with frozensets that nothing else refers to, and with the very strings of ``names``.

    What has neither stays as it is; what has one is made anew in any case, since what is referred to twice is marked.
    """
    if isinstance(value, CodeType):
        constants = settled(value.co_consts, names)
        return value if constants is value.co_consts else value.replace(co_consts=constants)
    if isinstance(value, frozenset):
        return frozenset([settled(one, names) for one in value])
    if isinstance(value, str):
        return names.get(value, value)
    if not isinstance(value, tuple):
        return value
    items, same = list(value), True
    # All constants of all sources come by here, and hardly one is made anew.
    for number, one in enumerate(value):
        if type(one) in NESTED:
            items[number] = new = settled(one, names)
            same = same and new is one
        elif type(one) is str and one in names:
            items[number] = names[one]
            same = False
    return value if same else tuple(items)


def names_within(code: CodeType, found: dict[str, str]) -> dict[str, str]:
    """The qualified names of all that stands in something else within ``code``, added to ``found``."""
    name: str = code.co_qualname  # type: ignore[attr-defined]  # from 3.11 on
    if "." in name:
        found[name] = name
    for one in code.co_consts:
        if type(one) is CodeType:
            names_within(one, found)
    return found


def dumped(code: CodeType) -> bytes | None:
    """The marshalled code, the same in every process, or None.

    Marshal marks what is referred to more than once, and what the compiler shares depends on what it compiled, or
    what was imported, before. It shares the constants of a file, and then copies a frozenset for each code object
    that has it when another string with the text of one of its items is interned already: so frozensets are never
    shared here. From 3.12 on it interns qualified names, and that of a class within something else is a constant,
    too: the same string, unless there was an interned one, which in 3.12 stays for ever. So it is always the same.

    Before 3.11 the items of frozensets, too, have the order of the hash seed, and more than frozensets is marked
    by chance; version 2 of the format knows no marks.
    """
    if sys.version_info < (3, 11):
        return None if holds_frozenset(code) else marshal.dumps(code, 2)
    names = names_within(code, {}) if sys.version_info >= (3, 12) else {}
    return marshal.dumps(settled(code, names), marshal.version)


def compiled(path: str, source: bytes) -> bytes | None:
    """The .pyc of a source; None where it is not valid in this Python, or cannot be had reproducibly."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        body = dumped(code)
    except (SyntaxError, ValueError, OverflowError, RecursionError):
        return None
    if body is None:
        return None
    flags = struct.pack("<I", UNCHECKED)
    return MAGIC_NUMBER + flags + _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source) + body


def main() -> None:
    """Answer until the pipe is closed."""
    # A source's doubtful escapes are its author's affair.
    _warnings.filters.insert(0, ("ignore", None, Warning, None, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(sys.version.split()[0].encode() + b"\n")
    answers.flush()
    while len(head := requests.read(4)) == 4:
        batch = []
        for _ in range(*struct.unpack(">I", head)):
            path_length, source_length = struct.unpack(">II", requests.read(8))
            path = requests.read(path_length).decode("utf-8", "surrogateescape")
            batch.append((path, requests.read(source_length)))
        pycs = [compiled(path, source) for path, source in batch]
        body = b"".join(
            struct.pack(">i", -1) if pyc is None else struct.pack(">i", len(pyc)) + pyc for pyc in pycs
        )
        answers.write(struct.pack(">I", len(body)) + body)
        answers.flush()


if __name__ == "__main__":
    main()
