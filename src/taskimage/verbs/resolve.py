"""`resolve`: what a spec wants becomes pins, for one platform after the other: base, interpreter, packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.base import BaseFacts, Distribution, Environment, Interpreter
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Done, Notice, Started, Warned, counted
from taskimage.model.lock import BasePin, CondaPin, DebPin, Lock, PlatformLock, PythonPin, Wants
from taskimage.model.oci import Platform
from taskimage.model.spec import ImageSpec
from taskimage.verbs.base import Base, pin_base
from taskimage.verbs.conda import environment
from taskimage.verbs.placed import placed
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.debian.kept import Keep
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
    """What Python packages are installed on: a base of Debian's packages, or a base image; and the interpreter.

    Of a base image, ``installed`` are the packages that count, and ``environment`` is the one that some are in.
    """

    python: PythonPin
    glibc: tuple[int, int]
    suite: str
    base: tuple[DebPin, ...] = ()
    image: BasePin | None = None
    apt: tuple[DebPin, ...] = ()
    conda: tuple[CondaPin, ...] = ()
    installed: tuple[Distribution, ...] = ()
    environment: Environment | None = None


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
            ground = stand(self._tools, self._wants, self.platform, self._kept, self._upgrade_packages)
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
            found = self._tools.pypi.resolve(
                python=self.ground.python.version,
                platform=self.platform,
                packages=(*self._wants.packages, *_runtime(self._wants), *_installer(self._wants)),
                requirements=self._requirements,
                index=self._spec.pip_index,
                extra_indexes=self._spec.pip_extra_index_url or (),
                glibc=self.ground.glibc,
                keep=[pin for item in kept for pin in item.wheels],
                installed=self.ground.installed,
                upgrade_packages=self._upgrade_packages,
                options=self._spec.install_options,
            )
        if self._lacks_flytekit(found):
            self._tools.listener(
                Warned(
                    f"{self._requirements[0].name} has no flytekit, and nothing is added to a lock file:"
                    " the image starts no tasks",
                    hint="add flytekit to the project and lock it, or set runtime: none in builder_options",
                )
            )
        return found

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
        image = self.ground.image
        if image is not None:
            used = _rows(self.packages.installed) if self.ground.python.source == "base" else ()
            image = replace(image, installed=used, replaced=_rows(self._replaced))
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


def _on_debian(
    tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock], upgrade: Sequence[str]
) -> Ground:
    from taskimage.adapters.debian.kept import Keep

    same = [one for one in kept if one.image is None and one.suite == wants.suite]
    keep = Keep([pin for one in same for pin in (*one.base, *one.apt)], upgrade)
    python = (
        _of_conda(wants)
        or _of_suite(tools, wants, platform, keep)
        or _standalone(tools, wants, platform, kept)
    )
    # Standalone builds bring their own libraries, apart from what the Linux Standard Base has: libc and libcrypt.
    # conda's have all but libc.
    interpreter = {"suite": f"python{python.minor}", "conda": "libc6"}.get(python.source, "libcrypt1")
    debian = tools.debian.resolve(
        wants.suite, platform.debian, base=(*BASE, interpreter), apt=wants.apt_packages, keep=keep
    )
    versions = {pin.package: pin.version for pin in debian.base}
    if python.source == "suite":  # what is kept may have had to go
        python = replace(python, version=_upstream(versions[interpreter]))
    return Ground(
        python=python, glibc=_glibc(versions["libc6"]), suite=wants.suite, base=debian.base, apt=debian.apt
    )


def _on_image(
    tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock], upgrade: Sequence[str]
) -> Ground:
    from taskimage.adapters.debian.kept import Keep

    pin = pin_base(tools, wants.base_image, platform, keep=[one.image for one in kept if one.image])
    base = Base(tools, pin, platform)
    facts = base.facts
    if facts.glibc is None:
        library = "musl, for which hardly any wheel is built" if facts.musl else "no C library at all"
        raise CannotBuild(
            f"the base image {wants.base_image!r} has {library}: Python packages need the GNU C library",
            hint="use a base image with glibc (Debian, Ubuntu, Fedora, UBI …), or leave base_image out",
        )
    found = next((one for one in facts.interpreters if wants.python in (one.version, one.minor)), None)
    if wants.python_exec:
        found = _named_interpreter(base, wants)
    if of_conda := _of_conda(wants):
        python, found = of_conda, None
    elif found:
        python = PythonPin(version=found.version, source="base", path=found.executable)
    else:
        _tell_other_pythons(tools, wants, facts)
        python = _standalone(tools, wants, platform, kept)
    environment = _environment(tools, facts, found)
    apt: tuple[DebPin, ...] = ()
    if wants.apt_packages:
        # What was chosen to go with another base says nothing about this one.
        same = [one for one in kept if _manifest(one.image) == pin.manifest]
        keep = Keep([pin for one in same for pin in one.apt], upgrade)
        apt = tools.debian.on(facts).resolve(platform.debian, apt=wants.apt_packages, keep=keep)
    links = sorted(f"{path} {target}" for path, target in facts.links.items() if path in _PLACES)
    return Ground(
        python=python,
        glibc=facts.glibc,
        suite=facts.os_release.get("VERSION_CODENAME", "") if apt else "",
        image=replace(
            pin,
            glibc="{}.{}".format(*facts.glibc),
            links=tuple(links),
            environment_hidden=environment != facts.environment,
        ),
        apt=apt,
        installed=found.distributions if found else (),
        environment=environment,
    )


def _named_interpreter(base: Base, wants: Wants) -> Interpreter:
    """The interpreter at ``python_exec``, which may be a link to it. Raises CannotBuild, naming those there are."""
    there = base.facts.interpreters
    named = [one for one in there if one.executable == wants.python_exec]
    if not named and there:
        with base.tree() as tree:
            real = f"/{tree.real_path(wants.python_exec)}"
        named = [one for one in there if one.executable == real]
    if named and wants.python in ("", named[0].version, named[0].minor):
        return named[0]
    what = f"CPython {named[0].version}, and python_version is {wants.python!r}" if named else "no CPython"
    others = ", ".join(f"{one.executable} ({one.version})" for one in there) or "none"
    raise CannotBuild(
        f"python_exec is {wants.python_exec!r}, and the base image {wants.base_image!r} has {what} there; "
        f"it has {others}",
        hint="name one that is there, or leave python_exec out: the image then gets a Python of its own",
    )


def _tell_other_pythons(tools: Tools, wants: Wants, facts: BaseFacts) -> None:
    if facts.interpreters:
        there = ", ".join(one.version for one in facts.interpreters)
        tools.listener(
            Notice(f"the base image has Python {there}, and {wants.python} is wanted: it gets one of its own")
        )


def _environment(tools: Tools, facts: BaseFacts, found: Interpreter | None) -> Environment | None:
    """The base's environment where ours goes, when it stands on the interpreter that was ``found``."""
    there = facts.environment
    if there is None or (found is not None and found.executable == there.executable):
        return there
    tools.listener(
        Notice(f"the base image's environment at {there.path} is for another Python: nothing of it is left")
    )
    return None


