"""The interpreter and platform that packages are chosen for, whatever the host's are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from taskimage.model.errors import CannotBuild
from taskimage.model.oci import Platform
from taskimage.model.value import dataclass

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["Target"]

# The glibc minors that uv has a manylinux platform for.
_UV_GLIBC = (17, 28, *range(31, 41))
# Older names of manylinux_2_N (PEP 600, "Legacy manylinux tags").
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Target:
    """CPython ``python`` (three numbers) on ``platform`` with a C library of version ``glibc``."""

    python: str
    platform: Platform
    glibc: tuple[int, int]

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform}"

    @property
    def uv_platform(self) -> str:
        """The platform as uv names it. Raises CannotBuild where it has none."""
        machine = self.platform.machine
        if machine not in {"x86_64", "aarch64"}:
            raise CannotBuild(
                f"Python packages cannot be resolved for {self.platform} yet",
                hint="use platform linux/amd64 or linux/arm64",
            )
        minor = max((minor for minor in _UV_GLIBC if (2, minor) <= self.glibc), default=_UV_GLIBC[0])
        return f"{machine}-manylinux_2_{minor}"

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """The tags of wheels that run here, best first (PyPA, platform compatibility tags)."""
        from packaging.tags import compatible_tags, cpython_tags

        major, minor = (int(part) for part in self.python.split(".")[:2])
        interpreter = f"cp{major}{minor}"
        platforms = tuple(self._platforms())
        return (
            *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
            *compatible_tags((major, minor), interpreter, platforms),
        )

    def _platforms(self) -> Iterator[str]:
        machine = self.platform.machine
        oldest = 5 if machine in {"x86_64", "i686"} else 17
        for minor in range(self.glibc[1], oldest - 1, -1):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{machine}"
        yield f"linux_{machine}"

    @cached_property
    def environment(self) -> dict[str, str]:
        """What environment markers see (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.platform.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": ".".join(self.python.split(".")[:2]),
            "sys_platform": "linux",
        }
