"""What Python packages are installed on: Debian's packages or a base image, and the interpreter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from taskimage.model.base import BaseFacts, Distribution, Environment, Interpreter
from taskimage.model.digest import Digest
from taskimage.model.errors import CannotBuild
from taskimage.model.events import Notice
from taskimage.model.lock import BasePin, CondaPin, DebPin, PlatformLock, PythonPin, Wants
from taskimage.model.oci import Platform
from taskimage.model.value import dataclass
from taskimage.transform.runtime import CONDA
from taskimage.verbs.base import Base, pin_base
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.debian.kept import Keep

__all__ = ["BASE", "Ground", "glibc_of", "manifest_of", "on_debian", "on_image", "with_apt"]

BASE: Final = (
    "base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "diffutils", "findutils", "grep",
    "gzip", "hostname", "libc-bin", "libstdc++6", "mawk", "ncurses-base", "netbase", "sed", "tar", "tzdata",
)  # fmt: skip
"""What every image has beside its interpreter: a shell and its tools, certificates, names, time zones, and
the C++ library, which manylinux wheels expect to find (PEP 600)."""


# What is made goes below these, which a base may have moved elsewhere.
_PLACES: Final = frozenset({"opt", "opt/python", "opt/venv", "root", "home", "home/flyte", "home/flytekit"})


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

    @property
    def footing(self) -> tuple[object, ...]:
        """All of it that Python packages are chosen by: on equal ones they are the same."""
        return self.python.version, self.glibc, self.installed, manifest_of(self.image)


def on_debian(
    tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock], upgrade: Sequence[str]
) -> Ground:
    """The ground of an image that is made of Debian's packages alone."""
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


def on_image(tools: Tools, wants: Wants, platform: Platform, kept: Sequence[PlatformLock]) -> Ground:
    """The ground of an image on the base that ``wants`` names, with no wheel counted yet, and without its apt packages."""
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
        _check_no_conda(wants, facts)
        python, found = of_conda, None
    elif found:
        python = PythonPin(version=found.version, source="base", path=found.executable)
    else:
        _tell_other_pythons(tools, wants, facts)
        python = _standalone(tools, wants, platform, kept)
    environment = _environment(tools, facts, found)
    links = sorted(f"{path} {target}" for path, target in facts.links.items() if path in _PLACES)
    return Ground(
        python=python,
        glibc=facts.glibc,
        suite="",
        image=replace(
            pin,
            glibc="{}.{}".format(*facts.glibc),
            links=tuple(links),
            environment_hidden=environment != facts.environment,
        ),
        installed=found.distributions if found else (),
        environment=environment,
    )


def with_apt(  # noqa: PLR0917 - as the others, and what they gave
    tools: Tools,
    wants: Wants,
    platform: Platform,
    kept: Sequence[PlatformLock],
    upgrade: Sequence[str],
    ground: Ground,
) -> Ground:
    """What `on_image` gave, with the apt packages that ``wants`` names."""
    from taskimage.adapters.debian.kept import Keep

    if ground.image is None or not wants.apt_packages:
        return ground
    facts = Base(tools, ground.image, platform).facts
    # What was chosen to go with another base says nothing about this one.
    same = [one for one in kept if manifest_of(one.image) == ground.image.manifest]
    keep = Keep([pin for one in same for pin in one.apt], upgrade)
    apt = tools.debian.on(facts).resolve(platform.debian, apt=wants.apt_packages, keep=keep)
    return replace(ground, apt=apt, suite=facts.os_release.get("VERSION_CODENAME", "") if apt else "")


def _named_interpreter(base: Base, wants: Wants) -> Interpreter:
    """The interpreter at ``python_exec``, which may be a link to it. Raises CannotBuild, naming those there are."""
    there = base.facts.interpreters
    named = [one for one in there if one.executable == wants.python_exec]
    if not named and there:
        real = f"/{base.tree.real_path(wants.python_exec)}"
        named = [one for one in there if one.executable == real]
    if named and wants.python in ("", named[0].version, named[0].minor):
        return named[0]
    what = "no CPython there"
    if named:
        what = f"CPython {named[0].version} there, and python_version is {wants.python!r}"
    others = ", ".join(f"{one.executable} ({one.version})" for one in there) or "none"
    raise CannotBuild(
        f"python_exec is {wants.python_exec!r}, and the base image {wants.base_image!r} has {what}; "
        f"it has {others}",
        hint="name one that is there, or leave python_exec out: the image then gets a Python of its own",
    )


def _check_no_conda(wants: Wants, facts: BaseFacts) -> None:
    inside = [one for one in facts.interpreters if one.executable.startswith(f"{CONDA}/")]
    if inside or CONDA.strip("/") in facts.links:
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


def _environment(tools: Tools, facts: BaseFacts, found: Interpreter | None) -> Environment | None:
    """The base's environment where ours goes, when it stands on the interpreter that was ``found``."""
    there = facts.environment
    if there is None or (found is not None and found.executable == there.executable):
        return there
    tools.listener(
        Notice(f"the base image's environment at {there.path} is for another Python: nothing of it is left")
    )
    return None


def manifest_of(image: BasePin | None) -> Digest | None:
    """The digest of a base image's manifest; None where there is no base image."""
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


def glibc_of(lock: PlatformLock) -> tuple[int, int]:
    """The version of the C library that ``lock`` pins."""
    if lock.image is not None:
        return _glibc(lock.image.glibc)
    return _glibc(next(pin.version for pin in lock.base if pin.package == "libc6"))


def _glibc(version: str) -> tuple[int, int]:
    """The version of the C library, as such or as that of Debian's package."""
    major, minor = re.split(r"[.+~-]", version)[:2]
    return int(major), int(minor)
