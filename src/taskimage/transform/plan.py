"""The plan: which inputs share a layer, in which order, and the key by which a layer is known.

A runtime caches layers by chain: what changes low is unpacked again, and by some runtimes pulled again, with all that
stands above it. So the order keeps few bytes above what changes often, and a group keeps its members whatever else
comes or goes: the environment and huge wheels on it, the base, the interpreter's bytecode, Debian packages that the
spec names, what maintainer scripts would have done, conda packages, other big wheels alone, the bigger the lower, small
ones in groups, and the files that change most at the end. Where no wheel is huge, and on a base image, which may have
an environment of its own, that of ours stands above conda packages, and all wheels on it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Final, TypeVar

from taskimage.model.digest import Digest
from taskimage.model.lock import BasePin, CondaPin, DebPin, PlatformLock, WheelPin
from taskimage.model.oci import canonical_json
from taskimage.model.value import dataclass
from taskimage.transform.layer import FORMAT

__all__ = ["HUGE", "WHEELS", "Grouping", "LayerPlan", "grouped", "plan"]

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How packages of one kind share layers: from ``big`` bytes on alone, up to ``most_big``; the rest in ``groups``."""

    big: int
    most_big: int
    groups: int


_DEBS: Final = Grouping(big=16 * _MIB, most_big=6, groups=4)
_CONDA: Final = Grouping(big=4 * _MIB, most_big=24, groups=8)
WHEELS: Final = Grouping(big=1 * _MIB, most_big=32, groups=16)
HUGE: Final = 8 * _MIB
"""A wheel of so many bytes stands below Debian's packages. What other numbers would give, `make bench-plan` simulates."""

_Pin = TypeVar("_Pin", bound=DebPin | CondaPin | WheelPin)


