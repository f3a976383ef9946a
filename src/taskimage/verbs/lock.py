"""`lock`: a spec becomes a `Lock`, with every input pinned. Nothing is built, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import (
    host_machine,
    host_python,
    load,
    lock_path,
    requirements_of,
)
from taskimage.adapters.specfiles.checkedfile import explained, open_regular
from taskimage.adapters.specfiles.requirementsfile import RequirementsFile
from taskimage.model.digest import Digest
from taskimage.model.errors import NotFound
from taskimage.model.events import Done, Listener, Started, ignore
from taskimage.model.lock import DebPin, Lock, PlatformLock, PythonPin, Wants
from taskimage.model.lockfile import dumps, loads, stale
from taskimage.model.oci import Platform
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import check_served
from taskimage.verbs.placed import placed
from taskimage.verbs.tools import Tools

__all__ = ["lock", "lock_path", "read_lock", "resolve", "wants_of", "write_lock"]

BASE: Final = (
    "base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "diffutils", "findutils", "grep",
    "gzip", "hostname", "libc-bin", "libstdc++6", "mawk", "ncurses-base", "netbase", "sed", "tar", "tzdata",
)  # fmt: skip
"""What every image has beside its interpreter: a shell and its tools, certificates, names, time zones, and
the C++ library, which manylinux wheels expect to find (PEP 600)."""


def lock(
    path: Path,
    *,
    root: Path | None = None,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> Lock:
    """The lock of the spec in the YAML file ``path``.

    The lock beside the file is returned as it is while it is fresh, unless something is to be upgraded; where
    it is stale, the versions of Python packages and of a standalone interpreter are kept as far as the spec
    still allows, and Debian's packages are those that the suite has now.

    Args:
        path: The YAML file.
        root: Where the spec's relative paths start; by default beside the file.
        upgrade: Take the newest of everything.
        upgrade_packages: Take the newest of these Python packages, and keep the rest.
        settings: By default, those of this process.
        listener: Hears of progress and warnings.
    """
    loaded = load(path, root=root)
    for warning in loaded.warnings:
        listener(warning)
    check_served(loaded.spec)
    old = read_lock(lock_path(path))
    requirements = requirements_of(loaded)
    wants = wants_of(loaded.spec, requirements, old)
    if old is not None and not upgrade and not upgrade_packages and not stale(old, wants):
        return old
    tools = Tools(settings or Settings.load(), listener, expired_indexes=loaded.spec.options.expired_indexes)
    return resolve(
        tools,
        loaded.spec,
        wants,
        requirements,
        keep=None if upgrade else old,
        upgrade_packages=upgrade_packages,
    )


def read_lock(path: Path) -> Lock | None:
    """The lock in the file ``path``; None when there is none. Raises BadInput, NotAllowed when it cannot be read."""
    try:
        with open_regular(path) as file:
            data = file.read()
    except NotFound:
        return None
    except OSError as error:
        raise explained(error, path) from error
    return loads(data, where=str(path))


def write_lock(lock: Lock, path: Path) -> None:
    """Put the text of ``lock`` at ``path``, in one step."""
    from taskimage.adapters.atomic import replacing

    with replacing(path) as file:
        file.write(dumps(lock).encode())


def wants_of(spec: ImageSpec, requirements: Sequence[RequirementsFile], lock: Lock | None) -> Wants:
    """What a spec asks for, as its lock remembers it; ``requirements`` are the files that it names.

    Where the spec leaves the Python version or the platform to the host, ``lock`` decides: it was made on some
    host, and means the same on every other.
    """
    platforms = tuple(map(str, spec.platforms(machine=host_machine())))
    packages = tuple(spec.packages or ())
    needs_flytekit = spec.options.runtime == "flytekit" and not _names_flytekit(packages, requirements)
    return Wants(
        python=spec.python_version or (lock.wants.python if lock else host_python()),
        platforms=lock.wants.platforms if lock and spec.platform is None else platforms,
        suite=spec.options.suite,
        runtime="flytekit" if needs_flytekit else "",
        packages=packages,
        requirements=tuple(f"{file.name} {Digest.of(file.data)}" for file in requirements),
        apt_packages=tuple(spec.apt_packages or ()),
        indexes=tuple(_indexes(spec.pip_index, spec.pip_extra_index_url or ())),
    )


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
    platforms = tuple(
        _resolve_platform(
            tools,
            spec,
            wants,
            requirements,
            platform=Platform.parse(text),
            keep=keep,
            upgrade_packages=upgrade_packages,
        )
        for text in wants.platforms
    )
    return Lock(wants=wants, platforms=platforms)


def _resolve_platform(
    tools: Tools,
    spec: ImageSpec,
    wants: Wants,
    requirements: Sequence[RequirementsFile],
    *,
    platform: Platform,
    keep: Lock | None,
    upgrade_packages: Sequence[str],
) -> PlatformLock:
    tell = tools.listener
    tell(Started("resolve", f"Resolving for {platform}"))
    kept = [item for item in keep.platforms if item.platform == platform] if keep else []
    python = _python(tools, wants, platform, keep=[item.python for item in kept])
    # Standalone builds bring their own libraries, apart from what the Linux Standard Base has: libc and libcrypt.
    interpreter = f"python{python.minor}" if python.source == "suite" else "libcrypt1"
    with placed(spec, "apt_packages"):
        debian = tools.debian.resolve(
            wants.suite, platform.debian, base=(*BASE, interpreter), apt=wants.apt_packages
        )
    with placed(spec, "packages"):
        wheels = tools.pypi.resolve(
            python=python.version,
            platform=platform,
            packages=(*wants.packages, *_runtime(wants)),
            requirements=requirements,
            index=spec.pip_index,
            extra_indexes=spec.pip_extra_index_url or (),
            glibc=_glibc(debian.base),
            keep=[pin for item in kept for pin in item.wheels],
            upgrade_packages=upgrade_packages,
        )
    count = len(debian.base) + len(debian.apt) + len(wheels)
    tell(Done("resolve", f"Resolved {count} packages for {platform}: Python {python.version}"))
    return PlatformLock(
        platform=platform,
        suite=wants.suite,
        python=python,
        base=debian.base,
        apt=debian.apt,
        wheels=wheels,
    )


def _python(tools: Tools, wants: Wants, platform: Platform, *, keep: Sequence[PythonPin]) -> PythonPin:
    """The suite's own interpreter where it has the wanted version, else a standalone one: of ``keep`` if it does."""
    minor = ".".join(wants.python.split(".")[:2])
    found = tools.debian.candidate(wants.suite, platform.debian, f"python{minor}")
    if found is not None:
        version = re.split(r"[-~+]", found.rpartition(":")[2])[0]
        if wants.python in {version, minor}:
            return PythonPin(version=version, source="suite")
    fitting = [pin for pin in keep if pin.source == "standalone" and wants.python in {pin.version, pin.minor}]
    return fitting[0] if fitting else tools.cpython.resolve(wants.python, platform)


