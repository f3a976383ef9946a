"""What changed: between two locks, for people, and between a lock and what its spec wants by now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Final, NamedTuple

from taskimage.model.digest import Digest
from taskimage.model.lock import Lock, Wants

__all__ = ["diff", "stale"]

# What a spec calls it, where that is another word.
_LABELS: Final = {"python": "python_version", "installer": "runtime_packages"}


def stale(lock: Lock, wants: Wants) -> tuple[str, ...]:
    """What ``wants`` asks for that ``lock`` was not made for, a line each; empty while the lock is fresh."""
    differing = [
        (field.name, getattr(lock.wants, field.name), getattr(wants, field.name)) for field in fields(Wants)
    ]
    lines = [
        f"{_LABELS.get(name, name)}: {old!r} is locked, {new!r} is wanted"
        for name, old, new in differing
        if not isinstance(old, tuple) and old != new
    ]
    for name, before, after in differing:
        if isinstance(before, tuple):
            lines += [f"{name}: {item!r} is wanted and not locked" for item in after if item not in before]
            lines += [
                f"{name}: {item!r} is locked and no longer wanted" for item in before if item not in after
            ]
    return tuple(lines)


def diff(old: Lock, new: Lock, *, licences: Mapping[Digest, str] | None = None) -> tuple[str, ...]:
    """What changed between two locks, a line for each input, sorted by platform and name.

    Each tells the version, then in brackets the size, and the licence where ``licences`` has it for the digest.
    """
    before, after = _named(old), _named(new)
    lines = [f"below: {line}" for line in diff(old.base, new.base)] if old.base and new.base else []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        sign = "+" if was is None else "-" if now is None else "~"
        sides = [side for side in (was, now) if side is not None]
        version = _change(side.version for side in sides)
        facts = [
            _change(side.digest.short for side in sides)
            if was and now and was.version == now.version
            else "",
            _change(_size(side.size) for side in sides),
            _change((licences or {}).get(side.digest, "") for side in sides),
        ]
        told = ", ".join(filter(None, facts))
        lines.append(f"{sign} {' '.join(name)} {version}" + (f" ({told})" if told else ""))
    return tuple(lines)


def _change(texts: Iterable[str]) -> str:
    """What there is before and after, each once; "" for nothing."""
    return " -> ".join(filter(None, dict.fromkeys(texts)))


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB" if size else ""


class _Input(NamedTuple):
    """What is compared of an input; a base image and a suite's own interpreter have no size of their own."""

    version: str
    digest: Digest
    size: int = 0


def _named(lock: Lock) -> dict[tuple[str, str, str], _Input]:
    found: dict[tuple[str, str, str], _Input] = {}
    for platform in lock.platforms:
        name = str(platform.platform)
        for deb in (*platform.base, *platform.apt):
            found[name, "deb", deb.package] = _Input(deb.version, deb.digest, deb.size)
        for package in platform.conda:
            found[name, "conda", package.name] = _Input(
                f"{package.version} {package.build}", package.digest, package.size
            )
        for wheel in platform.wheels:
            found[name, "wheel", wheel.name] = _Input(wheel.version, wheel.digest, wheel.size)
        if platform.image:
            found[name, "base-image", platform.image.name] = _Input(
                platform.image.digest.short, platform.image.manifest
            )
        python = platform.python
        found[name, "python", python.source] = _Input(
            python.version, python.digest or Digest.of(b""), python.size
        )
    return found
