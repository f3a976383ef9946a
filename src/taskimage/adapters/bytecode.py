"""Workers that compile sources with an image's own interpreter, run on this machine."""

from __future__ import annotations

import contextlib
import posixpath
import re
import struct
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeAlias

from taskimage.adapters.processors import Turns
from taskimage.adapters.rootfs import inside
from taskimage.model.errors import CannotBuild, IntegrityError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Compiler", "is_needed", "runtime_command"]

_HINT = "set `bytecode: false` in builder_options.taskimage of the spec to build without bytecode"
# How many bytes of sources are asked about at once, and how many questions may be open for each worker.
_BATCH = 256 << 10
_AHEAD = 2
_PT_INTERP = 3


class Compiler:
    """A context manager over persistent worker processes; the processes end with the block, whatever happens.

    Args:
        command: How the interpreter is run, before its options. It gets no environment.
        workers: How many processes.

    Raises:
        CannotBuild: On entry, when the interpreter does not start.
    """

    def __init__(self, command: Sequence[str], *, workers: int) -> None:
        self._command = tuple(command)
        self._count = max(1, workers)
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        # One after the other: what came of the first is used while the next is compiled.
        self._turns = Turns(self._count)
        self.version = ""
        """The exact version of the interpreter, once the block is entered."""

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="compile")
        try:
            for _ in range(self._count):
                self._workers.append(_Worker(self._command))
            for worker in self._workers:
                self.version = worker.greeting()
                self._idle.put(worker)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every worker, at once."""
        for worker in self._workers:
            worker.kill()
        self._pool.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def compile(
        self, items: Iterable[tuple[str, bytes]], *, weight: int = 0
    ) -> Iterator[tuple[str, bytes | None]]:
        """The .pyc of every (path that the code states, source), in the order of ``items``.

        Where several ask, the one of the greatest ``weight`` comes first, which has the most left to do afterwards.

        None stands for a source that this interpreter does not accept or cannot compile reproducibly. Items
        are taken as results are, so that few are in memory. Raises CannotBuild when a worker dies.
        """
        waiting: deque[tuple[_Batch, Future[list[bytes | None]]]] = deque()
        with self._turns.turn(weight):
            for batch in _batches(items):
                waiting.append((batch, self._pool.submit(self._one, batch)))
                if len(waiting) > _AHEAD * self._count:
                    yield from _answered(*waiting.popleft())
            while waiting:
                yield from _answered(*waiting.popleft())

    def _one(self, batch: _Batch) -> list[bytes | None]:
        worker = self._idle.get()
        try:
            return worker.compile(batch)
        finally:
            self._idle.put(worker)


_Batch: TypeAlias = "list[tuple[str, bytes]]"


def _batches(items: Iterable[tuple[str, bytes]]) -> Iterator[_Batch]:
    """``items`` in handfuls: one question and one answer for each, since every one interrupts other threads."""
    batch: _Batch = []
    size = 0
    for path, source in items:
        batch.append((path, source))
        size += len(source)
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _answered(batch: _Batch, future: Future[list[bytes | None]]) -> Iterator[tuple[str, bytes | None]]:
    return zip((path for path, _ in batch), future.result(), strict=True)


class _Worker:
    """One process, and its end of the protocol that the worker's own text describes."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        script = Path(__file__).with_name("bytecode_worker.py").read_text(encoding="utf-8")
        # Isolated, without site, writing no bytecode: nothing but the interpreter and its own library.
        arguments = [*command, "-I", "-S", "-B", "-c", script]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        try:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env={}
            )
        except OSError as error:
            self._stderr.close()
            raise CannotBuild(
                f"cannot start the image's interpreter with {command[0]!r}: {error.strerror}", hint=_HINT
            ) from error

    def greeting(self) -> str:
        """The version of the interpreter, which it sends first."""
        line = _pipe(self._process.stdout).readline(100).decode("ascii", "replace")
        if not re.fullmatch(r"3\.\d+\.\d+\S*\n", line):
            raise CannotBuild(
                f"the image's interpreter does not run here, as {' '.join(self._command)}: {self._last_words()}",
                hint=_HINT,
            )
        return line.strip()

    def compile(self, batch: _Batch) -> list[bytes | None]:
        try:
            stdin = _pipe(self._process.stdin)
            stdin.write(b"".join((struct.pack(">I", len(batch)), *map(_request, batch))))
            stdin.flush()
            (length,) = struct.unpack(">I", self._read(4))
            return list(_pycs(self._read(length)))
        except (OSError, ValueError, EOFError, struct.error) as error:
            path, more = batch[0][0], f" or one of {len(batch) - 1} more" if len(batch) > 1 else ""
            raise CannotBuild(
                f"the image's interpreter died while it compiled {path!r}{more}: {self._last_words()}",
                hint=_HINT,
            ) from error

    def _read(self, size: int) -> bytes:
        data = _pipe(self._process.stdout).read(size)
        if len(data) != size:
            raise EOFError
        return data

    def _last_words(self) -> str:
        self._process.kill()  # when it still runs, it is talking nonsense
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else f"it ended with code {code}"

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.wait()
        for stream in (self._process.stdout, self._stderr):
            _pipe(stream).close()
        with contextlib.suppress(BrokenPipeError):  # what was left to flush is for nobody
            _pipe(self._process.stdin).close()


