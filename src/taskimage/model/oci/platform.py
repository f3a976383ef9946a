"""Platforms: an operating system and a processor architecture (image-spec, image-index.md)."""

from __future__ import annotations

from taskimage.model.errors import BadInput
from taskimage.model.oci.document import Fields
from taskimage.model.value import dataclass

__all__ = ["ARCHITECTURES", "Platform"]

# The architectures that Debian, PyPI and OCI all know, by OCI's name (Go's GOARCH).
_DEBIAN = {
    "amd64": "amd64", "arm64": "arm64", "arm": "armhf", "386": "i386", "ppc64le": "ppc64el",
    "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
_MACHINE = {
    "amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686", "ppc64le": "ppc64le",
    "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
_ALIASES = {"x86_64": "amd64", "aarch64": "arm64"}
ARCHITECTURES = (*_DEBIAN, *_ALIASES)
"""Every name of an architecture that `Platform.parse` reads, in small letters."""
# What an architecture means that names no variant, or the only one there is (containerd's platforms, too).
_USUAL = {"arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and a processor architecture, with OCI's names.

    >>> str(Platform.parse("linux/aarch64"))
    'linux/arm64'
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """The platform that ``text`` writes as ``os/architecture``. Raises BadInput.

        The usual variant of an architecture may stand behind it, and means the same.
        """
        os, _, architecture = text.strip().lower().partition("/")
        architecture, _, variant = architecture.partition("/")
        architecture = _ALIASES.get(architecture, architecture)
        if os != "linux" or architecture not in _DEBIAN or variant not in ("", _USUAL.get(architecture)):
            raise BadInput(
                f"not a platform that images are built for: {text!r}; wanted one of "
                + ", ".join(f"linux/{name}" for name in _DEBIAN)
            )
        return cls(os, architecture)

    @classmethod
    def of_host(cls, system: str, machine: str) -> Platform:
        """The platform of a host, by the names that Python has for its system and the kernel for its architecture.

        >>> str(Platform.of_host("linux", "x86_64")), str(Platform.of_host("darwin", "arm64"))
        ('linux/amd64', 'darwin/arm64')
        """
        names = {kernel: name for name, kernel in _MACHINE.items()}
        return cls(system, names.get(machine, machine))

    @classmethod
    def from_fields(cls, fields: Fields) -> Platform:
        """The platform that a document names, whether images are built for it or not. Raises BadInput."""
        return cls(fields.text("os"), fields.text("architecture"), fields.optional_text("variant") or "")

    def to_dict(self) -> dict[str, str]:
        """The platform as documents have it."""
        document = {"os": self.os, "architecture": self.architecture, "variant": self.variant}
        return {name: value for name, value in document.items() if value}

    def serves(self, wanted: Platform) -> bool:
        """Whether what is made for this platform runs where ``wanted`` is wanted."""
        usual = _USUAL.get(self.architecture, "")
        return (self.os, self.architecture, self.variant or usual) == (
            wanted.os, wanted.architecture, wanted.variant or usual,
        )  # fmt: skip

    @property
    def debian(self) -> str:
        """Debian's name of the architecture."""
        return _DEBIAN[self.architecture]

    @property
    def machine(self) -> str:
        """The kernel's name of the architecture (``uname -m``), which wheel tags use."""
        return _MACHINE.get(self.architecture, self.architecture)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
