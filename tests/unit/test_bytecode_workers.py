"""Compiling workers: what they give, that they run alone, and that they end."""

from __future__ import annotations

import importlib.util
import marshal
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

import pytest

from taskimage.adapters import bytecode_worker
from taskimage.adapters.bytecode import Compiler, runtime_command
from taskimage.adapters.bytecode_worker import compiled as compile_alone
from taskimage.adapters.bytecode_worker import dumped
from taskimage.model.errors import CannotBuild

PYTHON = [sys.executable]
FROZENSET = (
    b"def f(x):\n    return x in {1, 'a', b'b'}, (x, {'c': x}), lambda y: y in {x, 1} or y in {2, 3}\n"
)


def compiled(*sources: bytes, workers: int = 1) -> list[bytes | None]:
    with Compiler(PYTHON, workers=workers) as compiler:
        return [pyc for _, pyc in compiler.compile((f"/m{n}.py", data) for n, data in enumerate(sources))]


def code_of(pyc: bytes | None) -> object:
    assert pyc is not None
    return marshal.loads(pyc[16:])  # noqa: S302 - it was just made here


def test_bytecode_is_unchecked_by_hash_and_states_the_path_in_the_image() -> None:
    source = b"answer = 6 * 7\n"
    with Compiler(PYTHON, workers=1) as compiler:
        ((path, pyc),) = compiler.compile([("/opt/venv/é.py", source)])
    assert path == "/opt/venv/é.py"
    assert pyc is not None
    assert pyc[:16] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(source)
    code = code_of(pyc)
    assert getattr(code, "co_filename", None) == "/opt/venv/é.py"
    scope: dict[str, object] = {}
    exec(code, scope)  # type: ignore[arg-type]  # noqa: S102
    assert scope["answer"] == 42


def test_the_interpreter_says_which_version_it_is() -> None:
    with Compiler(PYTHON, workers=2) as compiler:
        assert compiler.version == sys.version.split()[0]


@pytest.mark.parametrize(
    "source", [b"print 'two'\n", b"{{ template }} = %(x)s\n", b"x = 1\0", b"# coding: nonsense\n", b"\xff"]
)
def test_what_is_not_python_here_gives_nothing(source: bytes) -> None:
    assert compiled(source, b"x = 1\n")[0] is None


def test_a_worker_starts_with_hardly_anything_of_the_library() -> None:
    """In an image all of it is compiled at every start, since it has no bytecode yet."""

    def imported(program: str) -> set[str]:
        command = [sys.executable, "-I", "-S", "-B", "-X", "importtime", "-c", program]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    worker = Path(bytecode_worker.__file__).read_text(encoding="utf-8")
    more = imported(worker) - imported("pass")
    assert more - {"_imp", "_warnings", "_frozen_importlib_external", "marshal"} <= {
        "__future__",
        "struct",
        "_struct",
    }


def test_warnings_of_a_source_are_nobodys_trouble() -> None:
    assert compiled(b"x = '\\d' is 'a'\n")[0] is not None


def test_results_come_in_the_order_of_the_items_from_any_number_of_workers() -> None:
    sources = [b"x = %d\n" % n * (1 + n * 37 % 50) for n in range(120)]
    assert compiled(*sources, workers=3) == compiled(*sources)


def test_of_those_who_wait_the_heaviest_is_served_first() -> None:
    asked, held = threading.Event(), threading.Event()
    served: list[int] = []

    def items(weight: int) -> Iterator[tuple[str, bytes]]:
        served.append(weight)
        if weight == 0:
            asked.set()
            held.wait()
        yield "/m.py", b""

    with Compiler(PYTHON, workers=1) as compiler:
        threads = [
            threading.Thread(
                target=lambda weight=weight: list(compiler.compile(items(weight), weight=weight))
            )
            for weight in (0, 1, 3, 2)
        ]
        threads[0].start()
        asked.wait()
        for thread in threads[1:]:
            thread.start()
        while len(compiler._turns._waiting) < 3:
            time.sleep(0.001)
        held.set()
        for thread in threads:
            thread.join()
    assert served == [0, 3, 2, 1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="from 3.11 on frozensets are sorted")
