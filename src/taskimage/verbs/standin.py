"""What compiles an image's bytecode on this machine: its own interpreter, or a stand-in of exactly its version.

Bytecode depends on the version of the interpreter, and not on what that runs on. So for an image of another
architecture, or on a Mac, the same version for this machine compiles. It has a lock of its own, of inputs that are
found once and then kept in the store; an interpreter is put together from them as from any lock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace

from taskimage.adapters.specfiles import host_machine
from taskimage.adapters.store import Store
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput, CannotBuild, NotFound
from taskimage.model.events import Notice
from taskimage.model.lock import DebPin, Lock, PlatformLock, PythonPin, Wants
from taskimage.model.lockfile import dumps, loads
from taskimage.model.oci import Platform, canonical_json
from taskimage.model.oci.platform import ARCHITECTURES
from taskimage.model.value import dataclass
from taskimage.verbs.base import Base
from taskimage.verbs.tools import Tools

__all__ = ["StandIns", "inputs_of", "known_ways", "this_machine"]

_RECORDS = "standins"


def this_machine() -> Platform:
    """The platform whose programs this machine runs."""
    return Platform.of_host(sys.platform, host_machine())


def known_ways(python: PythonPin, here: Platform) -> tuple[str, ...]:
    """Where there may be an interpreter for the machine ``here`` that is of the version of ``python``.

    ``debian``: in the archive of the image's own, where that is a Debian package. ``standalone``: among the standalone
    builds, which do with the machine's own C library.
    """
    in_debian = here.os == "linux" and here.architecture in ARCHITECTURES
    is_package = python.source == "suite" or python.path == f"/usr/bin/python{python.minor}"
    return ("debian", "standalone") if in_debian and is_package else ("standalone",)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIns:
    """Finds what compiles for one image on one machine.

    Attributes:
        tools: The adapters of this run.
        lock: The inputs of the image.
        others: Those of the same image for other platforms.
        base: The image that it stands on.
        here: The machine.
    """

    tools: Tools
    lock: PlatformLock
    others: Sequence[PlatformLock] = ()
    base: Base | None = None
    here: Platform

    @property
    def is_needed(self) -> bool:
        """Whether neither the image nor the same one for another platform has what compiles here."""
        return self._locked is None

    def find(self) -> PlatformLock:
        """The inputs of the interpreter that compiles, which is of the image's exact version, and runs here.

        That is the image's own, that of the same image for this platform, what the store remembers, what the archive
        of its Debian packages has for this machine, or a standalone build; the first that there is.

        Raises CannotBuild, which says what was looked for, and what fetching raises.
        """
        return self._locked or self._remembered() or self._found()

    def keep(self, found: PlatformLock, store: Store) -> None:
        """From now on ``store`` remembers what was found."""
        # It stands under the image's platform there: no lock is for a Mac.
        platform = self.lock.platform
        wants = Wants(python=found.python.version, platforms=(str(platform),), suite=found.suite)
        kept = Lock(wants=wants, platforms=(replace(found, platform=platform),))
        store.keep_record(_RECORDS, self._key, {"lock": dumps(kept)})

    @property
    def _key(self) -> Digest:
        document = {
            "here": str(self.here),
            "python": {name: str(value) for name, value in asdict(self.lock.python).items()},
            "packages": [str(pin.digest) for pin in self.lock.base if pin.package == self._package],
            "image": str(self.lock.image.manifest) if self.lock.image else "",
        }
        return Digest.of(canonical_json(document))

    @property
    def _locked(self) -> PlatformLock | None:
        wanted = (self.here, self.lock.python.version)
        there = (one for one in (self.lock, *self.others) if (one.platform, one.python.version) == wanted)
        return next(there, None)

    def _remembered(self) -> PlatformLock | None:
        store = self.tools.store
        record = store.record(_RECORDS, self._key)
        # One that another version of ours wrote, or of which the store has lost a file, is found anew.
        with suppress(BadInput):
            if record is not None:
                (kept,) = loads(record["lock"], where="stand-in in the store").platforms
                if all(store.input_path(digest).exists() for digest in inputs_of(kept)):
                    return replace(kept, platform=self.here)
        return None

    def _found(self) -> PlatformLock:
        finders: dict[str, Callable[[], PlatformLock]] = {
            "debian": self._of_debian,
            "standalone": self._standalone,
        }
        problems: list[str] = []
        for way in known_ways(self.lock.python, self.here):
            try:
                found = finders[way]()
            except (NotFound, CannotBuild) as error:
                problems.append(error.message)
                continue
            self.keep(found, self.tools.store)
            what = f"{'Debian' if found.base else 'the standalone'} CPython {found.python.version} for {self.here}"
            self.tools.listener(Notice(f"bytecode for {self.lock.platform} is compiled by {what}"))
            return found
        raise self._none_there(problems)

    def _none_there(self, problems: Sequence[str]) -> CannotBuild:
        platform = self.lock.platform
        return CannotBuild(
            f"no CPython {self.lock.python.version} was found that runs on this machine, {self.here}, and compiles "
            f"the bytecode for {platform}" + "".join(f"\n  {problem}" for problem in problems),
            hint=f"build on a machine of {platform}, set `bytecode: false` in builder_options.taskimage of the spec, "
            "or lock another version of Python (`taskimage lock --upgrade` takes what the mirrors have now)",
        )

    # -- Debian's ------------------------------------------------------------------------------------------

    def _of_debian(self) -> PlatformLock:
        """The same version of the packages; where the mirrors have it no more, a later revision of the same Python."""
        suite, version = self._own_package()
        try:
            debs = self._resolved(suite, version)
        except NotFound:
            debs = self._resolved(suite, f"{version.rpartition('-')[0]}-*")
        python = PythonPin(version=self.lock.python.version, source="suite")
        return PlatformLock(platform=self.here, suite=suite, python=python, base=debs)

    @property
    def _package(self) -> str:
        return f"python{self.lock.python.minor}-minimal"

    def _own_package(self) -> tuple[str, str]:
        """The suite and the version of the image's own interpreter. Raises NotFound where it is not Debian's."""
        if self.base is None:
            return self.lock.suite, next(
                pin.version for pin in self.lock.base if pin.package == self._package
            )
        from taskimage.adapters.debian.installed import STATUS, Installed

        facts = self.base.facts
        status = facts.texts.get(STATUS, "")
        installed = Installed.parse(status, self.lock.platform.debian).packages.get(self._package)
        if facts.os_release.get("ID") != "debian" or installed is None:
            raise NotFound(f"the Python of the base image is not Debian's package {self._package!r}")
        return facts.os_release.get("VERSION_CODENAME", "sid"), installed.version

    def _resolved(self, suite: str, version: str) -> tuple[DebPin, ...]:
        request = f"{self._package}={version}"
        return self.tools.debian.resolve(suite, self.here.debian, base=[request]).base

    # -- standalone ----------------------------------------------------------------------------------------

    def _standalone(self) -> PlatformLock:
        python = self.tools.cpython.resolve(self.lock.python.version, self.here)
        return PlatformLock(platform=self.here, suite="", python=python)


def inputs_of(lock: PlatformLock) -> Iterator[Digest]:
    """The digests of the packages and of the interpreter that ``lock`` names."""
    yield from (pin.digest for pin in (*lock.base, *lock.apt))
    yield from (pin.digest for pin in lock.conda)
    yield from (pin.digest for pin in lock.wheels)
    if lock.python.digest is not None:
        yield lock.python.digest
