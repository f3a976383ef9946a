"""Bytecode of wheels and of Debian's Python, compiled by the image's exact Python and kept in the store."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.lock import CondaPin, DebPin, PlatformLock, PythonPin, WheelPin
from taskimage.model.oci import canonical_json
from taskimage.transform import bytecode
from taskimage.transform.entry import Entry
from taskimage.verbs.base import Base
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.interpreter import Interpreter
from taskimage.verbs.standin import StandIns, this_machine
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.bytecode import Compiler

__all__ = ["Bytecode"]


class Bytecode(contextlib.ExitStack):
    """A context manager over the interpreter, which is started when something is compiled for the first time.

    Args:
        tools: The adapters of this run.
        inputs: What is compiled.
        lock: The inputs of the image, of whose interpreter the bytecode is.
        others: Those of the same image for other platforms, of which this machine may be one.
        base: The image that it stands on.
        anew: Compile what is kept already, too.
    """

    def __init__(
        self,
        tools: Tools,
        inputs: Inputs,
        lock: PlatformLock,
        *,
        others: Sequence[PlatformLock] = (),
        base: Base | None = None,
        anew: bool = False,
    ) -> None:
        super().__init__()
        self._tools = tools
        self._inputs = inputs
        self._lock = lock
        self._base = base
        self._anew = anew
        self._stand_ins = StandIns(tools=tools, lock=lock, others=others, base=base, here=this_machine())
        self._starting = threading.Lock()
        self._started: Compiler | None = None

    def of_wheel(self, pin: WheelPin) -> tuple[Entry, ...]:
        """The .pyc files of a wheel's modules."""
        return self._compiled([pin], lambda: self._inputs.wheel(pin).entries)

    def of_conda(self, pin: CondaPin) -> tuple[Entry, ...]:
        """The .pyc files of a conda package's modules."""
        return self._compiled([pin], lambda: self._inputs.conda(pin).entries)

    def of_interpreter(self) -> tuple[Entry, ...]:
        """The .pyc files of a standalone interpreter's library."""
        python = self._lock.python
        return self._compiled([python] if python.digest else [], lambda: self._inputs.interpreter(python))

    def of_debs(self, pins: Sequence[DebPin]) -> tuple[Entry, ...]:
        """The .pyc files that the postinst of these packages would have made."""
        from taskimage.transform.effects.emulation import byte_compiled

        return self._compiled(pins, lambda: byte_compiled(self._inputs.debs(pins)))

    def begin(self, pins: Iterable[WheelPin]) -> None:
        """Start the interpreter, if something of ``pins`` has to be compiled: it takes as long as to fetch a wheel."""
        if self._anew or not all(self._archive([pin]).exists() for pin in pins):
            self._compiler()

    def _compiled(
        self,
        inputs: Sequence[WheelPin | CondaPin | DebPin | PythonPin],
        entries: Callable[[], Iterable[Entry]],
    ) -> tuple[Entry, ...]:
        path = self._archive(inputs)
        if self._anew or not path.exists():
            sources = bytecode.sources(entries())
            # Those that take longest come first, so that none is left to run alone at the end.
            weight = sum(source.size for source in sources)
            compiled = self._compiler().compile(bytecode.items(sources), weight=weight)
            data = bytecode.pack(compiled, python=self._lock.python.minor)
            self._tools.store.write_file(path, data)
        return bytecode.unpack(lambda: cast("BinaryIO", path.open("rb")), where=str(path))

    def _archive(self, inputs: Sequence[WheelPin | CondaPin | DebPin | PythonPin]) -> Path:
        """Where the bytecode of ``inputs`` is kept, or would be."""
        digests = [str(pin.digest) for pin in inputs]
        document = {"inputs": digests, "python": self._lock.python.version, "recipe": bytecode.RECIPE}
        key = Digest.of(canonical_json(document))
        return self._tools.store.home / "bytecode" / f"{key.hex}.zip"

    def _compiler(self) -> Compiler:
        from taskimage.adapters.bytecode import Compiler
        from taskimage.adapters.processors import available

        python = self._lock.python
        with self._starting:
            if self._started is None:
                command = self._interpreter().command()
                compiler = self.enter_context(Compiler(command, workers=available()))
                if _numbers(compiler.version) != _numbers(python.version):
                    raise IntegrityError(
                        f"the interpreter that compiles is Python {compiler.version}, locked as {python.version}",
                        where=python.executable,
                    )
                self._started = compiler
            return self._started

    def _interpreter(self) -> Interpreter:
        found = self._stand_ins.find()
        if found is self._lock:
            return Interpreter(self._tools, self._inputs, found, self._base)
        base = Base(self._tools, found.image, found.platform) if found.image else None
        inputs = self.enter_context(self._inputs.on(base))
        return Interpreter(self._tools, inputs, found, base)


def _numbers(version: str) -> str:
    """``3.14.0`` of ``3.14.0rc2`` and of ``3.14.0+``, which some builds call themselves."""
    return re.split(r"[^\d.]", version)[0]
