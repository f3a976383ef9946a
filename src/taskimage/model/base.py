"""What is known of a base image's files: a small record, read once for each digest.

It is all that resolving and planning ask of a base; the bytes of its layers are needed by neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["BaseFacts", "Distribution", "Interpreter"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Distribution:
    """An installed project of Python (PyPA, "Recording installed projects"), from its METADATA.

    ``name`` is normalised, ``requires`` has the values of ``Requires-Dist`` as they are written, and
    ``location`` is the absolute path of the folder that it is imported from.
    """

    name: str
    version: str
    location: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Interpreter:
    """A CPython of the base: the absolute path of its executable, links followed, and its three numbers.

    ``distributions`` are those that it imports without a virtual environment, sorted; of two with one name the
    first that is imported counts.
    """

    executable: str
    version: str
    distributions: tuple[Distribution, ...] = ()

    @property
    def minor(self) -> str:
        """The feature version, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """What a base image's files say.

    Attributes:
        os_release: The fields of os-release(5), such as ``ID`` and ``VERSION_CODENAME``.
        glibc: The version of the GNU C library; None where there is none, as on Alpine.
        links: Links that lead to directories, as path and target: what a new file's path goes through.
        interpreters: Every CPython outside of virtual environments, the newest first.
        texts: Small files by path, without a leading slash: passwd, group, dpkg's status, apt's sources.
        keyrings: OpenPGP certificates that apt trusts, by path.
    """

    os_release: Mapping[str, str] = field(default_factory=dict)
    glibc: tuple[int, int] | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    interpreters: tuple[Interpreter, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    keyrings: Mapping[str, bytes] = field(default_factory=dict)
