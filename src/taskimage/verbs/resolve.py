"""`resolve`: what a spec wants becomes pins, for one platform after the other: base, interpreter, packages."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from taskimage.adapters.crew import Crew
from taskimage.adapters.specfiles.asked import Asked
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.base import Distribution
from taskimage.model.events import Done, Started, Warned, counted
from taskimage.model.lock import Lock, PlatformLock, PythonPin, Wants, WheelPin
from taskimage.model.oci import Platform
from taskimage.model.spec import ImageSpec
from taskimage.verbs.conda import environment
from taskimage.verbs.foresight import likely_ground
from taskimage.verbs.ground import Ground, manifest_of, on_debian, on_image, with_apt
from taskimage.verbs.hostruntime import runtime_requirement
from taskimage.verbs.placed import placed
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.pypi import Resolution
    from taskimage.verbs.sdists import SdistBuilder

__all__ = ["Resolving", "resolve"]

# Seconds, the most that is waited until uv runs.
_BEGIN = 0.5


def resolve(
    tools: Tools,
    spec: ImageSpec,
    wants: Wants,
    requirements: Sequence[RequirementsFile],
    *,
    keep: Lock | None = None,
    upgrade_packages: Sequence[str] = (),
    unread: bool = True,
    meanwhile: Callable[[], object] | None = None,
) -> Lock:
    """A lock for ``wants``, which ``spec`` asks for with ``requirements``; the versions of ``keep`` are preferred.

    Its wheels are ``unread`` by those who make no image of it now; ``meanwhile`` is called while uv is waited for.
    """
    platforms = []
    for text in wants.platforms:
        platform = Platform.parse(text)
        tools.listener(Started("resolve", f"Resolving for {platform}"))
        found = Resolving(
            tools,
            spec,
            wants,
            requirements,
            platform,
            keep=keep,
            upgrade_packages=upgrade_packages,
            unread=unread,
            meanwhile=meanwhile,
        ).lock
        pins = (*found.base, *found.apt, *found.conda, *found.wheels)
        count = counted(len(pins), "package")
        tools.listener(Done("resolve", f"Resolved {count} for {platform}: Python {found.python.version}"))
        if unread and found.image:
            tools.base_trees.forget(found.image.manifest)  # on the disk it is as large as the base
        platforms.append(found)
    return Lock(wants=wants, platforms=tuple(platforms))


class Resolving:
    """One platform of a spec; each part is resolved when it is asked for, and raises what keeps it from that.

    A ``dry`` one builds no sdist; of ``unread`` wheels nobody but their index says which Pythons they allow.
    """

    def __init__(
        self,
        tools: Tools,
        spec: ImageSpec,
        wants: Wants,
        requirements: Sequence[RequirementsFile],
        platform: Platform,
        *,
        keep: Lock | None = None,
        upgrade_packages: Sequence[str] = (),
        dry: bool = False,
        unread: bool = True,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        self.platform = platform
        self._tools = tools
        self._spec = spec
        self._wants = wants
        self._requirements = requirements
        self._kept = [item for item in keep.platforms if item.platform == platform] if keep else []
        self._upgrade_packages = upgrade_packages
        self._dry = dry
        self._unread = unread
        self._meanwhile = meanwhile

    @cached_property
    def ground(self) -> Ground:
        """Everything that stands below the Python packages."""
        asked = (self._tools, self._wants, self.platform, self._kept, self._upgrade_packages)
        with placed(self._spec, "base_image"), placed(self._spec, "apt_packages"):
            ground = with_apt(*asked, self._image) if self._wants.base_image else on_debian(*asked)
        return self._on_conda(ground) if self._wants.conda_packages else ground

    @cached_property
    def _image(self) -> Ground:
        """The base image, without apt packages."""
        with placed(self._spec, "base_image"):
            return on_image(self._tools, self._wants, self.platform, self._kept)

    def _on_conda(self, ground: Ground) -> Ground:
        """``ground`` with an environment of conda packages on it, whose Python is the interpreter."""
        keep = [pin for one in self._kept for pin in one.conda if pin.name not in self._upgrade_packages]
        with placed(self._spec, "conda_packages"):
            found = environment(
                self._tools,
                self._wants.conda_packages,
                channels=self._spec.conda_channels or (),
                python=self._wants.python,
                platform=self.platform,
                glibc=ground.glibc,
                keep=keep,
            )
        python = PythonPin(version=found.python, source="conda")
        return replace(ground, python=python, conda=found.packages, installed=found.distributions)

    @cached_property
    def packages(self) -> Resolution:
        """The Python packages."""
        found = self._foreseen_packages() or self._packages_on(self.ground)
        if self._lacks_flytekit(found):
            self._tools.listener(
                Warned(
                    f"{self._requirements[0].name} has no flytekit, and nothing is added to a lock file:"
                    " the image starts no tasks",
                    hint="add flytekit to the project and lock it, or set runtime: none in builder_options",
                )
            )
        return found

    def _foreseen_packages(self) -> Resolution | None:
        """The Python packages, resolved while the ground is: None where that turns out to be another than was likely."""
        if self._spec.options.build_sdists:  # nothing is built by a guess
            return None
        likely = self._likely_ground()
        if likely is None:
            return None
        asking = threading.Event()

        def packages() -> Resolution:
            try:
                return self._packages_on(likely, asking.set)
            finally:
                asking.set()

        with Crew.beside(packages) as found:
            # What waits for somebody else is begun before what there is to do meanwhile.
            asking.wait(_BEGIN)
            return found() if self.ground.footing == likely.footing else None

    def _likely_ground(self) -> Ground | None:
        """What is known of the ground before any list of Debian's packages is read, as far as wheels depend on it."""
        if self._wants.base_image and not self._wants.conda_packages:
            return self._image if self._wants.apt_packages else None
        return likely_ground(self._tools, self._wants, self.platform, self._kept)

    def _packages_on(self, ground: Ground, begun: Callable[[], object] | None = None) -> Resolution:
        def meanwhile() -> None:
            for one in (begun, self._meanwhile):
                if one is not None:
                    one()

        packages = (*self._wants.packages, *runtime_requirement(self._wants), *_installer(self._wants))
        asked = replace(Asked.of(self._spec, self._requirements), packages=packages)
        # What was chosen to go with another base says nothing about this one.
        same = [item for item in self._kept if manifest_of(item.image) == manifest_of(ground.image)]
        kept = [pin for item in same for pin in item.wheels]
        with placed(self._spec, "packages"), self._builder(asked, kept) as builder:
            return self._tools.pypi.resolve(
                asked,
                python=ground.python.version,
                platform=self.platform,
                glibc=ground.glibc,
                keep=kept,
                installed=ground.installed,
                upgrade_packages=self._upgrade_packages,
                builder=builder,
                unread=self._unread,
                meanwhile=meanwhile,
            )

    def _builder(
        self, asked: Asked, kept: Sequence[WheelPin]
    ) -> contextlib.AbstractContextManager[SdistBuilder | None]:
        """What builds sdists, where the spec lets it."""
        if not self._spec.options.build_sdists:
            return contextlib.nullcontext()
        from packaging.utils import canonicalize_name

        from taskimage.verbs.sdists import SdistBuilder

        newest = set(map(canonicalize_name, self._upgrade_packages))
        kept = [pin for pin in kept if pin.name not in newest]
        return SdistBuilder(self._tools, self._spec, asked, self._below, kept=kept, dry=self._dry)

    def _lacks_flytekit(self, found: Resolution) -> bool:
        """Whether tasks are to be started, and a lock file that is whole has nothing to start them."""
        return (
            bool(self._requirements)
            and self._requirements[0].kind.is_lock
            and self._spec.options.runtime == "flytekit"
            and all(wheel.name != "flytekit" for wheel in found.wheels)
        )

    @property
    def lock(self) -> PlatformLock:
        """All of it."""
        packages, image = self.packages, self.ground.image
        if image is not None:
            used = _rows(packages.installed) if self.ground.python.source == "base" else ()
            image = replace(image, installed=used, replaced=_rows(self._replaced))
        return replace(self._below, image=image, wheels=packages.wheels)

    @property
    def _below(self) -> PlatformLock:
        """What is below the Python packages."""
        ground = self.ground
        return PlatformLock(
            platform=self.platform,
            suite=ground.suite,
            python=ground.python,
            base=ground.base,
            image=ground.image,
            apt=ground.apt,
            conda=ground.conda,
        )

    @property
    def _replaced(self) -> Iterator[Distribution]:
        """What of the base's environment wheels take the place of."""
        environment = self.ground.environment
        names = {pin.name for pin in self.packages.wheels}
        for one in self.ground.installed:
            if environment is not None and environment.has(one) and one.name in names:
                yield one


def _rows(distributions: Iterable[Distribution]) -> tuple[str, ...]:
    return tuple(sorted(f"{one.name} {one.version}" for one in distributions))


def _installer(wants: Wants) -> tuple[str, ...]:
    return (wants.installer,) if wants.installer else ()
