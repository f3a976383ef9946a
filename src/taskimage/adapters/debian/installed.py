"""What is installed in a base image already, as dpkg's status file has it (dpkg-query(1), "Status")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from taskimage.adapters.debian.deb822 import paragraphs
from taskimage.adapters.debian.index import Package
from taskimage.model.errors import BadInput
from taskimage.model.value import dataclass
from taskimage.transform.deb.version import sort_key

__all__ = ["STATUS", "Installed"]

STATUS = "var/lib/dpkg/status"


@dataclass(frozen=True, slots=True)
class Installed:
    """The packages of a base by name, and which of them are held at their version."""

    packages: Mapping[str, Package] = field(default_factory=dict)
    held: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, architecture: str) -> Installed:
        """What the status file ``text`` says; packages of other architectures than the image's do not count.

        Raises BadInput for a package without a version.
        """
        packages: dict[str, Package] = {}
        held: set[str] = set()
        for fields in paragraphs(text):
            want, *_, state = (fields.get("status", "") or "unknown").split()
            if state != "installed" or fields.get("architecture") not in (architecture, "all"):
                continue
            try:
                package = Package.read(fields)
                sort_key(package.version)
            except (KeyError, BadInput) as error:
                raise BadInput(f"cannot read what is installed: {error}", where=STATUS) from error
            packages[package.name] = package
            if want == "hold":
                held.add(package.name)
        return cls(packages, frozenset(held))