@dataclass(frozen=True, kw_only=True)  # without slots, since it keeps its key
class LayerPlan:
    """One layer to be: what kind of input it holds, and everything that its bytes depend on."""

    kind: str
    origin: str
    debs: tuple[DebPin, ...] = ()
    conda: tuple[CondaPin, ...] = ()
    wheels: tuple[WheelPin, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes its inputs have, as far as they are fetched."""
        return sum(pin.size for pin in self.pins)

    @property
    def is_run(self) -> bool:
        """Whether it is made by running something on all layers below."""
        return self.kind == "commands"

    @property
    def pins(self) -> tuple[DebPin | CondaPin | WheelPin, ...]:
        """Its inputs that are packages."""
        return self.debs + self.conda + self.wheels

    @cached_property
    def key(self) -> Digest:
        """The key of the layer's inputs: equal keys mean equal layers, on any machine."""
        inputs = {
            "format": FORMAT,
            "kind": self.kind,
            "debs": [str(pin.digest) for pin in self.debs],
            "wheels": [str(pin.digest) for pin in self.wheels],
            "parameters": list(self.parameters),
        }
        if self.conda:
            inputs["conda"] = [_stated(pin) for pin in self.conda]
        return Digest.of(canonical_json(inputs))


def plan(
    lock: PlatformLock,
    *,
    effects: Sequence[str],
    environment: Sequence[str],
    bytecode: Sequence[str],
    conda: Sequence[str] = (),
) -> tuple[LayerPlan, ...]:
    """The layers that ``lock`` comes to, lowest first, apart from copied files.

    Args:
        lock: The inputs of one platform.
        effects: What the derived layer depends on beside the packages: users, version of the emulation.
        environment: What each file of the environment depends on beside its wheel: prefix, interpreter.
        bytecode: What compiled files depend on beside their sources: interpreter and recipe; empty when
            nothing is compiled.
        conda: What each file of conda's environment depends on beside its package: prefix, version of the linking.
    """
    # Where a link of a base image leads elsewhere, so does everything that goes below it.
    links = lock.image.links if lock.image else ()
    environment = (*environment, *links)
    # Debian's packages, and what their scripts do, may look at any file of a base image.
    below = (str(lock.image.manifest),) if lock.image else ()
    debs = tuple(sorted((*lock.base, *lock.apt), key=_name))
    system = [
        LayerPlan(kind="debs", origin=_origin("base", group), debs=group)
        for group in grouped(lock.base, _DEBS)
    ]
    if lock.python.source == "standalone":
        parameters = (str(lock.python.digest), *bytecode, *links)
        origin = f"python: CPython {lock.python.version}"
        system.append(LayerPlan(kind="interpreter", origin=origin, parameters=parameters))
    # The interpreter that compiles is the lock's; what a standalone one makes, Debian's own could not use.
    of_debian = bytecode if lock.python.source == "suite" else ()
    system += _compiled(lock.base, of_debian)
    system += [
        LayerPlan(kind="debs", origin=_origin("apt", group), debs=group, parameters=below)
        for group in grouped(lock.apt, _DEBS)
    ]
    system += _compiled(lock.apt, of_debian)
    system.append(LayerPlan(kind="effects", origin="system files", debs=debs, parameters=(*effects, *below)))
    system += [
        LayerPlan(
            kind="conda",
            origin=_origin("conda", group),
            conda=group,
            parameters=(*conda, lock.python.minor, *bytecode, *links),
        )
        for group in grouped(lock.conda, _CONDA)
    ]
    # An interpreter of the base, or conda's, imports what is there.
    site = ("system-site",) if lock.python.brings_packages else ()
    parameters = (*environment, *site, *_hidden(lock.image))
    venv = [LayerPlan(kind="environment", origin="virtual environment", parameters=parameters)]
    venv += [
        LayerPlan(
            kind="wheels",
            origin=_origin("python", group),
            wheels=group,
            parameters=(*environment, *bytecode),
        )
        for group in grouped(lock.wheels, WHEELS)
    ]
    # Only a base image has files where the environment has: without one either may be below the other.
    lowest = 0 if lock.image else _lowest(venv)
    return (*venv[:lowest], *system, *venv[lowest:])


def _lowest(venv: Sequence[LayerPlan]) -> int:
    """How many layers of ``venv`` stand below all others: its own files, and on them each wheel that is huge."""
    huge = [*itertools.takewhile(lambda item: len(item.wheels) == 1 and item.size >= HUGE, venv[1:])]
    return 1 + len(huge) if huge else 0


def _hidden(image: BasePin | None) -> tuple[str, ...]:
    """What is taken away of a base's own environment, and the base, whose files say which of them that are."""
    if image is None:
        return ()
    hidden = ("all",) if image.environment_hidden else image.replaced
    return (str(image.manifest), *hidden) if hidden else ()


def _compiled(debs: Sequence[DebPin], bytecode: Sequence[str]) -> list[LayerPlan]:
    # Debian's packages come without bytecode: their postinst would have compiled it.
    sources = tuple(pin for pin in debs if pin.package.startswith(("python3", "libpython3")))
    if not (bytecode and sources):
        return []
    return [
        LayerPlan(
            kind="bytecode", origin="bytecode of Debian's Python", debs=sources, parameters=tuple(bytecode)
        )
    ]


def grouped(pins: Sequence[_Pin], grouping: Grouping) -> tuple[tuple[_Pin, ...], ...]:
    """``pins`` shared out: each that is big alone, the rest by a digest of their names.

    Those that are alone come first, the bigger the earlier; all others are sorted by name. One pin that comes, goes or
    changes touches one group, unless there are more big ones than ``most_big``, of which the largest then stand alone.
    """
    big = (pin for pin in pins if pin.size >= grouping.big)
    alone = sorted(big, key=lambda pin: (-pin.size, _name(pin)))[: grouping.most_big]
    names = {_name(pin) for pin in alone}
    buckets: dict[int, list[_Pin]] = {}
    for pin in sorted(pins, key=_name):
        if _name(pin) not in names:
            number = int.from_bytes(hashlib.sha256(_name(pin).encode()).digest()[:8], "big")
            buckets.setdefault(number % grouping.groups, []).append(pin)
    # By the power of two: a release that is a little bigger stays where it was, and all above it too.
    alone.sort(key=lambda pin: (-pin.size.bit_length(), _name(pin)))
    return (*((pin,) for pin in alone), *(tuple(buckets[number]) for number in sorted(buckets)))


def _name(pin: DebPin | CondaPin | WheelPin) -> str:
    return pin.package if isinstance(pin, DebPin) else pin.name


def _stated(pin: CondaPin) -> str:
    # Its record in the environment names the channel.
    return f"{pin.digest} {pin.channel}/{pin.subdir}/{pin.file}"


def _origin(label: str, group: Sequence[DebPin | CondaPin | WheelPin]) -> str:
    names = [f"{_name(pin)} {pin.version}" for pin in group]
    if len(names) > 3:
        return f"{label}: {', '.join(names[:3])} and {len(names) - 3} more"
    return f"{label}: {', '.join(names)}"
