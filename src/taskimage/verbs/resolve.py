"""`resolve`: what a spec wants becomes pins, for one platform after the other: base, interpreter, packages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.base import BaseFacts, Distribution
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild, NotFound
from taskimage.model.events import Done, Notice, Started, counted
from taskimage.model.lock import BasePin, CondaPin, DebPin, Lock, PlatformLock, PythonPin, Wants
from taskimage.model.oci import Platform
from taskimage.model.spec import ImageSpec
from taskimage.transform.runtime import CONDA
from taskimage.verbs.base import Base, pin_base
from taskimage.verbs.conda import environment
from taskimage.verbs.placed import placed
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.pypi import Resolution

__all__ = ["BASE", "Ground", "Resolving", "resolve"]

BASE: Final = (
    "base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "diffutils", "findutils", "grep",
    "gzip", "hostname", "libc-bin", "libstdc++6", "mawk", "ncurses-base", "netbase", "sed", "tar", "tzdata",
)  # fmt: skip
"""What every image has beside its interpreter: a shell and its tools, certificates, names, time zones, and
the C++ library, which manylinux wheels expect to find (PEP 600)."""


# What is made goes below these, which a base may have moved elsewhere.
_PLACES: Final = frozenset({"opt", "opt/python", "opt/venv", "root", "home", "home/flytekit"})


def resolve(
    tools: Tools,
    spec: ImageSpec,
    wants: Wants,
    requirements: Sequence[RequirementsFile],
    *,
    keep: Lock | None = None,
    upgrade_packages: Sequence[str] = (),
) -> Lock:
    """A lock for ``wants``, which ``spec`` asks for with ``requirements``; the versions of ``keep`` are preferred."""
    platforms = []
    for text in wants.platforms:
        platform = Platform.parse(text)
        tools.listener(Started("resolve", f"Resolving for {platform}"))
        found = Resolving(
            tools, spec, wants, requirements, platform, keep=keep, upgrade_packages=upgrade_packages
        ).lock
        pins = (*found.base, *found.apt, *found.conda, *found.wheels)
        count = counted(len(pins), "package")
        tools.listener(Done("resolve", f"Resolved {count} for {platform}: Python {found.python.version}"))
        platforms.append(found)
    return Lock(wants=wants, platforms=tuple(platforms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What Python packages are installed on: a base of Debian's packages, or a base image; and the interpreter."""

    python: PythonPin
    glibc: tuple[int, int]
    suite: str
    base: tuple[DebPin, ...] = ()
    image: BasePin | None = None
    apt: tuple[DebPin, ...] = ()
    conda: tuple[CondaPin, ...] = ()
    installed: tuple[Distribution, ...] = ()


class Resolving:
    """One platform of a spec; each part is resolved when it is asked for, and raises what keeps it from that."""

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
    ) -> None:
        self.platform = platform
        self._tools = tools
        self._spec = spec
        self._wants = wants
        self._requirements = requirements
        self._kept = [item for item in keep.platforms if item.platform == platform] if keep else []
        self._upgrade_packages = upgrade_packages

    @cached_property
    def ground(self) -> Ground:
        """Everything that stands below the Python packages."""
        with placed(self._spec, "base_image"), placed(self._spec, "apt_packages"):
            stand = _on_image if self._wants.base_image else _on_debian
            ground = stand(self._tools, self._wants, self.platform, self._kept)
        return self._on_conda(ground) if self._wants.conda_packages else ground

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
        # What was chosen to go with another base says nothing about this one.
        kept = [item for item in self._kept if _manifest(item.image) == _manifest(self.ground.image)]
        with placed(self._spec, "packages"):
            return self._tools.pypi.resolve(
                python=self.ground.python.version,
                platform=self.platform,
                packages=(*self._wants.packages, *_runtime(self._wants)),
                requirements=self._requirements,
                index=self._spec.pip_index,
                extra_indexes=self._spec.pip_extra_index_url or (),
                glibc=self.ground.glibc,
                keep=[pin for item in kept for pin in item.wheels],
                installed=self.ground.installed,
                upgrade_packages=self._upgrade_packages,
            )

    @property
    def lock(self) -> PlatformLock:
        """All of it."""
        image = self.ground.image
        if image is not None and self.ground.python.source == "base":
            used = sorted(f"{one.name} {one.version}" for one in self.packages.installed)
            image = replace(image, installed=tuple(used))
        return PlatformLock(
            platform=self.platform,
            suite=self.ground.suite,
            python=self.ground.python,
            base=self.ground.base,
            image=image,
            apt=self.ground.apt,
            conda=self.ground.conda,
            wheels=self.packages.wheels,
        )


