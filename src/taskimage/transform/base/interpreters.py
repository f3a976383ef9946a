"""The CPython interpreters of a base: where they are, which versions, and what each of them imports."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from taskimage.model.base import Environment, Interpreter
from taskimage.transform.base.distributions import distributions, site_folders
from taskimage.transform.base.environment import site_packages
from taskimage.transform.base.layers import BaseTree
from taskimage.transform.entry import Entry

__all__ = ["interpreters"]

_NAME = re.compile(r"(?:.*/)?bin/python(3\.\d{1,3})")
# What builds without the GIL, whose ABI is another one, have in their text of `sys.version`.
_FREE_THREADED = b" free-threading build ("
# What runtimes set where an image's configuration sets nothing.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 4 << 20
_LONGEST = 64  # bytes that are looked for in one piece have no more


def interpreters(
    tree: BaseTree, env: Mapping[str, str], environment: Environment | None
) -> tuple[Interpreter, ...]:
    """Every released CPython 3 of ``tree`` that is in no virtual environment, the newest first.

    Of one minor version, the one comes first that ``environment`` stands on, then the one that a shell with the
    variables ``env`` finds first. With ``environment`` it imports what that has before its own: an environment
    of ours sees both, whether that one did or not.
    """

    def folders_of(executable: str, minor: str) -> Iterator[str]:
        if environment is not None and environment.executable == f"/{executable}":
            yield site_packages(environment.path, minor)
        yield from site_folders(tree, executable, minor)

    found = [
        Interpreter(
            executable=f"/{real}", version=version, distributions=distributions(tree, folders_of(real, minor))
        )
        for real, minor in sorted(_programs(tree))
        if (version := _version(tree, real, minor)) is not None
    ]
    folders = env.get("PATH", _PATH).split(":")

    def order(one: Interpreter) -> tuple[int, bool, int, str]:
        is_other = environment is None or environment.executable != one.executable
        return -int(one.minor.split(".")[1]), is_other, _rank(tree, folders, one), one.executable

    return tuple(sorted(found, key=order))


def _programs(tree: BaseTree) -> set[tuple[str, str]]:
    """The real path of everything that is called an interpreter, and its minor version by that name."""
    programs: set[tuple[str, str]] = set()
    for entry in tree.entries:
        if (match := _NAME.fullmatch(entry.path)) and not _is_venv(tree, entry.path):
            program = tree.file(entry.path)
            if program is not None and program.mode & 0o111 and not _is_venv(tree, program.path):
                programs.add((program.path, match[1]))
    return programs


def _is_venv(tree: BaseTree, executable: str) -> bool:
    """Whether a virtual environment's mark is above the folder of ``executable`` (PEP 405)."""
    prefix = posixpath.dirname(posixpath.dirname(executable))
    return tree.file(posixpath.join(prefix, "pyvenv.cfg")) is not None


def _rank(tree: BaseTree, folders: list[str], one: Interpreter) -> int:
    """The first of ``folders`` where ``one`` is found, through links or a virtual environment of it."""
    for rank, folder in enumerate(folders):
        if folder and f"/{tree.real_path(f'{folder}/python{one.minor}')}" == one.executable:
            return rank
    return len(folders)


# -- its version -----------------------------------------------------------------------------------------------


def _version(tree: BaseTree, executable: str, minor: str) -> str | None:
    """The three numbers of the CPython at ``executable``; None for what is no released CPython ``minor``."""
    for entry in (tree.get(executable), *_libraries(tree, executable, minor)):
        if entry is not None and entry.body is not None:
            with entry.body.open() as stream:
                if stated := _stated(stream, minor):
                    return stated
    return None


def _libraries(tree: BaseTree, executable: str, minor: str) -> Iterable[Entry]:
    """Where the interpreter itself is when the program is a few lines around it (``--enable-shared``)."""
    prefix = posixpath.dirname(posixpath.dirname(executable))
    for folder in ("lib", "lib64", "lib/*-linux-gnu*"):
        for path in tree.glob(f"/{prefix}/{folder}/libpython{minor}.so.1.0"):
            if (entry := tree.file(path)) is not None:
                yield entry


def _stated(stream: BinaryIO, minor: str) -> str | None:
    """The released version of CPython ``minor`` that the ELF file ``stream`` has in its text of ``sys.version``.

    A linker keeps a text that another one ends with as the end of that one: "3.11.7" may be there as a part of
    "/usr/src/Python-3.11.7" only. Texts that are exactly a version go before such.
    """
    pattern = re.compile(re.escape(minor).encode() + rb"\.(\d{1,3}(?:(?:a|b|rc)\d{1,3})?)\+?\0")
    exact: set[str] = set()
    endings: set[str] = set()
    data = stream.read(4)
    if data != b"\x7fELF":
        return None
    while chunk := stream.read(_CHUNK):
        data = data[-_LONGEST:] + chunk
        if _FREE_THREADED in data:
            return None
        for match in pattern.finditer(data, 1):
            before = data[match.start() - 1]
            if before not in b"0123456789.":
                (endings if before else exact).add(match[1].decode())
    last = exact or endings
    release = last.pop() if len(last) == 1 else ""
    return f"{minor}.{release}" if release.isdigit() else None
