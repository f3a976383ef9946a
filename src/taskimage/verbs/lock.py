"""`lock`: a spec becomes a `Lock`, with every input pinned. Nothing is built, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskimage.adapters.settings import Settings
from taskimage.adapters.specfiles import (
    LoadedSpec,
    host_machine,
    host_python,
    load,
    lock_path,
    requirements_of,
)
from taskimage.adapters.specfiles.checkedfile import read_regular
from taskimage.model.digest import Digest
from taskimage.model.errors import NotFound
from taskimage.model.events import Listener, Warned, ignore
from taskimage.model.lock import Lock, Wants
from taskimage.model.lockchanges import stale
from taskimage.model.lockfile import dumps, loads
from taskimage.model.spec import ImageSpec
from taskimage.model.spec.served import check_served
from taskimage.verbs.tools import Tools

if TYPE_CHECKING:
    from taskimage.adapters.specfiles.requirementsfile import RequirementsFile

__all__ = ["lock", "lock_loaded", "lock_path", "outdated", "read_lock", "wants_of", "write_lock"]


def lock(
    path: Path,
    *,
    root: Path | None = None,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
    settings: Settings | None = None,
    listener: Listener = ignore,
    tools: Tools | None = None,
) -> Lock:
    """The lock of the spec in the YAML file ``path``.

    The lock beside the file is returned as it is while it is fresh, unless something is to be upgraded; where
    it is stale, what it pins is kept as far as the spec still allows: Python packages, a standalone interpreter,
    a base image, and Debian's packages that can still be had.

    Args:
        path: The YAML file.
        root: Where the spec's relative paths start; by default beside the file.
        upgrade: Take the newest of everything; of Python packages that a base image has, what it has now.
        upgrade_packages: Take the newest of these packages of Python and Debian, and keep the rest.
        settings: By default, those of this process.
        listener: Hears of progress and warnings.
        tools: Adapters that several calls share, with settings and listener of their own: an index is read once,
            and what is wanted twice is resolved once.
    """
    tools = tools or Tools(settings=settings or Settings.load(), listener=listener)
    loaded = load(path, root=root)
    return lock_loaded(
        tools, loaded, read_lock(lock_path(path)), upgrade=upgrade, upgrade_packages=upgrade_packages
    )


def lock_loaded(
    tools: Tools,
    loaded: LoadedSpec,
    old: Lock | None,
    *,
    base: Lock | None = None,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
) -> Lock:
    """The lock of ``loaded``, which keeps what ``old`` pins as `lock` does.

    ``base`` is the lock of its base image where that is a spec with a lock of its own.
    """
    for warning in loaded.warnings:
        tools.listener(warning)
    check_served(loaded.spec)
    made = _locked(
        tools.also_for(loaded),
        replace(loaded, registry=loaded.spec.registry),
        old,
        base=base,
        upgrade=upgrade,
        upgrade_packages=upgrade_packages,
    )
    for name in sorted(set(upgrade_packages) - set(_packages(made, upgrade_packages))):
        of = loaded.path or loaded.spec.name
        tools.listener(Warned(f"{of} has no package {name!r} to upgrade", hint="look at its spelling"))
    return made


def _packages(lock: Lock, names: Sequence[str]) -> Iterator[str]:
    """Those of ``names`` that ``lock`` has, in any spelling."""
    from packaging.utils import canonicalize_name

    there = {
        *(deb.package for one in lock.platforms for deb in (*one.base, *one.apt)),
        *(pin.name for one in lock.platforms for pin in one.wheels),
        *(pin.name for one in lock.platforms for pin in one.conda),
    }
    yield from (name for name in names if name in there or canonicalize_name(name) in there)
    if lock.base is not None:
        yield from _packages(lock.base, names)


def _locked(
    tools: Tools,
    loaded: LoadedSpec,
    old: Lock | None,
    *,
    base: Lock | None = None,
    upgrade: bool,
    upgrade_packages: Sequence[str],
) -> Lock:
    below, made = loaded.base, ""
    if below is not None:
        from taskimage.verbs.below import build_below

        # What stands on it is decided by its files: it is built, as another base image is fetched.
        before = old.base if old else None
        base = base or _locked(tools, below, before, upgrade=upgrade, upgrade_packages=upgrade_packages)
        made = build_below(tools, below, base)
    requirements = requirements_of(loaded)
    wants = wants_of(loaded.spec, requirements, old)
    renewed = upgrade or upgrade_packages
    if old is not None and not renewed and _still_says(old, wants, base, made):
        return old
    from taskimage.verbs.resolve import resolve

    resolved = replace(wants, base_image=made or wants.base_image)
    keep = None if upgrade else old
    # Specs that differ in what they copy, say, want the same.
    key = (resolved, keep, *upgrade_packages)
    if key not in tools.resolutions:
        tools.resolutions[key] = resolve(
            tools, loaded.spec, resolved, requirements, keep=keep, upgrade_packages=upgrade_packages
        )
    return replace(tools.resolutions[key], wants=wants, base=base)


def _still_says(lock: Lock, wants: Wants, base: Lock | None, made: str) -> bool:
    """Whether ``lock`` was made for ``wants``, and on the base image ``made``, when that is built of ``base``."""
    pins = {f"{one.image.name}@{one.image.digest}" for one in lock.platforms if one.image}
    return not stale(lock, wants) and lock.base == base and (not made or pins == {made})


def outdated(
    loaded: LoadedSpec, lock: Lock, requirements: Sequence[RequirementsFile] | None = None
) -> tuple[str, ...]:
    """What ``loaded`` wants and ``lock`` does not say, a line each; of the base image too, where that is a spec.

    ``requirements`` are the files that it names, where they have been read.
    """
    read = requirements_of(loaded) if requirements is None else requirements
    lines = stale(lock, wants_of(loaded.spec, read, lock))
    below = outdated(loaded.base, lock.base) if loaded.base and lock.base else ()
    return (*lines, *(f"base_image: {line}" for line in below))


def read_lock(path: Path) -> Lock | None:
    """The lock in the file ``path``; None when there is none. Raises BadInput, NotAllowed when it cannot be read."""
    try:
        data = read_regular(path)
    except NotFound:
        return None
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
    options = spec.install_options
    needs_flytekit = spec.options.runtime == "flytekit" and not _names("flytekit", packages, requirements)
    of_host = "" if spec.python_exec else (lock and lock.wants.python) or host_python()
    return Wants(
        python=spec.python_version or of_host,
        python_exec=spec.python_exec or "",
        # flytekit runs `python -m pip install` when a task starts.
        installer="pip" if spec.runtime_packages and not _names("pip", packages, requirements) else "",
        platforms=lock.wants.platforms if lock and spec.platform is None else platforms,
        suite="" if spec.base_image else spec.options.suite,
        base_image=f"spec {spec.base.name}" if spec.base else str(spec.base_image or ""),
        runtime="flytekit" if needs_flytekit else "",
        packages=packages,
        requirements=tuple(f"{file.name} {Digest.of(file.data)}" for file in requirements),
        apt_packages=tuple(spec.apt_packages or ()),
        conda_packages=tuple(spec.conda_packages or ()),
        conda_channels=tuple(_channels(spec)),
        indexes=tuple(
            _indexes(
                spec.pip_index or options.index, (*(spec.pip_extra_index_url or ()), *options.extra_indexes)
            )
        ),
        options=options.words,
        build_sdists=spec.options.build_sdists,
    )


def _names(name: str, packages: Sequence[str], files: Sequence[RequirementsFile]) -> bool:
    """Whether ``name`` is not to be added: somebody names it, or there is a lock file, to which nothing is added."""
    if any(file.kind.is_lock for file in files):
        return True
    lines: Iterator[str] = (
        line
        for text in (*packages, *(line for file in files for line in file.lines))
        for line in text.splitlines()
    )
    return any(re.match(rf"\s*{name}\s*($|[\[=<>!~;#@ ])", line, re.IGNORECASE) for line in lines)


def _channels(spec: ImageSpec) -> Iterator[str]:
    """An entry for each channel that is asked: its name, or of an address that by which a change is seen."""
    for number, channel in enumerate(spec.conda_channels or () if spec.conda_packages else (), 1):
        if "://" in channel:
            from taskimage.adapters.http import redacted

            yield f"conda_channels-{number} {Digest.of(redacted(channel).encode())}"
        else:
            yield channel


def _indexes(index: str | None, extra: Sequence[str]) -> Iterator[str]:
    """An entry for each index, by which a change is seen and nothing is told: some carry a token in the path."""
    for name, url in [("pip_index", index), *(("pip_extra_index_url", url) for url in extra)]:
        if url:
            from taskimage.adapters.http import redacted

            yield f"{name} {Digest.of(redacted(url).encode())}"
