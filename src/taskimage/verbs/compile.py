"""Bytecode of wheels and of Debian's Python, compiled by the image's own interpreter and kept in the store."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.model.digest import Digest
from taskimage.model.lock import DebPin, PlatformLock, WheelPin
from taskimage.model.oci import canonical_json
from taskimage.transform import bytecode
from taskimage.transform.deb.data import MERGED
from taskimage.transform.entry import Entry
from taskimage.transform.layer import write_layer
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.bytecode import Compiler

__all__ = ["Bytecode"]


class Bytecode(contextlib.ExitStack):
    """A context manager over the interpreter, which is started when something is compiled for the first time."""

    def __init__(self, tools: Tools, inputs: Inputs, lock: PlatformLock) -> None:
        super().__init__()
        self._tools = tools
        self._inputs = inputs
        self._lock = lock
        self._starting = threading.Lock()
        self._started: Compiler | None = None

    def of_wheel(self, pin: WheelPin) -> tuple[Entry, ...]:
        """The .pyc files of a wheel's modules."""
        return self._compiled([pin.digest], lambda: self._inputs.wheel(pin).entries)

    def of_interpreter(self) -> tuple[Entry, ...]:
        """The .pyc files of a standalone interpreter's library."""
        python = self._lock.python
        return self._compiled(
            [python.digest] if python.digest else [], lambda: self._inputs.interpreter(python)
        )

    def of_debs(self, pins: Sequence[DebPin]) -> tuple[Entry, ...]:
        """The .pyc files that the postinst of these packages would have made."""
        from taskimage.transform.effects.emulation import byte_compiled

        return self._compiled(
            [pin.digest for pin in pins], lambda: byte_compiled([self._inputs.deb(pin) for pin in pins])
        )

    def _compiled(
        self, inputs: Sequence[Digest], sources: Callable[[], Iterable[Entry]]
    ) -> tuple[Entry, ...]:
        python = self._lock.python
        key = _key(inputs=[*map(str, inputs)], python=python.version, recipe=bytecode.RECIPE)
        store = self._tools.store
        path = store.home / "bytecode" / f"{key.hex}.zip"
        if not path.exists():
            compiled = self._compiler().compile(bytecode.items(sources()))
            store.write_file(path, bytecode.pack(compiled, python=python.minor))
        return bytecode.unpack(lambda: cast("BinaryIO", path.open("rb")), where=str(path))

    def _compiler(self) -> Compiler:
        from taskimage.adapters.bytecode import Compiler, runtime_command

        with self._starting:
            if self._started is None:
                command = runtime_command(
                    self._interpreter(), self._lock.python.executable, self._lock.platform
                )
                self._started = self.enter_context(Compiler(command, workers=self._tools.workers))
            return self._started

    def _interpreter(self) -> Path:
        """A folder with the interpreter and the libraries that it needs to compile, and nothing else."""
        from taskimage.adapters.rootfs import unpack

        python = self._lock.python
        standalone = python if python.source == "standalone" else None
        self._inputs.fetch(self._lock.base, interpreter=standalone)
        debs = self._minimal()
        store = self._tools.store
        key = _key(debs=[str(pin.digest) for pin in debs], python=str(python.digest))
        root = store.home / "interpreters" / key.hex
        if root.exists():
            return root
        with store.temporary_directory() as folder:
            blob = Path(folder) / "layer"
            with blob.open("wb") as file:
                fragments: list[Sequence[Entry]] = [self._inputs.deb(pin).entries for pin in debs]
                fragments.append([Entry.symlink(name, f"usr/{name}") for name in MERGED])
                if standalone:
                    fragments.append(self._inputs.interpreter(standalone))
                write_layer(fragments, file.write)
            new = Path(folder) / "root"
            new.mkdir()
            unpack([(blob, Digest.of(blob.read_bytes()))], new)
            root.parent.mkdir(exist_ok=True)
            try:
                new.rename(root)
            except OSError:
                if not root.exists():  # else another process was faster
                    raise
        return root

    def _minimal(self) -> list[DebPin]:
        """The packages of the interpreter and all that they depend on, sorted."""
        base = {pin.package: pin for pin in self._lock.base}
        todo = [f"python{self._lock.python.minor}-minimal", "libc6", "libcrypt1"]
        found: dict[str, DebPin] = {}
        while todo:
            name = todo.pop()
            if name in base and name not in found:
                found[name] = base[name]
                control = self._inputs.deb(base[name]).control
                depends = ",".join(control.get(field, "") for field in ("Pre-Depends", "Depends"))
                todo += re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", depends)
        return [found[name] for name in sorted(found)]


def _key(**parts: object) -> Digest:
    return Digest.of(canonical_json(parts))
