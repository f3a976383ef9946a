"""What a spec asks for in apt_packages, written as for apt-get."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from taskimage.adapters.debian.relations import NAME
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass

__all__ = ["Request"]

_REQUEST = re.compile(
    rf"(?P<name>{NAME})(?::(?P<architecture>[a-z0-9-]+))?"
    r"(?:=(?P<version>[A-Za-z0-9.+~:*?-]+)|/(?P<suite>[A-Za-z0-9.-]+))?\Z"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a spec asks for: ``name``, ``name=version`` (``*`` and ``?`` as in apt), ``name/suite``."""

    name: str
    version: str = ""
    suite: str = ""

    @classmethod
    def parse(cls, text: str, architecture: str) -> Request:
        """The request that ``text`` writes; ``name:arch`` must say ``architecture``. Raises BadInput."""
        match = _REQUEST.match(text.strip())
        if match is None:
            raise BadInput(
                f"not a Debian package: {text[:200]!r}; wanted name, name=version or name/suite",
                hint="name one package in each entry of apt_packages",
            )
        if match["architecture"] not in (None, architecture):
            raise BadInput(
                f"{text!r} asks for architecture {match['architecture']!r} in an image for {architecture!r}; "
                "packages of another architecture are not mixed in"
            )
        return cls(match["name"], match["version"] or "", match["suite"] or "")

    def allows(self, version: str, suite: str) -> bool:
        """Whether the package of ``version`` from ``suite`` is what is asked for."""
        return (not self.version or fnmatchcase(version, self.version)) and self.suite in ("", suite)

    def __str__(self) -> str:
        return self.name + (f"={self.version}" if self.version else f"/{self.suite}" if self.suite else "")
