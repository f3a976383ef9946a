"""The plan of what a command sees: an ordered list of mounts over an unpacked image that never changes.

A plan is a value; bubblewrap and our own launcher both carry it out. The root is bound read-only. A mount
point that the image lacks needs a folder that can be written to: its nearest parent becomes a small file
system in memory whose children are bound one by one (it is "opened"), so that the image stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from taskimage.adapters.rootfs import inside
from taskimage.model.value import dataclass

__all__ = ["Bind", "Link", "Memory", "Mount", "Overlay", "Seal", "Special", "Volume", "plan"]


@dataclass(frozen=True, slots=True)
class Volume:
    """A host's file or folder shown at ``target``, an absolute path in the image."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Bind:
    """``source`` of the host appears at ``target``."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """An empty folder in memory at ``target``."""

    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link at ``target`` that says ``text``."""

    target: str
    text: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """``lower`` at ``target``, with what is written kept in ``upper``; ``work`` is the kernel's own."""

    lower: str
    upper: str
    work: str
    target: str


@dataclass(frozen=True, slots=True)
class Special:
    """The kernel's own ``proc``, or a small ``dev``, at ``target``."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class Seal:
    """What is mounted at ``target`` becomes read-only."""

    target: str


Mount: TypeAlias = Bind | Memory | Link | Overlay | Special | Seal


def plan(root: Path, writable: Sequence[Bind | Overlay], volumes: Sequence[Volume]) -> tuple[Mount, ...]:
    """The mounts, in order, that show ``root`` with ``writable`` places and ``volumes`` in it.

    ``writable`` has absolute targets without links; a place at ``/`` replaces the whole root.
    """
    shown = [
        Bind(str(volume.source), _target(root, volume.target), volume.read_only)
        for volume in sorted(volumes, key=lambda volume: volume.target.count("/"))
    ]
    kernel: list[Mount] = [
        Special("proc", "/proc"),
        Special("dev", "/dev"),
        Bind("/sys", "/sys", read_only=True),
    ]
    last = [*kernel, *shown]
    if any(place.target == "/" for place in writable):
        return (*writable, *last)
    targets = ["/proc", "/dev", "/sys", *(bind.target for bind in shown)]
    opened = _opened(root, targets, [place.target for place in writable])
    base = [] if "/" in opened else [Bind(str(root), "/", read_only=True)]
    mounts: list[Mount] = [*base]
    for folder in opened:
        mounts += _open(root, folder)
    return (*mounts, *writable, *last, *(Seal(folder) for folder in opened))


def _target(root: Path, target: str) -> str:
    return "/" + inside(root, target)


def _opened(root: Path, targets: Iterable[str], writable: Sequence[str]) -> tuple[str, ...]:
    """The folders of the image, parents first, that must take a mount point which the image lacks."""
    opened: set[str] = set()
    for target in targets:
        here = root / target.lstrip("/")
        if here.exists() or any(f"{target}/".startswith(f"{place}/") for place in writable):
            continue
        while not here.exists():
            here = here.parent
        relative = here.relative_to(root).as_posix()
        opened.add("/" if relative == "." else f"/{relative}")
    return tuple(sorted(opened))


def _open(root: Path, folder: str) -> Iterator[Mount]:
    yield Memory(folder)
    source = root / folder.lstrip("/")
    for child in sorted(source.iterdir()):
        target = f"{folder.rstrip('/')}/{child.name}"
        if child.is_symlink():
            yield Link(target, str(child.readlink()))
        else:
            yield Bind(str(child), target, read_only=True)