def test_whether_equal_frozensets_are_one_object_changes_nothing() -> None:
    code = compile(
        "def f(x): return x in {'a b', 'c d'}\ndef g(x): return x in {'a b', 'c d'}", "/m.py", "exec"
    )
    functions = [one for one in code.co_consts if isinstance(one, CodeType)]
    pair = next(one for one in functions[0].co_consts if isinstance(one, frozenset))

    def with_frozensets(code: CodeType, *, copied: bool) -> CodeType:
        def changed(constant: object) -> object:
            if isinstance(constant, CodeType):
                return with_frozensets(constant, copied=copied)
            if isinstance(constant, frozenset):
                return frozenset(list(constant)) if copied else pair
            return constant

        return code.replace(co_consts=tuple(changed(constant) for constant in code.co_consts))

    one, two = with_frozensets(code, copied=False), with_frozensets(code, copied=True)
    assert marshal.dumps(one) != marshal.dumps(two)
    assert dumped(one) == dumped(two)
    assert marshal.loads(dumped(one) or b"") == code  # noqa: S302 - it was just made here


@pytest.mark.skipif(sys.version_info < (3, 11), reason="from 3.11 on frozensets are sorted")
def test_what_is_compiled_already_changes_nothing() -> None:
    """Not even of a class within another one, whose name is interned by then."""
    source = b"class Outer:\n class Inner:\n  names = ('Outer.Inner', 'a b')\n  found = 'c' in {'Outer.Inner', 'a b'}\n"
    first = compile_alone("/m.py", source)
    held = compile(source, "/n.py", "exec")
    assert compile_alone("/m.py", source) == first
    assert held.co_name == "<module>"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="from 3.11 on frozensets are sorted")
def test_every_process_gives_the_same_bytes() -> None:
    assert len({bytes(compiled(FROZENSET)[0] or b"") for _ in range(4)}) == 1


@pytest.mark.skipif(
    sys.version_info >= (3, 11), reason="before 3.11 frozensets have the order of the hash seed"
)
def test_files_with_frozensets_have_no_bytecode_where_it_is_not_reproducible() -> None:
    assert compiled(FROZENSET) == [None]


def test_workers_get_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    seen = tmp_path / "seen"
    wrapped = ["/bin/sh", "-c", f'env > "{seen}"; exec "$0" "$@"', sys.executable]
    with Compiler(wrapped, workers=1) as compiler:
        assert len(list(compiler.compile([("/a.py", b"")]))) == 1
    assert {line.partition("=")[0] for line in seen.read_text().splitlines()} <= {"PWD", "_", "SHLVL"}


def test_two_threads_may_share_a_compiler() -> None:
    from concurrent.futures import ThreadPoolExecutor

    sources = [(f"/m{n}.py", b"x = %d\n" % n) for n in range(40)]
    with Compiler(PYTHON, workers=2) as compiler, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: list(compiler.compile(sources)), range(4)))
    assert results == [results[0]] * 4


# -- endings -------------------------------------------------------------------------------------------


def recording(folder: Path) -> list[str]:
    """A command that leaves the id of each process that runs it in ``folder``."""
    return ["/bin/sh", "-c", f'touch "{folder}/$$"; exec "$0" "$@"', sys.executable]


def is_gone(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    return False


def endless() -> Iterable[tuple[str, bytes]]:
    while True:
        yield "/a.py", b"x = 1\n" * 1000


def test_workers_end_with_the_block_even_in_the_middle_of_their_work(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Compiler(recording(tmp_path), workers=2) as compiler:  # noqa: PT012
        for count, _ in enumerate(compiler.compile(endless())):
            if count == 5:
                raise KeyboardInterrupt
    processes = [path.name for path in tmp_path.iterdir()]
    assert len(processes) == 2
    assert all(is_gone(process) for process in processes)


def script(path: Path, text: str) -> list[str]:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo missing libfoo.so >&2; exit 127", "does not run here, as .*missing libfoo.so"),
        ("exit 3", "does not run here, as .*ended with code 3"),
        ("echo hello; sleep 60", "does not run here"),
        ("echo Python 2.7.18", "does not run here"),
    ],
)
def test_a_command_that_is_no_interpreter_is_an_error_that_says_why(
    tmp_path: Path, text: str, message: str
) -> None:
    with (
        pytest.raises(CannotBuild, match=message) as caught,
        Compiler(script(tmp_path / "p", text), workers=2),
    ):
        pass
    assert caught.value.hint is not None
    assert "bytecode: false" in caught.value.hint


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="No such file"), Compiler([str(tmp_path / "none")], workers=1):
        pass


