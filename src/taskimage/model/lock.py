"""A `Lock`: every input of an image pinned by name, size and digest, per platform. Inputs only.

No time stamp, no digest of itself, no host name: what is locked is found again on any mirror by
(archive, pool path) or (index, file name), and believed by its digest.
"""

from __future__ import annotations

from dataclasses import field, replace

from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.oci import Platform
from taskimage.model.value import dataclass

__all__ = [
    "BasePin",
    "CondaPin",
    "DebPin",
    "Lock",
    "PlatformLock",
    "PythonPin",
    "SdistPin",
    "Wants",
    "WheelPin",
]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DebPin:
    """One binary package (Debian policy 5.3): ``path`` is its Filename, below the root of ``archive``."""

    package: str
    version: str
    architecture: str
    archive: str
    suite: str
    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SdistPin:
    """One sdist (PyPA, source distribution format) that a wheel was built of, with ``tools``: ``NAME==VERSION``, sorted."""

    file: str
    size: int
    digest: Digest
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class WheelPin:
    """One wheel (PyPA, binary distribution format); ``name`` is normalised, ``index`` an alias.

    No index has a wheel that was built: there is the ``sdist``.
    """

    name: str
    version: str
    index: str
    file: str
    size: int
    digest: Digest
    sdist: SdistPin | None = None

    @property
    def published(self) -> WheelPin:
        """What its index has of it: the wheel, or the sdist in its place."""
        of = self.sdist
        return replace(self, file=of.file, size=of.size, digest=of.digest, sdist=None) if of else self


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CondaPin:
    """One conda package: ``file`` in the folder ``subdir`` of ``channel``, which is a name or an alias."""

    name: str
    version: str
    build: str
    channel: str
    subdir: str
    file: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonPin:
    """The interpreter: of the suite's packages, or conda's, a standalone build from ``path``, or a base image's.

    ``version`` has three numbers. For ``source="suite"`` and ``"conda"`` the packages are among the others and
    the other fields are empty; for ``"standalone"`` ``path`` is what follows the mirror's root; for ``"base"`` it is the
    interpreter's absolute path in the base image.
    """

    version: str
    source: str
    path: str = ""
    size: int = 0
    digest: Digest | None = None

    @property
    def minor(self) -> str:
        """The feature version, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def brings_packages(self) -> bool:
        """Whether others have put packages where it imports them from, for the environment to see."""
        return self.source in ("base", "conda")

    @property
    def archive(self) -> Digest:
        """The digest of a standalone interpreter's archive. Raises BadInput for a pin that has none."""
        if self.digest is None:
            raise BadInput(f"the lock names the interpreter {self.path!r} and no digest of it")
        return self.digest

    @property
    def executable(self) -> str:
        """Where the interpreter is in the image."""
        if self.source == "base":
            return self.path
        folder = {"suite": "/usr/bin", "conda": "/opt/conda/bin"}.get(self.source, "/opt/python/bin")
        return f"{folder}/python{self.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasePin:
    """A base image, and the facts of its files that decide what is made on it.

    Attributes:
        name: Its reference, without a digest.
        digest: What the name meant: of an index, where it is one.
        manifest: What is there for the platform.
        glibc: The version of its C library, such as ``2.36``.
        links: Links that what is made goes through: ``PATH TARGET``, sorted.
        installed: The distributions of its Python that serve in place of wheels: ``NAME VERSION``, sorted.
        replaced: Those of its environment, where ours goes, that wheels take the place of: ``NAME VERSION``,
            sorted.
        environment_hidden: Whether nothing of that environment is left: it was made for another interpreter.
    """

    name: str
    digest: Digest
    manifest: Digest
    glibc: str = ""
    links: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    environment_hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformLock:
    """What one platform is made of.

    ``image`` is the base image, or ``base`` the packages that stand under everything; ``apt`` is what the spec
    names, and ``suite`` where packages are from: "" on a base image that takes none. ``conda`` is an environment
    of conda packages, Python among them.
    """

    platform: Platform
    suite: str
    python: PythonPin
    base: tuple[DebPin, ...] = ()
    image: BasePin | None = None
    apt: tuple[DebPin, ...] = ()
    conda: tuple[CondaPin, ...] = ()
    wheels: tuple[WheelPin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What the spec asked for when the lock was made; a lock is fresh while its spec still asks the same.

    ``runtime`` names the package that starts tasks where no requirement of the spec does; "" for none. With a
    ``base_image`` there is no ``suite``: it has its own; ``python_exec`` is an interpreter of it by path, which then
    decides where ``python`` is "". ``installer`` is what installs packages when a task starts; "" for nothing.
    ``build_sdists`` names what may be built. ``options`` are those by which Python packages are chosen. A ``base_image`` that is a spec stands here as
    ``spec NAME``.
    """

    python: str
    platforms: tuple[str, ...]
    suite: str
    packages: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    apt_packages: tuple[str, ...] = ()
    conda_packages: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    runtime: str = ""
    base_image: str = ""
    options: tuple[str, ...] = ()
    python_exec: str = ""
    installer: str = ""
    build_sdists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Every input of an image, pinned.

    Attributes:
        wants: What the spec asked for when the lock was made.
        platforms: What the image of each platform is made of.
        base: The same of the base image, where the spec has a spec for it.
        labels: Where the specs are in Python that it was made for: ``[FOLDER/]MODULE:VARIABLE``, sorted.
    """

    wants: Wants
    platforms: tuple[PlatformLock, ...]
    base: Lock | None = None
    labels: tuple[str, ...] = field(default=(), compare=False)
