"""What is known of a base image's files: a small record, read once for each digest.

It is all that resolving and planning ask of a base; the bytes of its layers are needed by neither.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from taskimage.model.errors import BadInput
from taskimage.model.oci.document import Fields
from taskimage.model.value import dataclass

__all__ = ["BaseFacts", "Distribution", "Environment", "Interpreter"]

# Moves whenever the same files would give another record.
_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Distribution:
    """An installed project of Python (PyPA, "Recording installed projects"), from its METADATA.

    ``name`` is normalised; ``version`` and ``requires``, the values of ``Requires-Dist``, are as they are
    written; ``location`` is the absolute path, links followed, of the folder that it is imported from.
    """

    name: str
    version: str
    location: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The distribution as JSON has it."""
        return {
            "name": self.name, "version": self.version, "location": self.location,
            "requires": list(self.requires), "requires_python": self.requires_python,
        }  # fmt: skip

    @classmethod
    def from_fields(cls, fields: Fields) -> Distribution:
        """The distribution that is a part of some record. Raises BadInput, which names the field."""
        return cls(
            name=fields.text("name"),
            version=fields.text("version"),
            location=fields.text("location"),
            requires=fields.texts("requires"),
            requires_python=fields.text("requires_python"),
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Interpreter:
    """A CPython of the base: the absolute path of its executable, links followed, and its three numbers.

    ``distributions`` are those that it imports in an environment of ours, sorted: what the base's environment in
    the same place has, if that is of this interpreter, and what is installed without one. Of two with one name the
    first that is imported counts.
    """

    executable: str
    version: str
    distributions: tuple[Distribution, ...] = ()

    @property
    def minor(self) -> str:
        """The feature version, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])

    def to_dict(self) -> dict[str, Any]:
        """The interpreter as JSON has it."""
        return {
            "executable": self.executable,
            "version": self.version,
            "distributions": [distribution.to_dict() for distribution in self.distributions],
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Interpreter:
        """The interpreter that is a part of some record. Raises BadInput, which names the field."""
        return cls(
            executable=fields.text("executable"),
            version=fields.text("version"),
            distributions=tuple(map(Distribution.from_fields, fields.sections("distributions"))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment of the base (PEP 405): absolute paths, links followed, of it and its interpreter."""

    path: str
    executable: str

    def has(self, distribution: Distribution) -> bool:
        """Whether ``distribution`` is in it, and not in what its interpreter imports besides."""
        return distribution.location.startswith(f"{self.path}/")

    def to_dict(self) -> dict[str, Any]:
        """The environment as JSON has it."""
        return {"path": self.path, "executable": self.executable}

    @classmethod
    def from_fields(cls, fields: Fields) -> Environment:
        """The environment that is a part of some record. Raises BadInput, which names the field."""
        return cls(path=fields.text("path"), executable=fields.text("executable"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """What a base image's files say. Paths have no leading slash.

    Attributes:
        os_release: The fields of os-release(5), such as ``ID`` and ``VERSION_CODENAME``.
        glibc: The version of the GNU C library; None where there is none, as on Alpine.
        musl: Whether there is the C library musl, for which most wheels are not built.
        links: Links that lead to a directory, or to nothing yet, as path and target: what a new file's path
            goes through.
        interpreters: Every CPython outside of virtual environments, the newest first; of one minor version
            the one of the environment comes first, then the one that a shell of the image finds first.
        environment: The virtual environment where one of ours goes; None where there is none.
        texts: Small files by path: passwd, group, dpkg's status, apt's sources. What is not UTF-8 is replaced.
        keyrings: OpenPGP certificates that apt trusts, or that its sources may name, by path.
    """

    os_release: Mapping[str, str] = field(default_factory=dict)
    glibc: tuple[int, int] | None = None
    musl: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    interpreters: tuple[Interpreter, ...] = ()
    environment: Environment | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    keyrings: Mapping[str, bytes] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON has them; keyrings are in base64."""
        return {
            "format": _FORMAT,
            "os_release": dict(self.os_release),
            "glibc": None if self.glibc is None else "{}.{}".format(*self.glibc),
            "musl": self.musl,
            "links": dict(self.links),
            "interpreters": [interpreter.to_dict() for interpreter in self.interpreters],
            "environment": None if self.environment is None else self.environment.to_dict(),
            "texts": dict(self.texts),
            "keyrings": {path: base64.b64encode(data).decode() for path, data in self.keyrings.items()},
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BaseFacts:
        """The facts that ``document`` holds.

        Raises BadInput, which names the field, for a record that is damaged or that an earlier version wrote:
        the base is then read again.
        """
        fields = Fields(document, "base")
        fields.expect("format", _FORMAT)
        glibc = fields.optional_text("glibc")
        environment = fields.optional_section("environment")
        return cls(
            os_release=fields.text_map("os_release"),
            glibc=None if glibc is None else _two_numbers(glibc),
            musl=fields.flag("musl"),
            links=fields.text_map("links"),
            interpreters=tuple(map(Interpreter.from_fields, fields.sections("interpreters"))),
            environment=None if environment is None else Environment.from_fields(environment),
            texts=fields.text_map("texts"),
            keyrings={path: _decoded(text) for path, text in fields.text_map("keyrings").items()},
        )


def _two_numbers(text: str) -> tuple[int, int]:
    try:
        major, minor = map(int, text.split("."))
    except ValueError as error:
        raise BadInput(f"base.glibc is {text!r:.60}; wanted two numbers, such as '2.36'") from error
    return major, minor


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadInput(f"base.keyrings has {text!r:.60}; wanted base64") from error
