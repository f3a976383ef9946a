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
        # All constants of all sources come by here, and hardly one is of these types.
        return any(map(holds_frozenset, [one for one in value if type(one) in NESTED]))
    return isinstance(value, frozenset)


def unshared(value: object) -> object:
    """The same constant with frozensets that nothing else refers to."""
    if not holds_frozenset(value):
        return value
    if isinstance(value, CodeType):
        return value.replace(co_consts=tuple(unshared(constant) for constant in value.co_consts))
    if isinstance(value, tuple):
        return tuple(unshared(item) for item in value)
    return frozenset(list(value))  # type: ignore[call-overload]  # of a frozenset alone it would be the same one


def dumped(code: CodeType) -> bytes | None:
    """The marshalled code, the same in every process, or None.

    Marshal marks what is referred to more than once. The compiler shares the constants of a file, and then
    copies a frozenset for each code object that has it when another string with the text of one of its items
    is interned already: what was compiled or imported before shows. So frozensets are never shared here.

    Before Python 3.11 their items, too, have the order of the hash seed, and more than frozensets is marked
    by chance; version 2 of the format knows no marks.
    """
    if sys.version_info < (3, 11):
        return None if holds_frozenset(code) else marshal.dumps(code, 2)
    return marshal.dumps(unshared(code), marshal.version)


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
