"""The inputs of a lock, fetched when something needs them and read once."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from taskimage.adapters.processors import COMPUTING
from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.errors import IntegrityError
from taskimage.model.lock import CondaPin, DebPin, PythonPin, WheelPin
from taskimage.transform.entry import Entry
from taskimage.verbs.once import Once
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.transform.conda import CondaPackage
    from taskimage.transform.deb import Deb
    from taskimage.transform.wheel import Wheel
    from taskimage.verbs.base import Base

__all__ = ["Inputs"]

_T = TypeVar("_T")
_Pin = TypeVar("_Pin", DebPin, CondaPin, WheelPin, PythonPin)


class Inputs(contextlib.ExitStack):
    """A context manager: what is read stays readable until the block ends.

    On a ``base`` image Debian's packages are fetched from its own archives, and its links say where their files go.
    """

    def __init__(
        self, tools: Tools, *, asked: Asked, python: str, prefix: str, base: Base | None = None
    ) -> None:
        super().__init__()
        self._tools = tools
        self._base = base
        self._asked = asked
        self.python = python
        """The feature version of the environment's interpreter."""
        self._prefix = prefix
        self._debs = Once["Deb"]()
        self._conda = Once["CondaPackage"]()
        self._wheels = Once["Wheel"]()
        self._interpreters = Once[tuple[Entry, ...]]()
        self._local = threading.local()
        self._opening = threading.Lock()

    def on(self, base: Base | None) -> Inputs:
        """Those of another image, which stands on ``base``; the packages of both are in the same places."""
        return Inputs(self._tools, asked=self._asked, python=self.python, prefix=self._prefix, base=base)

    def fetch(
        self,
        debs: Iterable[DebPin] = (),
        wheels: Iterable[WheelPin] = (),
        interpreter: PythonPin | None = None,
        *,
        conda: Iterable[CondaPin] = (),
        asked: Asked | None = None,
    ) -> None:
        """Everything that is named is in the store; ``asked``, where it is not the usual, says where packages are."""
        asked = asked or self._asked
        some_debs = sorted({pin for pin in debs if self._is_missing(pin)})
        some_conda = sorted({pin for pin in conda if self._is_missing(pin)})
        some_wheels = sorted({pin for pin in wheels if self._is_missing(pin)})
        interpreters = [interpreter] if interpreter and self._is_missing(interpreter) else []
        wanted: list[DebPin | CondaPin | WheelPin | PythonPin] = [
            *some_debs, *some_conda, *some_wheels, *interpreters,
        ]  # fmt: skip
        if not wanted:
            return
        tally, sizes = self._tools.fetching, _sizes(wanted)
        tally.expect(sizes)
        jobs: list[Callable[[], object]] = []
        if some_debs:
            debian = self._tools.debian.on(self._base.facts) if self._base else self._tools.debian
            jobs.append(lambda: debian.fetch(some_debs, moved=tally.moved))
        if some_conda:
            jobs.append(
                lambda: self._tools.conda.fetch(some_conda, channels=asked.channels, moved=tally.moved)
            )
        if some_wheels:
            jobs.append(lambda: self._tools.pypi.fetch(some_wheels, asked, moved=tally.moved))
        if interpreter and interpreters:
            jobs.append(lambda: self._tools.cpython.fetch(interpreter, moved=tally.moved))
        try:
            self._tools.http.each(lambda job: job(), jobs)
            tally.came(sizes)
        finally:
            tally.failed(sizes)

    def expect(self, pins: Iterable[DebPin | CondaPin | WheelPin]) -> None:
        """Those of ``pins`` that the store lacks are going to be fetched."""
        self._tools.fetching.expect(_sizes(pin for pin in pins if self._is_missing(pin)))

    def _is_missing(self, pin: DebPin | CondaPin | WheelPin | PythonPin) -> bool:
        return pin.digest is not None and not self._tools.store.input_path(pin.digest).exists()

    def deb(self, pin: DebPin) -> Deb:
        """The package of ``pin``, which is fetched; its bodies can be opened from any thread."""
        return self._debs.get(pin.digest, partial(self._in_turn, self._read_deb, pin))

    def control(self, pin: DebPin) -> Mapping[str, str]:
        """The control fields of the package of ``pin``, which is fetched, and of which no more is read."""
        from taskimage.transform.deb import read_control

        with self._tools.store.input_path(pin.digest).open("rb") as stream:
            return read_control(stream, where=_file(pin))

    def debs(self, pins: Iterable[DebPin]) -> list[Deb]:
        """The packages of ``pins``, which are fetched, each read by whichever thread comes to it first."""
        pins = list(pins)
        for pin in sorted(pins, key=lambda pin: -pin.size):
            self._debs.begin(pin.digest, partial(self._in_turn, self._read_deb, pin))
        return [self.deb(pin) for pin in pins]

    def conda(self, pin: CondaPin) -> CondaPackage:
        """The conda package of ``pin``, which is fetched, as linked."""
        return self._conda.get(pin.digest, partial(self._in_turn, self._read_conda, pin))

    def wheel(self, pin: WheelPin) -> Wheel:
        """The wheel of ``pin``, which is fetched, as installed."""
        return self._wheels.get(pin.digest, partial(self._in_turn, self._read_wheel, pin))

    def forget(self, pins: Iterable[WheelPin | CondaPin]) -> None:
        """What was read of ``pins`` is read anew, should it be wanted again."""
        for pin in pins:
            self._wheels.forget(pin.digest)
            self._conda.forget(pin.digest)

    def interpreter(self, pin: PythonPin) -> tuple[Entry, ...]:
        """The files of the standalone interpreter of ``pin``, which is fetched."""
        return self._interpreters.get(pin.archive, partial(self._in_turn, self._read_interpreter, pin))

    def _read_interpreter(self, pin: PythonPin) -> tuple[Entry, ...]:
        from taskimage.transform.standalone import read_standalone

        with self._tools.store.input_path(pin.archive).open("rb") as stream:
            return read_standalone(stream, self._spool(), where=pin.path)

    def _read_deb(self, pin: DebPin) -> Deb:
        from taskimage.transform.deb import read_deb
        from taskimage.transform.deb.layout import Layout

        layout = Layout(self._base.facts.links) if self._base else None
        where = _file(pin)
        with self._tools.store.input_path(pin.digest).open("rb") as stream:
            deb = read_deb(stream, self._spool(), where=where, layout=layout)
        if (deb.package, deb.version) != (pin.package, pin.version):
            raise IntegrityError(
                f"is {deb.package!r} {deb.version}, locked as {pin.package!r} {pin.version}", where=where
            )
        return deb

    def _read_conda(self, pin: CondaPin) -> CondaPackage:
        from taskimage.transform.conda import read_conda

        path = self._tools.store.input_path(pin.digest)
        return read_conda(lambda: cast("BinaryIO", path.open("rb")), self._spool(), pin, python=self.python)

    def _read_wheel(self, pin: WheelPin) -> Wheel:
        from taskimage.transform.wheel import read_wheel

        path = self._tools.store.input_path(pin.digest)
        return read_wheel(
            lambda: cast("BinaryIO", path.open("rb")),
            prefix=self._prefix.strip("/"),
            python=self.python,
            where=pin.file,
        )

    def _in_turn(self, read: Callable[[_Pin], _T], pin: _Pin) -> _T:
        with COMPUTING.turn(pin.size, awaited=True), self._tools.store.explained():
            return read(pin)

    def _spool(self) -> BinaryIO:
        """A file that only this thread writes to."""
        spool: BinaryIO | None = getattr(self._local, "spool", None)
        if spool is None:
            with self._opening:
                folder = self.enter_context(self._tools.store.temporary_directory())
                file = self.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - it is entered
            spool = self._local.spool = cast("BinaryIO", file)
        return spool


def _file(pin: DebPin) -> str:
    """The name of a package's file, as errors have it."""
    return pin.path.rpartition("/")[2]


def _sizes(pins: Iterable[DebPin | CondaPin | WheelPin | PythonPin]) -> dict[Hashable, int]:
    return {pin.digest: pin.size for pin in pins}