def _glibc(base: Sequence[DebPin]) -> tuple[int, int]:
    for pin in base:
        if pin.package == "libc6":
            major, minor = re.split(r"[.+~-]", pin.version)[:2]
            return int(major), int(minor)
    raise NotFound("the base has no libc6")


def _names_flytekit(packages: Sequence[str], files: Sequence[RequirementsFile]) -> bool:
    lines: Iterator[str] = (
        line
        for text in (*packages, *(f.data.decode(errors="replace") for f in files))
        for line in text.splitlines()
    )
    return any(re.match(r"\s*flytekit\s*($|[\[=<>!~;#@ ])", line, re.IGNORECASE) for line in lines)


def _runtime(wants: Wants) -> tuple[str, ...]:
    """The requirement that starts tasks, at the host's own version where the host has it."""
    from importlib.metadata import PackageNotFoundError, version

    if not wants.runtime:
        return ()
    try:
        return (f"{wants.runtime}=={version(wants.runtime)}",)
    except PackageNotFoundError:
        return (wants.runtime,)


def _indexes(index: str | None, extra: Sequence[str]) -> Iterator[str]:
    """An entry for each index, by which a change is seen and nothing is told: some carry a token in the path."""
    for name, url in [("pip_index", index), *(("pip_extra_index_url", url) for url in extra)]:
        if url:
            from taskimage.adapters.http import redacted

            yield f"{name} {Digest.of(redacted(url).encode())}"
