"""A suite of Debian's own, in its three parts: the release, its updates, and its security fixes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from taskimage.adapters.debian.mirrors import Mirrors, archive_of
from taskimage.adapters.debian.pockets import Place, Pocket, Pockets
from taskimage.adapters.debian.signature import Keyring
from taskimage.model.errors import BadInput

__all__ = ["suite_pockets"]

_SUITE = re.compile(r"[a-z][a-z0-9.-]*\Z")
_HINT = "look at the suite's name, and at TASKIMAGE_DEBIAN_MIRROR (it may name several mirrors)"


def suite_pockets(
    pockets: Pockets,
    suite: str,
    architecture: str,
    *,
    mirrors: Callable[[], Mirrors],
    keys: Callable[[], Keyring],
) -> tuple[Pocket, ...]:
    """The pockets of ``suite``: itself, then its updates, then its security fixes.

    A suite that has only one of them (such as sid) is complete without the others; for one that Debian serves
    with both, an absent one is an error. Raises BadInput for what is no name of a suite.
    """
    if not _SUITE.match(suite):
        raise BadInput(f"not a suite: {suite!r}; wanted a name such as 'bookworm'")
    places = [
        _place(name, mirrors=mirrors, keys=keys) for name in (suite, f"{suite}-updates", f"{suite}-security")
    ]
    releases = pockets.each(pockets.release, places)
    main = releases[0]
    for place, release in zip(places, releases, strict=True):
        if release is None and (main is None or main.is_served):
            raise pockets.absent(place, hint=_HINT)
    present = [
        # Under its own name, whatever it was asked for by: "stable" will be another suite one day.
        (replace(place, suite=release.codename or place.suite), release)
        for place, release in zip(places, releases, strict=True)
        if release is not None
    ]
    return tuple(
        pockets.each(
            lambda item: pockets.pocket(*item, item[1].packages(architecture), architecture), present
        )
    )


def _place(name: str, *, mirrors: Callable[[], Mirrors], keys: Callable[[], Keyring]) -> Place:
    archive = archive_of(name)
    return Place(suite=name, shelf=name, archive=archive, roots=lambda: mirrors().of(archive), keys=keys)
