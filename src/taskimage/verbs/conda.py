"""Conda packages: an environment that is solved, and what it already has for its Python."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.adapters.specfiles.asked import Asked
from taskimage.model.base import Distribution
from taskimage.model.lock import CondaPin
from taskimage.model.oci import Platform
from taskimage.model.value import dataclass
from taskimage.verbs.inputs import Inputs
from taskimage.verbs.tools import Tools

__all__ = ["Environment", "environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Packages, sorted; the version of Python among them; and the distributions that it imports, sorted."""

    python: str
    packages: tuple[CondaPin, ...]
    distributions: tuple[Distribution, ...]


def environment(
    tools: Tools,
    packages: Sequence[str],
    *,
    channels: Sequence[str],
    python: str,
    platform: Platform,
    glibc: tuple[int, int],
    keep: Sequence[CondaPin],
) -> Environment:
    """The environment that has ``packages`` and the version ``python`` of Python, on a system with ``glibc``.

    What brings something for Python is fetched: channels do not tell which distributions are in a package, and
    those must not be installed beside it once more. Raises as solving and reading packages do.
    """
    solution = tools.conda.resolve(
        packages, channels=channels, python=python, platform=platform, glibc=glibc, keep=keep
    )
    version = solution.python.version
    minor = ".".join(version.split(".")[:2])
    with Inputs(tools, asked=Asked(channels=channels), python=minor, prefix="") as inputs:
        return Environment(
            python=version,
            packages=solution.packages,
            distributions=_distributions(inputs, solution.of_python, minor),
        )


def _distributions(inputs: Inputs, pins: Sequence[CondaPin], minor: str) -> tuple[Distribution, ...]:
    from taskimage.transform.base.distributions import distributions
    from taskimage.transform.base.layers import BaseTree
    from taskimage.transform.conda import site_packages
    from taskimage.transform.runtime import CONDA

    inputs.fetch(conda=pins)
    tree = BaseTree(entry for pin in pins for entry in inputs.conda(pin).entries)
    return distributions(tree, [f"{CONDA.strip('/')}/{site_packages(minor)}"])
