"""``pylock.toml`` (PEP 751), read and chosen from by `packaging`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from taskimage.adapters.pypi.locks.parts import Parts, refused
from taskimage.adapters.pypi.target import Target
from taskimage.model.errors import BadInput, CannotBuild
from taskimage.model.spec.installoptions import InstallOptions

if TYPE_CHECKING:
    from packaging.markers import Environment
    from packaging.pylock import Package

__all__ = ["PylockFile"]


class PylockFile:
    """A ``pylock.toml``, with its default groups, and other parts where they are wanted."""

    def __init__(self, document: Mapping[str, Any], *, where: str) -> None:
        from packaging.pylock import Pylock, PylockValidationError

        self._where = where
        try:
            self._lock = Pylock.from_dict(document)
        except PylockValidationError as error:
            raise BadInput(f"not a pylock.toml: {error}", where=where) from error

    def packages(self) -> Iterator[Package]:
        """Every package that has files on an index or at an address."""
        for package in self._lock.packages:
            if package.wheels or package.sdist or package.archive:
                yield package

    def select(self, target: Target, options: InstallOptions) -> Iterator[Package]:
        """What is installed for ``target``. Raises CannotBuild, BadInput."""
        from packaging.pylock import PylockSelectError

        lock = self._lock
        extras, groups = Parts(
            extras=lock.extras or (),
            groups=lock.dependency_groups or (),
            default_groups=lock.default_groups or (),
            where=self._where,
        ).chosen(options)
        environment = cast("Environment", target.environment)
        chosen = lock.select(
            environment=environment, tags=target.tags, extras=extras, dependency_groups=groups
        )
        try:
            for package, _ in chosen:
                self._check(package)
                yield package
        except PylockSelectError as error:
            raise CannotBuild(
                f"the lock is not for {target}: {error}", where=self._where,
                hint="set another python_version or platform, or lock for this one too",
            ) from error  # fmt: skip

    def _check(self, package: Package) -> None:
        archive = package.archive
        if archive is not None and not (archive.url or "").partition("?")[0].endswith(".whl"):
            raise refused(package.name, "url" if archive.url else "file", self._where)
        if package.vcs or package.directory:
            raise refused(package.name, "vcs" if package.vcs else "directory", self._where)
        for file in (*(package.wheels or ()), *((package.sdist,) if package.sdist else ())):
            if not (file.url or "").startswith(("https://", "http://")):
                raise refused(package.name, "file", self._where)