def test_a_worker_that_dies_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    command = script(tmp_path / "p", "echo 3.11.2; read x; echo out of memory >&2; exit 9")
    with (
        Compiler(command, workers=1) as compiler,
        pytest.raises(CannotBuild, match=r"died while it compiled '/a.py': out of memory"),
    ):
        list(compiler.compile([("/a.py", b"\n")]))


# -- the image's own interpreter -----------------------------------------------------------------------


def elf(loader: str) -> bytes:
    """The first bytes of a 64-bit program whose dynamic loader is ``loader``."""
    name = loader.encode() + b"\0"
    head = b"\x7fELF\2\1\1".ljust(32, b"\0") + struct.pack("<QQIHHH", 64, 0, 0, 64, 56, 1)
    return head.ljust(64, b"\0") + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1) + name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An unpacked image with links as the merged /usr has them, absolute ones among them."""
    root = tmp_path / "root"
    for folder in ("usr/bin", "usr/lib/x86_64-linux-gnu", "usr/lib64"):
        (root / folder).mkdir(parents=True)
    (root / "lib").symlink_to("/usr/lib")
    (root / "lib64").symlink_to("usr/lib64")
    (root / "usr/lib64/ld.so").symlink_to("/lib/x86_64-linux-gnu/ld.so")
    (root / "usr/lib/x86_64-linux-gnu/ld.so").write_bytes(b"loader")
    (root / "usr/bin/python3.11").write_bytes(elf("/lib64/ld.so"))
    return root


def test_the_images_own_loader_runs_its_interpreter_with_its_libraries(root: Path) -> None:
    loader, option, folders, named, name, program = runtime_command(root, "/usr/bin/python3.11")
    assert loader == f"{root}/usr/lib/x86_64-linux-gnu/ld.so"
    assert (option, named) == ("--library-path", "--argv0")
    assert name == program == f"{root}/usr/bin/python3.11"
    assert f"{root}/usr/lib/x86_64-linux-gnu" in folders.split(":")
    assert all(folder.startswith(f"{root}/usr/") for folder in folders.split(":")), "links stay in the image"


@pytest.mark.parametrize("target", ["../../../../../../../../etc/passwd", "/etc/passwd", "python3.11"])
def test_links_out_of_the_image_or_in_circles_lead_nowhere(root: Path, target: str) -> None:
    (root / "usr/bin/python3.11").unlink()
    (root / "usr/bin/python3.11").symlink_to(target)
    with pytest.raises(CannotBuild, match=r"has no '/usr/bin/python3\.11'|in circles"):
        runtime_command(root, "/usr/bin/python3.11")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"#!/bin/sh\n", "not a program that Linux can run"),
        (elf("/lib64/ld.so")[:40], "not a program that Linux can run"),
        (elf("/lib64/none.so"), "has no '/lib64/none.so'"),
        (elf("/x")[:56] + b"\0\0" + elf("/x")[58:], "names no dynamic loader"),
    ],
)
def test_what_the_image_lacks_is_named(root: Path, program: bytes, message: str) -> None:
    (root / "usr/bin/python3.11").write_bytes(program)
    with pytest.raises(CannotBuild, match=message):
        runtime_command(root, "/usr/bin/python3.11")


def test_what_brings_no_c_library_runs_with_the_one_that_is_here(root: Path) -> None:
    command = runtime_command(root, "/usr/bin/python3.11", own_loader=False)
    assert command == [f"{root}/usr/bin/python3.11"]
