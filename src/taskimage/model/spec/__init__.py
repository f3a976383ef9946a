"""`ImageSpec`: what is wanted of an image, with flytekit's fields, names, order and defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any

from taskimage.model.errors import InvalidSpec, InvalidValue, Problem
from taskimage.model.oci import Platform
from taskimage.model.spec.builderoptions import BuilderOptions
from taskimage.model.spec.copymode import CopyFileDetection, copy_mode
from taskimage.model.spec.fieldrules import field_problems
from taskimage.model.spec.frozen import freeze
from taskimage.model.spec.problem import Key
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from taskimage.model.spec.installoptions import InstallOptions

__all__ = ["FIELDS", "MAX_BYTES", "ImageSpec", "Origin"]

# Of its file: a spec is a page of text; what is larger is something else.
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a spec was read: its file, the line and column of each key, and values as YAML reads them.

    ``read`` has, for each field whose meaning is not what YAML read (``python_version: 3.10`` is the
    number 3.1 there), the meaning and the value as read. flytekit's tag is computed from the latter.
    """

    path: str
    places: Mapping[Key, tuple[int, int]]
    read: Mapping[str, tuple[Any, Any]]

    def place(self, key: Key) -> str:
        """``file:line:column`` of ``key``, or of the nearest key above it."""
        line, column = self.position(key)
        return f"{self.path}:{line}:{column}"

    def position(self, key: Key) -> tuple[int, int]:
        """Line and column, from 1, of ``key``, or of the nearest key above it."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, (1, 1))


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What is wanted of an image: flytekit's ImageSpec of 1.15.4 to 1.16, as a value.

    Lists and mappings are kept as tuples and frozen mappings; name and registry are in lower case. Raises
    InvalidSpec, with every problem, for values that make no sense. Each ``with_`` method gives another spec,
    and leaves this one as it is.

    Attributes:
        origin: The file that the spec was read from.
        forced: Whether its image is made anew whatever exists, which no name or comparison tells of.

    Examples:
        >>> ImageSpec(name="Demo", packages=["numpy"]).with_packages("pandas").packages
        ('numpy', 'pandas')
    """

    name: str = "flytekit"
    python_version: str | None = None
    builder: str | None = None
    source_root: str | None = None
    env: Mapping[str, str] | None = None
    registry: str | None = None
    packages: Sequence[str] | None = None
    conda_packages: Sequence[str] | None = None
    conda_channels: Sequence[str] | None = None
    requirements: str | None = None
    apt_packages: Sequence[str] | None = None
    cuda: str | None = None
    cudnn: str | None = None
    base_image: str | ImageSpec | None = None
    platform: str | None = None
    pip_index: str | None = field(default=None, repr=False)  # a URL may hold a password
    pip_extra_index_url: Sequence[str] | None = field(default=None, repr=False)
    pip_secret_mounts: Sequence[tuple[str, str]] | None = None
    pip_extra_args: str | None = field(default=None, repr=False)  # may hold an index, too
    registry_config: str | None = None
    entrypoint: Sequence[str] | None = None
    commands: Sequence[str] | None = None
    tag_format: str | None = None
    source_copy_mode: str | CopyFileDetection | None = None
    copy: Sequence[str] | None = None
    python_exec: str | None = None
    runtime_packages: Sequence[str] | None = None
    builder_options: Mapping[str, Any] | None = None
    builder_config: Mapping[str, Any] | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False, kw_only=True)
    forced: bool = field(default=False, compare=False, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in FIELDS}
        if problems := tuple(field_problems(values)):
            raise InvalidSpec(
                "ImageSpec", tuple(Problem(0, 0, problem.message, problem.hint) for problem in problems)
            )
        values["name"] = self.name.lower()
        values["registry"] = self.registry.lower() if self.registry is not None else None
        if not isinstance(self.source_copy_mode, str):
            values["source_copy_mode"] = copy_mode(self.source_copy_mode)  # in place of flytekit's own
        for name, value in values.items():
            object.__setattr__(self, name, freeze(value))

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> ImageSpec:
        """The spec in the YAML file ``path``. Raises NotFound, NotAllowed, and InvalidSpec with every problem."""
        from taskimage.adapters.specfiles import load

        return load(path).spec

    @classmethod
    def from_env(cls, *, pinned_packages: Sequence[str] | None = None, **others: Any) -> ImageSpec:
        """A spec for this Python's feature version, with what this environment has.

        Args:
            pinned_packages: Added to ``packages``, each at the version that is installed here.
            others: Further fields; ``python_version`` is not one of them.

        Raises:
            NotFound: One of ``pinned_packages`` is not installed.
            InvalidValue: ``python_version`` is given.
        """
        from taskimage.adapters.specfiles import host_python
        from taskimage.adapters.thispython import installed_version

        if others.pop("python_version", None) is not None:
            raise InvalidValue(
                "python_version is given, and from_env takes that of the Python that runs",
                hint="leave it out, or write ImageSpec(python_version=…, packages=…)",
            )
        pins = [f"{name}=={installed_version(name)}" for name in pinned_packages or ()]
        packages = [*(others.pop("packages", None) or ()), *pins]
        return cls(python_version=host_python(), packages=packages, **others)

    # -- another spec ----------------------------------------------------------------------------------

    def with_packages(self, packages: str | Sequence[str]) -> ImageSpec:
        """This spec with more Python packages."""
        return replace(self, packages=_added(self.packages, packages))

    def with_apt_packages(self, apt_packages: str | Sequence[str]) -> ImageSpec:
        """This spec with more Debian packages."""
        return replace(self, apt_packages=_added(self.apt_packages, apt_packages))

    def with_commands(self, commands: str | Sequence[str]) -> ImageSpec:
        """This spec with more commands, run after those that it has."""
        return replace(self, commands=_added(self.commands, commands))

    def with_copy(self, src: str | Sequence[str]) -> ImageSpec:
        """This spec with more files and folders to copy."""
        return replace(self, copy=_added(self.copy, src))

    def with_runtime_packages(self, runtime_packages: str | Sequence[str]) -> ImageSpec:
        """This spec with more Python packages that are installed when a task starts."""
        return replace(self, runtime_packages=_added(self.runtime_packages, runtime_packages))

    def with_builder_options(self, builder_options: Mapping[str, Any]) -> ImageSpec:
        """This spec with ``builder_options`` in place of those of the same builders."""
        return replace(self, builder_options={**(self.builder_options or {}), **builder_options})

    def force_push(self) -> ImageSpec:
        """This spec, whose image is made anew whatever exists."""
        return replace(self, forced=True)

    # -- what it says ----------------------------------------------------------------------------------

    @property
    def base(self) -> ImageSpec | None:
        """The spec of the base image, where that is to be built first."""
        return self.base_image if isinstance(self.base_image, ImageSpec) else None

    @property
    def options(self) -> BuilderOptions:
        """This builder's own switches."""
        return BuilderOptions.of(self.builder_options)

    @property
    def install_options(self) -> InstallOptions:
        """What ``pip_extra_args`` decides."""
        from taskimage.model.spec.installoptions import DEFAULTS, InstallOptions

        return InstallOptions.parse(self.pip_extra_args) if self.pip_extra_args else DEFAULTS

    def platform_text(self, *, machine: str) -> str:
        """``platform``, or what flytekit 1.16 takes for it on a host whose kernel calls itself ``machine``."""
        if self.platform is not None:
            return self.platform
        on_this_host = self.registry is not None and self.registry.startswith("localhost:")
        return "linux/arm64" if on_this_host and machine.lower() in ("arm64", "aarch64") else "linux/amd64"

    def platforms(self, *, machine: str) -> tuple[Platform, ...]:
        """The platforms that are wanted, in order."""
        return tuple(Platform.parse(part) for part in self.platform_text(machine=machine).split(","))

    @property
    def copies(self) -> CopyFileDetection:
        """Which files of ``source_root`` are copied: the modules that are loaded, where nothing is said."""
        if self.source_root is None:
            return CopyFileDetection.NO_COPY
        return copy_mode(self.source_copy_mode) or CopyFileDetection.LOADED_MODULES

    # -- what flytekit calls it ------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id that flytekit gives this spec, from paths as they are written: the value of ``_F_IMG_ID``."""
        from taskimage.adapters.specfiles import host_machine
        from taskimage.model.spec.tag import spec_id

        return spec_id(self, machine=host_machine())

    @property
    def tag(self) -> str:
        """The tag that flytekit gives this spec and the files that it names now. Reads those files."""
        from taskimage.adapters.specfiles import collect, host_machine
        from taskimage.model.spec.tag import spec_tag

        return spec_tag(self, collect(self).digests, machine=host_machine())

    def image_name(self) -> str:
        """``[registry/]name:tag``. Reads the files that the spec names."""
        from taskimage.model.spec.tag import image_name

        return image_name(self, self.tag)

    def is_container(self) -> bool:
        """Whether the task that is executed here runs in this image; True outside of an execution."""
        from taskimage.adapters.thispython import is_inside

        return is_inside(self.id)


def _added(there: Sequence[str] | None, more: str | Sequence[str]) -> list[str]:
    return [*(there or ()), *([more] if isinstance(more, str) else more)]


# flytekit's names, in the order in which its id hashes them.
FIELDS = tuple(part.name for part in fields(ImageSpec) if not part.kw_only)
