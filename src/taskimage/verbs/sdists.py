"""Sdists of a spec, built: by the image's own interpreter, on its own packages, in a sandbox without network.

What an sdist brings runs there and nowhere else, and finds no file, variable or credential of this machine: what builds
it (PEP 518) is fetched before, from the indexes of the spec.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from taskimage.adapters.backend import Backend
from taskimage.adapters.rootfs import unpack
from taskimage.adapters.sandbox import Sandbox, find_sandbox
from taskimage.adapters.specfiles import host_linux
from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, TaskImageError
from taskimage.model.events import Done, Started
from taskimage.model.lock import PlatformLock, SdistPin, WheelPin
from taskimage.model.oci import ExecutionConfig, canonical_json
from taskimage.model.shown import shown
from taskimage.model.spec import ImageSpec
from taskimage.transform.builtwheel import normalised
from taskimage.transform.runtime import FLYTEKIT
from taskimage.transform.sdist import read_build_system
from taskimage.verbs.base import Base
from taskimage.verbs.ground import glibc_of
from taskimage.verbs.layers import known_layer
from taskimage.verbs.make import Maker
from taskimage.verbs.packages import plan_packages
from taskimage.verbs.recipe import Recipe
from taskimage.verbs.tools import Tools

__all__ = ["SdistBuilder", "rebuild"]

_FORMAT: Final = 1  # moves whenever the same sdist would give another wheel
_BELOW: Final = frozenset({"debs", "interpreter", "effects", "conda"})
# A backend may want more once it has what it wanted (PEP 517, get_requires_for_build_wheel).
_ROUNDS: Final = 4


def rebuild(
    tools: Tools, spec: ImageSpec, asked: Asked, lock: PlatformLock, pins: Iterable[WheelPin]
) -> None:
    """The store has those of ``pins`` that were built, built again where it lacks them.

    Raises CannotBuild where that cannot be done here, or gives another wheel; and what fetching raises.
    """
    missing = [pin for pin in pins if pin.sdist and not tools.store.input_path(pin.digest).exists()]
    if missing:
        with SdistBuilder(tools, spec, asked, lock) as builder:
            for pin in missing:
                builder.rebuild(pin)


class SdistBuilder(contextlib.ExitStack):
    """A context manager: builds sdists for one platform of ``spec``; what was unpacked for it is gone with the block.

    Args:
        tools: The adapters of this run.
        spec: Which names what may be built.
        asked: What was asked of package indexes, which have what builds an sdist.
        lock: What the image is made of; its wheels do not count.
        kept: Pins of an earlier lock, which tell what an sdist was built with.
        dry: Build nothing: only find out whether it could be.
    """

    def __init__(
        self,
        tools: Tools,
        spec: ImageSpec,
        asked: Asked,
        lock: PlatformLock,
        *,
        kept: Iterable[WheelPin] = (),
        dry: bool = False,
    ) -> None:
        super().__init__()
        self._tools = tools
        self._spec = spec
        self._asked = asked
        self._lock = lock
        self._kept_tools = {pin.sdist.digest: pin.sdist.tools for pin in kept if pin.sdist}
        self._dry = dry
        self._base = Base(tools, lock.image, lock.platform) if lock.image else None
        self._root: Path | None = None
        self._building: list[WheelPin] = []

    @property
    def names(self) -> frozenset[str]:
        """The normalised names of the packages that may be built."""
        from packaging.utils import canonicalize_name

        return frozenset(map(canonicalize_name, self._spec.options.build_sdists))

    def built(self, sdist: WheelPin) -> WheelPin | None:
        """The wheel of ``sdist``, in the store, which has the sdist: kept from before, or built; None when dry.

        Raises CannotBuild where it cannot be built here, or fails.
        """
        store, key = self._tools.store, self._key(sdist)
        if (record := store.record("built", key)) is not None:
            pin = _pin(sdist, record["file"], record["size"], Digest.parse(record["digest"]), record["tools"])
            if store.input_path(pin.digest).exists():
                return pin
        sandbox = self._sandbox(sdist)
        if self._dry:
            return None
        pin = self._build(sandbox, sdist, tools=self._kept_tools.get(sdist.digest))
        facts = {"file": pin.file, "size": pin.size, "digest": str(pin.digest), "tools": _tools(pin)}
        store.keep_record("built", key, facts)
        return pin

    def rebuild(self, pin: WheelPin) -> None:
        """The store has the wheel of ``pin`` afterwards, built again with the tools that it was built with."""
        sdist = pin.published
        sandbox = self._sandbox(sdist)
        self._tools.pypi.fetch([sdist], self._asked, moved=lambda _: None)
        got = self._build(sandbox, sdist, tools=_tools(pin))
        if got.digest != pin.digest:
            raise CannotBuild(
                f"{_named(pin)} is locked as built, with {pin.digest}, and building it again gives {got.digest}:"
                " its build is not reproducible",
                hint=f"have the wheel from where it was built: a registry with its layer, or `taskimage vendor` there; "
                f"or lock what is built here: taskimage lock -P {pin.name}",
            )

    def _key(self, sdist: WheelPin) -> Digest:
        """Everything that the wheel depends on, apart from the versions of what builds it."""
        lock = self._lock
        document = {
            "format": _FORMAT,
            "sdist": str(sdist.digest),
            "platform": str(lock.platform),
            "python": [lock.python.version, lock.python.executable, str(lock.python.digest or "")],
            "base": str(lock.image.manifest) if lock.image else "",
            "packages": [str(pin.digest) for pin in (*lock.base, *lock.apt)],
            "conda": [str(pin.digest) for pin in lock.conda],
        }
        return Digest.of(canonical_json(document))

    def _sandbox(self, sdist: WheelPin) -> Sandbox:
        """What it is built in. Raises CannotBuild, with what else can be done, where there is nothing."""
        platform, here = self._lock.platform, host_linux()
        without = f"there is no wheel of {_named(sdist)}, and it cannot be built here"
        instead = f"choose a version of {sdist.name} or another package that has a wheel, or name an index that has it"
        if not here.serves(platform):
            raise CannotBuild(
                f"{without}: the image is for {platform}, and this host is {here}",
                hint=f"{instead}; or do this on a {platform} host",
            )
        try:
            # Of those that keep processes and network apart, too.
            return find_sandbox(administers=True)
        except CannotBuild as error:
            error.message = f"{without}: {error.message}"
            error.hint = f"{instead}; or {error.hint}"
            raise

    # -- building --------------------------------------------------------------------------------------

    def _build(self, sandbox: Sandbox, sdist: WheelPin, *, tools: Sequence[str] | None) -> WheelPin:
        """The wheel, built with ``tools``, or with what it wants itself."""
        if sdist in self._building:
            raise CannotBuild(f"{_named(sdist)} is needed to build itself", hint="take a wheel of it")
        tell, store, python = self._tools.listener, self._tools.store, self._lock.python.executable
        what = f"{sdist.name} {sdist.version}"
        source = store.input_path(sdist.digest)
        with source.open("rb") as stream:
            system = read_build_system(stream, where=sdist.file)
        # Its own name is whatever an index says.
        archive = "sdist.zip" if sdist.file.endswith(".zip") else "sdist.tar.gz"
        tell(Started("sdists", f"Building {what}"))
        wanted = list(system.requires) if tools is None else list(tools)
        for _ in range(_ROUNDS):
            wheels = self._wheels(sdist, wanted)
            backend = Backend(
                system=system,
                sdist=archive,
                files={
                    archive: source,
                    **{f"wheels/{wheel.file}": store.input_path(wheel.digest) for wheel in wheels},
                },
                given=wanted if tools is None else None,
            )
            with store.explained(), store.temporary_directory() as scratch, _about(sdist):
                job = backend.job(Path(scratch), root=self._unpacked(), python=python, base=self._execution)
                found = backend.run(sandbox, job)
                if isinstance(found, Path):
                    pin = self._kept(sdist, found, wheels)
                    tell(Done("sdists", f"Built {what}"))
                    return pin
            wanted += found
        raise CannotBuild(f"{_named(sdist)} wants ever more to be built with: {shown(wanted)}")

    def _wheels(self, sdist: WheelPin, wanted: Sequence[str]) -> tuple[WheelPin, ...]:
        """What builds it, in the store."""
        lock = self._lock
        self._building.append(sdist)
        try:
            return self._tools.pypi.tools(
                wanted,
                self._asked,
                python=lock.python.version,
                platform=lock.platform,
                glibc=glibc_of(lock),
                builder=self,
            )
        except TaskImageError as error:
            error.message = (
                f"{_named(sdist)} has to be built, and what builds it cannot be had: {error.message}"
            )
            raise
        finally:
            self._building.pop()

    @property
    def _execution(self) -> ExecutionConfig | None:
        return self._base.image.config.execution if self._base else None

    def _unpacked(self) -> Path:
        """The root of the image without Python packages."""
        if self._root is None:
            root = Path(self.enter_context(self._tools.store.temporary_directory()), "root")
            root.mkdir()
            unpack(self._layers(), root)
            self._root = root
        return self._root

    def _layers(self) -> Iterator[tuple[Path, Digest]]:
        spec, lock, tools = self._spec, self._lock, self._tools
        plans = [plan for plan in plan_packages(spec, lock, user=FLYTEKIT.user) if plan.kind in _BELOW]
        known = {plan: layer for plan in plans if (layer := known_layer(tools, plan))}
        with Maker(tools, Recipe.of(spec, lock, user=FLYTEKIT.user), self._asked) as maker:
            made = maker.make_all(plan for plan in plans if plan not in known)
        yield from self._base.blobs() if self._base else ()
        for plan in plans:
            digest = {**known, **made}[plan].descriptor.digest
            yield tools.store.blob_path(digest), digest

    def _kept(self, sdist: WheelPin, wheel: Path, tools: Sequence[WheelPin]) -> WheelPin:
        """The pin of ``wheel``, which is in the store from now on, as it is everywhere."""
        self._expect_fitting(sdist, wheel.name)
        data = normalised(lambda: cast("BinaryIO", wheel.open("rb")), where=wheel.name)
        digest = Digest.of(data)
        with self._tools.store.pending_input(digest, len(data), where=wheel.name) as pending:
            pending.write(data)
        return _pin(
            sdist, wheel.name, len(data), digest, sorted(f"{tool.name}=={tool.version}" for tool in tools)
        )

    def _expect_fitting(self, sdist: WheelPin, file: str) -> None:
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename
        from packaging.version import Version

        from taskimage.adapters.pypi.target import Target

        lock = self._lock
        target = Target(lock.python.version, lock.platform, glibc_of(lock))
        try:
            name, version, _, tags = parse_wheel_filename(file)
        except InvalidWheelFilename as error:
            raise CannotBuild(
                f"the build of {_named(sdist)} gives {shown(file)}, which is no wheel"
            ) from error
        if (name, version) != (sdist.name, Version(sdist.version)) or not tags.intersection(target.tags):
            raise CannotBuild(f"its build gives {file!r}, which is not its wheel for {target}")


def _named(pin: WheelPin) -> str:
    return f"'{pin.name}=={pin.version}'"


def _pin(sdist: WheelPin, file: str, size: int, digest: Digest, tools: Iterable[str]) -> WheelPin:
    of = SdistPin(file=sdist.file, size=sdist.size, digest=sdist.digest, tools=tuple(tools))
    return WheelPin(
        name=sdist.name,
        version=sdist.version,
        index=sdist.index,
        file=file,
        size=size,
        digest=digest,
        sdist=of,
    )


def _tools(pin: WheelPin) -> tuple[str, ...]:
    return pin.sdist.tools if pin.sdist else ()


@contextlib.contextmanager
def _about(sdist: WheelPin) -> Iterator[None]:
    """In the block, an error tells what cannot be built."""
    try:
        yield
    except CannotBuild as error:
        error.message = f"{_named(sdist)} cannot be built of {sdist.file!r}: {error.message}"
        raise