def _on_debian(tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock]) -> Ground:
    python = (
        _of_conda(wants) or _of_suite(tools, wants, platform) or _standalone(tools, wants, platform, kept)
    )
    # Standalone builds bring their own libraries, apart from what the Linux Standard Base has: libc and libcrypt.
    # conda's have all but libc.
    interpreter = {"suite": f"python{python.minor}", "conda": "libc6"}.get(python.source, "libcrypt1")
    debian = tools.debian.resolve(
        wants.suite, platform.debian, base=(*BASE, interpreter), apt=wants.apt_packages
    )
    return Ground(
        python=python, glibc=_glibc(debian.base), suite=wants.suite, base=debian.base, apt=debian.apt
    )


def _on_image(tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock]) -> Ground:
    pin = pin_base(tools, wants.base_image, platform, keep=[one.image for one in kept if one.image])
    facts = Base(tools, pin, platform).facts
    if facts.glibc is None:
        library = "musl, for which hardly any wheel is built" if facts.musl else "no C library at all"
        raise CannotBuild(
            f"the base image {wants.base_image!r} has {library}: Python packages need the GNU C library",
            hint="use a base image with glibc (Debian, Ubuntu, Fedora, UBI …), or leave base_image out",
        )
    found = [one for one in facts.interpreters if wants.python in (one.version, one.minor)]
    if of_conda := _of_conda(wants):
        _check_no_conda(wants, facts)
        python = of_conda
    elif found:
        python = PythonPin(version=found[0].version, source="base", path=found[0].executable)
    else:
        _tell_other_pythons(tools, wants, facts)
        python = _standalone(tools, wants, platform, kept)
    apt: tuple[DebPin, ...] = ()
    if wants.apt_packages:
        apt = tools.debian.on(facts).resolve(platform.debian, apt=wants.apt_packages)
    links = sorted(f"{path} {target}" for path, target in facts.links.items() if path in _PLACES)
    return Ground(
        python=python,
        glibc=facts.glibc,
        suite=facts.os_release.get("VERSION_CODENAME", "") if apt else "",
        image=replace(pin, glibc="{}.{}".format(*facts.glibc), links=tuple(links)),
        apt=apt,
        installed=found[0].distributions if found else (),
    )


def _check_no_conda(wants: Wants, facts: BaseFacts) -> None:
    prefix = CONDA.strip("/")
    inside = [one for one in facts.interpreters if one.executable.startswith(f"{CONDA}/")]
    if inside or prefix in facts.links:
        raise CannotBuild(
            f"the base image {wants.base_image!r} has an environment at {CONDA!r} itself, where that of"
            " conda_packages would be",
            hint="use a base image without conda, or the base's environment without conda_packages",
        )


def _tell_other_pythons(tools: Tools, wants: Wants, facts: BaseFacts) -> None:
    if facts.interpreters:
        there = ", ".join(one.version for one in facts.interpreters)
        tools.listener(
            Notice(f"the base image has Python {there}, and {wants.python} is wanted: it gets one of its own")
        )


def _manifest(image: BasePin | None) -> Digest | None:
    return None if image is None else image.manifest


def _of_conda(wants: Wants) -> PythonPin | None:
    """Where conda packages are wanted, their Python is the only one that they go with; solving tells its version."""
    return PythonPin(version=wants.python, source="conda") if wants.conda_packages else None


def _of_suite(tools: Tools, wants: Wants, platform: Platform) -> PythonPin | None:
    """The suite's own interpreter, where it has the wanted version."""
    minor = ".".join(wants.python.split(".")[:2])
    found = tools.debian.candidate(wants.suite, platform.debian, f"python{minor}")
    if found is not None:
        version = re.split(r"[-~+]", found.rpartition(":")[2])[0]
        if wants.python in {version, minor}:
            return PythonPin(version=version, source="suite")
    return None


def _standalone(tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock]) -> PythonPin:
    """A standalone interpreter: the one that is locked already, if it serves."""
    for pin in (one.python for one in kept):
        if pin.source == "standalone" and wants.python in {pin.version, pin.minor}:
            return pin
    return tools.cpython.resolve(wants.python, platform)


def _glibc(base: Sequence[DebPin]) -> tuple[int, int]:
    for pin in base:
        if pin.package == "libc6":
            major, minor = re.split(r"[.+~-]", pin.version)[:2]
            return int(major), int(minor)
    raise NotFound("the base has no libc6")


def _runtime(wants: Wants) -> tuple[str, ...]:
    """The requirement that starts tasks, at the host's own version where the host has it."""
    from importlib.metadata import PackageNotFoundError, version

    if not wants.runtime:
        return ()
    try:
        return (f"{wants.runtime}=={version(wants.runtime)}",)
    except PackageNotFoundError:
        return (wants.runtime,)