def _request(item: tuple[str, bytes]) -> bytes:
    name = item[0].encode("utf-8", "surrogateescape")
    return struct.pack(">II", len(name), len(item[1])) + name + item[1]


def _pycs(answers: bytes) -> Iterator[bytes | None]:
    start = 0
    while start < len(answers):
        (length,) = struct.unpack_from(">i", answers, start)
        start += 4
        yield None if length < 0 else answers[start : start + length]
        start += max(length, 0)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - Popen was asked for it
    return stream


def runtime_command(root: Path, python: str, *, own_loader: bool = True) -> list[str]:
    """How to run ``python`` (a path in the image, such as ``/usr/bin/python3.11``) from an image unpacked at ``root``.

    The image's own dynamic loader runs it, with the image's libraries; it finds its standard library from its
    own place. No privileges are needed, and nothing of this machine is used but the kernel; where it has no
    ``own_loader``, this machine's C library as well.

    Raises CannotBuild where the image has no such interpreter or no loader for it.
    """
    program = _file(root, python)
    if not own_loader:
        return [str(program)]
    loader = _file(root, _loader(program, python))
    # Its own first: a libpython of the same version elsewhere in the image may be another one.
    own = _inside(root, posixpath.join(posixpath.dirname(python), "../lib"))
    search = ":".join(str(folder) for folder in (own, *_library_folders(root)))
    return [str(loader), "--library-path", search, "--argv0", str(program), str(program)]


def is_needed(path: str, python: str) -> bool:
    """Whether the file ``path`` of an image may be needed to run its interpreter ``python`` as `runtime_command` does.

    That is the program, the standard library without what is installed beside it, and shared libraries of the
    folders that are searched, among them the loader: of an image of gigabytes some hundred megabytes at most. Cached
    bytecode is not: it states the time stamps of other files than those that are unpacked.
    """
    program = python.lstrip("/")
    prefix = re.escape(posixpath.dirname(posixpath.dirname(program)))
    library = rf"{prefix}/lib(?:64)?/python[\d.]+/(?!(?:site|dist)-packages/)"
    shared = rf"(?:(?:usr/)?lib(?:64)?(?:/[^/]*-linux-gnu[^/]*)?|{prefix}/lib(?:64)?)/[^/]+\.so[^/]*\Z"
    return path == program or (
        re.match(rf"{library}|{shared}", path) is not None and "/__pycache__/" not in path
    )


def _library_folders(root: Path) -> Iterator[Path]:
    for name in ("usr/lib", "lib", "usr/lib64", "lib64"):
        folder = _inside(root, name)
        if folder.is_dir():
            yield from sorted(folder.glob("*-linux-gnu*"))
            yield folder


def _file(root: Path, path: str) -> Path:
    if not (file := _inside(root, path)).is_file():
        raise CannotBuild(f"the image has no {path!r}, which is needed to compile its bytecode", hint=_HINT)
    return file


def _inside(root: Path, path: str) -> Path:
    """Where ``path`` of the image is here: its links are followed as inside the image, and never out of it."""
    try:
        return root / inside(root, path)
    except IntegrityError as error:
        raise CannotBuild(f"links in the image lead from {path!r} in circles", hint=_HINT) from error


def _loader(program: Path, shown: str) -> str:
    """The dynamic loader that an ELF program names (System V ABI, PT_INTERP)."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or len(head) < 64:
            raise CannotBuild(f"{shown!r} in the image is not a program that Linux can run", hint=_HINT)
        order, wide = ("<" if head[5] == 1 else ">"), head[4] == 2
        start, size, count = struct.unpack_from(order + ("32xQ14xHH" if wide else "28xI10xHH"), head)
        for index in range(count):
            file.seek(start + index * size)
            header = file.read(size)
            (kind,) = struct.unpack_from(order + "I", header)
            offset, length = struct.unpack_from(order + ("8xQ16xQ" if wide else "4xI8xI"), header)
            if kind == _PT_INTERP:
                file.seek(offset)
                return file.read(min(length, 4096)).rstrip(b"\0").decode()
    raise CannotBuild(f"{shown!r} in the image names no dynamic loader", hint=_HINT)
