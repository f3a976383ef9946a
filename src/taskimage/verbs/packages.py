"""The packages of an image, as layers to be."""

from __future__ import annotations

from collections.abc import Sequence

from taskimage.model.lock import PlatformLock
from taskimage.model.spec import ImageSpec
from taskimage.model.user import User
from taskimage.transform import bytecode, effects
from taskimage.transform.plan import LayerPlan, plan
from taskimage.transform.runtime import CONDA, PREFIX

__all__ = ["plan_packages"]


def plan_packages(
    spec: ImageSpec, lock: PlatformLock, *, user: User, authorities: Sequence[str] = ()
) -> tuple[LayerPlan, ...]:
    """The layers of all that ``lock`` pins, for an image of ``spec`` in which ``user`` has an account.

    It trusts ``authorities`` as well.
    """
    compiled = (lock.python.version, str(bytecode.RECIPE)) if spec.options.bytecode else ()
    return plan(
        lock,
        effects=(
            str(effects.VERSION),
            user.passwd(),
            *authorities,
            *_waived(spec, lock),
        ),
        environment=(
            PREFIX,
            lock.python.version,
            lock.python.executable,
            *(["writable"] if spec.runtime_packages else ()),
        ),
        bytecode=compiled,
        conda=_linking() if lock.conda else (),
    )


def _linking() -> tuple[str, ...]:
    """What files of conda packages depend on."""
    from taskimage.transform import conda

    return CONDA, conda.FORMAT


def _waived(spec: ImageSpec, lock: PlatformLock) -> list[str]:
    """The packages of Debian whose scripts are not run, whatever they do."""
    there = {pin.package for pin in (*lock.base, *lock.apt)}
    return [f"waived {name}" for name in sorted(there.intersection(spec.options.waive_scripts))]
