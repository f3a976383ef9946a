"""Bytecode: which sources are compiled, where the result goes, and how it is kept (PEP 3147, PEP 552).

What is compiled from one wheel is kept as one zip archive of deflated members. A layer then is a function of
two archives, the wheel and its bytecode, and both are re-wrapped without compressing anything again.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final

from taskimage.transform.entry import Entry
from taskimage.transform.gzipmember import LEVEL

__all__ = ["RECIPE", "items", "pack", "pyc_path", "sources", "unpack"]

RECIPE: Final = 3
"""Moves whenever the same source and interpreter would give other bytes: part of the key of every archive."""

_IMPORTABLE = re.compile(r"(?:^|/)lib/python3(?:\.\d+)?/")
# Nobody imports tests in a task; they are two thirds of the work. The standard library's are in `test`.
_TESTS = re.compile(r"/tests/|(?:^|/)lib/python3(?:\.\d+)?/test/")
# Larger sources are data in disguise, and take the compiler minutes and gigabytes.
_LARGEST = 8 << 20


def sources(entries: Iterable[Entry]) -> list[Entry]:
    """The files that are compiled: what Python may import from below ``lib/pythonX.Y``, apart from tests."""
    return [entry for entry in entries if entry.body is not None and _is_compiled(entry)]


def _is_compiled(entry: Entry) -> bool:
    path = entry.path
    if not path.endswith(".py") or entry.size > _LARGEST:
        return False
    return bool(_IMPORTABLE.search(path)) and not _TESTS.search(path)


def items(files: Iterable[Entry]) -> Iterator[tuple[str, bytes]]:
    """``files`` as (path in the image, bytes), the path absolute."""
    for file in files:
        if file.body is not None:
            with file.body.open() as stream:
                yield f"/{file.path}", stream.read()


def pyc_path(source: str, python: str) -> str:
    """Where the bytecode of ``source`` is looked for by the feature version ``python`` (PEP 3147).

    >>> pyc_path("/opt/venv/lib/python3.11/site-packages/six.py", "3.11")
    '/opt/venv/lib/python3.11/site-packages/__pycache__/six.cpython-311.pyc'
    """
    folder, name = posixpath.split(source)
    stem = name.removesuffix(".py")
    return posixpath.join(folder, "__pycache__", f"{stem}.cpython-{python.replace('.', '')}.pyc")


def pack(compiled: Iterable[tuple[str, bytes | None]], *, python: str) -> bytes:
    """A deterministic zip archive of what came of sources; those that gave nothing are left out.

    ``compiled`` has (path of the source in the image, .pyc or None), in any order.
    """
    from taskimage.transform.zipmembers import write_members

    members = ((pyc_path(path, python).lstrip("/"), pyc) for path, pyc in compiled if pyc is not None)
    return write_members(members, level=LEVEL)


def unpack(opener: Callable[[], BinaryIO], *, where: str) -> tuple[Entry, ...]:
    """The .pyc files of an archive that `pack` made, as `read_members` has them; ``opener`` as there."""
    from taskimage.transform.zipmembers import read_members

    return tuple(Entry.file(member.path, member.body) for member in read_members(opener, where=where))
