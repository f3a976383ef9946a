"""Bytecode of wheels and of Debian's Python, compiled by the image's own interpreter and kept in the store."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from taskimage.model.digest import Digest
from taskimage.model.errors import IntegrityError
from taskimage.model.lock import CondaPin, DebPin, PlatformLock, PythonPin, WheelPin
from taskimage.model.oci import canonical_json
from taskimage.transform import bytecode
from taskimage.transform.deb.layout import MERGED
from taskimage.transform.entry import Entry
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.layerfile import written
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.bytecode import Compiler

__all__ = ["BaseLayers", "Bytecode"]

BaseLayers: TypeAlias = "Callable[[], Sequence[tuple[Path, Digest]]]"
"""Fetches the layers of a base image: the files of their blobs, and their digests, the lowest first."""


class Bytecode(contextlib.ExitStack):
    """A context manager over the interpreter, which is started when something is compiled for the first time.

    On a base image its libraries are the base's, and perhaps the interpreter itself; ``base_layers`` is called when
    they are not in the store yet.
    """

    def __init__(
        self, tools: Tools, inputs: Inputs, lock: PlatformLock, *, base_layers: BaseLayers = tuple
    ) -> None:
        super().__init__()
        self._tools = tools
        self._inputs = inputs
        self._lock = lock
        self._base_layers = base_layers
        self._starting = threading.Lock()
        self._started: Compiler | None = None

    def of_wheel(self, pin: WheelPin) -> tuple[Entry, ...]:
        """The .pyc files of a wheel's modules."""
        return self._compiled([pin.digest], lambda: self._inputs.wheel(pin).entries)

    def of_conda(self, pin: CondaPin) -> tuple[Entry, ...]:
        """The .pyc files of a conda package's modules."""
        return self._compiled([pin.digest], lambda: self._inputs.conda(pin).entries)

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
        from taskimage.adapters.bytecode import Compiler, check_machine, runtime_command

        python, platform = self._lock.python, self._lock.platform
        with self._starting:
            if self._started is None:
                check_machine(platform)  # before gigabytes of a base are fetched in vain
                command = runtime_command(self._interpreter(), python.executable, platform)
                compiler = self.enter_context(Compiler(command, workers=self._tools.workers))
                if _numbers(compiler.version) != _numbers(python.version):
                    raise IntegrityError(
                        f"the image's interpreter is Python {compiler.version}, locked as {python.version}",
                        where=python.executable,
                    )
                self._started = compiler
            return self._started

    def _interpreter(self) -> Path:
        """A folder with the interpreter and the libraries that it needs to compile, and little else."""
        image, python = self._lock.image, self._lock.python
        own: list[PythonPin | CondaPin] = [python] if python.source == "standalone" else []
        self._inputs.fetch(self._lock.base, interpreter=python if own else None)
        own += self._of_conda_python()
        return self._of_packages(own) if image is None else self._of_image(image.manifest, own)

    def _of_image(self, manifest: Digest, own: Sequence[PythonPin | CondaPin]) -> Path:
        from taskimage.adapters.bytecode import is_needed
        from taskimage.adapters.rootfs import unpack

        python = self._lock.python

        def fill(root: Path) -> None:
            layers = list(self._base_layers())
            if own:
                layers.append(written(root.with_name("layer"), [self._entries(pin) for pin in own]))
            unpack(layers, root, wanted=lambda path: is_needed(path, python.executable))

        return self._kept(_key(image=str(manifest), path=python.executable, **_identity(own)), fill)

    def _of_packages(self, own: Sequence[PythonPin | CondaPin]) -> Path:
        from taskimage.adapters.rootfs import unpack

        debs = self._minimal()

        def fill(root: Path) -> None:
            fragments: list[Sequence[Entry]] = [self._inputs.deb(pin).entries for pin in debs]
            fragments.append([Entry.symlink(name, f"usr/{name}") for name in MERGED])
            fragments += [self._entries(pin) for pin in own]
            unpack([written(root.with_name("layer"), fragments)], root)

        return self._kept(_key(debs=[str(pin.digest) for pin in debs], **_identity(own)), fill)

    def _entries(self, pin: PythonPin | CondaPin) -> Sequence[Entry]:
        if isinstance(pin, PythonPin):
            return self._inputs.interpreter(pin)
        return self._inputs.conda(pin).entries

    def _of_conda_python(self) -> list[CondaPin]:
        """Conda's Python and all that it depends on, sorted; none where Python is not conda's."""
        there = {pin.name: pin for pin in self._lock.conda}
        found: set[CondaPin] = set()
        wanted = {"python"}
        while some := {there[name] for name in wanted & there.keys()} - found:
            found |= some
            self._inputs.fetch(conda=some)
            wanted = {need.split()[0] for pin in some for need in self._inputs.conda(pin).depends}
        return sorted(found)

    def _kept(self, key: Digest, fill: Callable[[Path], None]) -> Path:
        """The store's folder of ``key``, which ``fill`` gets as an empty one when it is not there yet."""
        store = self._tools.store
        folder = store.home / "interpreters" / key.hex
        if folder.exists():
            return folder
        with store.explained(), store.temporary_directory() as temporary:
            new = Path(temporary) / "root"
            new.mkdir()
            fill(new)
            folder.parent.mkdir(exist_ok=True)
            try:
                new.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
        return folder

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


def _numbers(version: str) -> str:
    """``3.14.0`` of ``3.14.0rc2`` and of ``3.14.0+``, which some builds call themselves."""
    return re.split(r"[^\d.]", version)[0]


def _identity(own: Sequence[PythonPin | CondaPin]) -> dict[str, object]:
    """What tells one interpreter from another."""
    standalone = [str(pin.digest) for pin in own if isinstance(pin, PythonPin)]
    conda = [str(pin.digest) for pin in own if isinstance(pin, CondaPin)]
    return {"python": standalone[0] if standalone else "None", **({"conda": conda} if conda else {})}


def _key(**parts: object) -> Digest:
    return Digest.of(canonical_json(parts))
