"""An interpreter that is locked, put together in a folder of the store from which this machine runs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from taskimage.model.digest import Digest
from taskimage.model.lock import CondaPin, DebPin, PlatformLock, PythonPin
from taskimage.model.oci import canonical_json
from taskimage.transform.deb.layout import MERGED
from taskimage.transform.entry import Entry
from taskimage.verbs.base import Base
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

__all__ = ["Interpreter"]

_RECORDS = "interpreters"


class Interpreter:
    """The interpreter of ``lock`` and the libraries that it needs to compile, and little else.

    On the image ``base`` its libraries are the base's, and perhaps the interpreter itself.
    """

    def __init__(self, tools: Tools, inputs: Inputs, lock: PlatformLock, base: Base | None) -> None:
        self._tools = tools
        self._inputs = inputs
        self._lock = lock
        self._base = base

    def command(self) -> list[str]:
        """How it is run, before its options; its inputs are fetched. Raises CannotBuild, and as fetching does."""
        from taskimage.adapters.bytecode import runtime_command

        lock = self._lock
        return runtime_command(
            self._folder(), lock.python.executable, own_loader=bool(lock.base or lock.image)
        )

    def _folder(self) -> Path:
        image, python = self._lock.image, self._lock.python
        own: list[PythonPin | CondaPin] = [python] if python.source == "standalone" else []
        self._inputs.fetch(self._lock.base, interpreter=python if own else None)
        own += self._of_conda_python()
        return self._of_packages(own) if image is None else self._of_image(image.manifest, own)

    def _of_image(self, manifest: Digest, own: Sequence[PythonPin | CondaPin]) -> Path:
        from taskimage.adapters.bytecode import is_needed
        from taskimage.adapters.rootfs import unpack
        from taskimage.transform.layer import arranged

        python = self._lock.python

        def fill(root: Path) -> None:
            there = self._base.tree.entries if self._base else ()
            needed = [one for one in there if one.kind == "symlink" or is_needed(one.path, python.executable)]
            unpack([needed, arranged(self._entries(pin) for pin in own)], root)

        return self._kept(_key(image=str(manifest), path=python.executable, **_identity(own)), fill)

    def _of_packages(self, own: Sequence[PythonPin | CondaPin]) -> Path:
        from taskimage.adapters.rootfs import unpack
        from taskimage.transform.layer import arranged

        debs = self._minimal()

        def fill(root: Path) -> None:
            fragments: list[Sequence[Entry]] = [deb.entries for deb in self._inputs.debs(debs)]
            fragments.append([Entry.symlink(name, f"usr/{name}") for name in MERGED])
            fragments += [self._entries(pin) for pin in own]
            unpack([arranged(fragments)], root)

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
        """The packages of the interpreter and all that they depend on, sorted: they are opened once to know that."""
        base = {pin.package: pin for pin in self._lock.base}
        minor = self._lock.python.minor
        key = _key(python=minor, base=[str(pin.digest) for pin in self._lock.base])
        record = self._tools.store.record(_RECORDS, key)
        if record is None:
            record = {"packages": sorted(self._needed(f"python{minor}-minimal", base))}
            self._tools.store.keep_record(_RECORDS, key, record)
        return [base[name] for name in record["packages"]]

    def _needed(self, python: str, base: Mapping[str, DebPin]) -> set[str]:
        todo = [python, "libc6", "libcrypt1"]
        found: set[str] = set()
        while todo:
            name = todo.pop()
            if name in base and name not in found:
                found.add(name)
                control = self._inputs.control(base[name])
                depends = ",".join(control.get(field, "") for field in ("Pre-Depends", "Depends"))
                todo += re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", depends)
        return found


def _identity(own: Sequence[PythonPin | CondaPin]) -> dict[str, object]:
    """What tells one interpreter from another."""
    standalone = [str(pin.digest) for pin in own if isinstance(pin, PythonPin)]
    conda = [str(pin.digest) for pin in own if isinstance(pin, CondaPin)]
    return {"python": standalone[0] if standalone else "None", **({"conda": conda} if conda else {})}


def _key(**parts: object) -> Digest:
    return Digest.of(canonical_json(parts))