def _manifest(image: BasePin | None) -> Digest | None:
    return None if image is None else image.manifest


def _of_conda(wants: Wants) -> PythonPin | None:
    """Where conda packages are wanted, their Python is the only one that they go with; solving tells its version."""
    return PythonPin(version=wants.python, source="conda") if wants.conda_packages else None


def _of_suite(tools: Tools, wants: Wants, platform: Platform, keep: Keep) -> PythonPin | None:
    """The suite's own interpreter, where it has the wanted version."""
    minor = ".".join(wants.python.split(".")[:2])
    found = tools.debian.candidate(wants.suite, platform.debian, f"python{minor}", keep=keep)
    if found is not None:
        version = _upstream(found)
        if wants.python in {version, minor}:
            return PythonPin(version=version, source="suite")
    return None


def _upstream(version: str) -> str:
    """What Debian's package of an interpreter has, by the package's version."""
    return re.split(r"[-~+]", version.rpartition(":")[2])[0]


def _standalone(tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock]) -> PythonPin:
    """A standalone interpreter: the one that is locked already, if it serves."""
    for pin in (one.python for one in kept):
        if pin.source == "standalone" and wants.python in {pin.version, pin.minor}:
            return pin
    return tools.cpython.resolve(wants.python, platform)


def _glibc(version: str) -> tuple[int, int]:
    """The version of the C library, by that of Debian's package."""
    major, minor = re.split(r"[.+~-]", version)[:2]
    return int(major), int(minor)


def _runtime(wants: Wants) -> tuple[str, ...]:
    """The requirement that starts tasks, at the host's own version where the host has it."""
    from importlib.metadata import PackageNotFoundError, version

    if not wants.runtime:
        return ()
    try:
        return (f"{wants.runtime}=={version(wants.runtime)}",)
    except PackageNotFoundError:
        return (wants.runtime,)


def _installer(wants: Wants) -> tuple[str, ...]:
    return (wants.installer,) if wants.installer else ()
