"""`copy`: an image from one place to another, with the same digest."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from taskimage.adapters.settings import Settings
from taskimage.model.digest import Digest
from taskimage.model.errors import BadInput
from taskimage.model.events import Listener, Notice, ignore
from taskimage.model.oci import Platform
from taskimage.model.place import ArchivePlace, LayoutPlace, Place, parse_place
from taskimage.model.reference import Reference
from taskimage.verbs.places import Found, opened_source, opened_target, single
from taskimage.verbs.tools import Tools
from taskimage.verbs.transfer import chosen, transfer

__all__ = ["copy"]


def copy(
    source: str,
    target: str,
    *,
    platform: Platform | None = None,
    settings: Settings | None = None,
    listener: Listener = ignore,
) -> str:
    """Copy an image, manifests and layers as they are, and give the place that it has been copied to, pinned.

    Places are written as `taskimage.model.place` says. All platforms of an index are copied, and what else it
    names; an archive takes one. An image keeps its name where ``target`` is a layout or an archive and names none.

    Args:
        source: Where the image is; a reference without a tag means ``latest``.
        target: Where it goes; a reference without a tag means ``latest``.
        platform: Copy the image for this platform alone.
        settings: By default, those of this process.
        listener: Hears of progress.

    Returns:
        ``host/repository:tag@sha256:…``, or ``oci:DIR@sha256:…``, each of which names what was copied for good; an
        archive has no digest of its own, and is ``docker-archive:FILE``.

    Raises:
        BadInput: One of the two is no place, or both are the same.
        NotFound: There is no such image, or none for the platform, or a part of it is missing.
        NotAllowed: A registry wants credentials, or others.
        Unreachable: A registry gave no answer that can be trusted.
        IntegrityError: Something at the source is not what its digest says.
    """
    tools = Tools(settings or Settings.load(), listener)
    here = _tagged(parse_place(source), listener)
    there = _tagged(_target(target), listener)
    if here == there:
        raise BadInput(f"the image would be copied to where it is: {source!r:.200}")
    with opened_source(tools, here) as found:
        root = found.root
        if platform is not None:
            root = chosen(found.source, root, platform)
        elif isinstance(there, ArchivePlace):
            root = single(found.source, root)
        with opened_target(tools, there, mount_from=_neighbours(here, there)) as opened:
            transfer(found.source, opened, root, names=_names(there, found), listener=listener)
    return _pinned(there, root.digest)


def _target(text: str) -> Place:
    place = parse_place(text)
    if isinstance(place, Reference | LayoutPlace) and place.digest is not None:
        raise BadInput(
            f"cannot copy to a digest: {text!r:.200}; wanted a name",
            hint="the digest is that of what is copied",
        )
    return place


def _tagged(place: Place, listener: Listener) -> Place:
    if not isinstance(place, Reference) or place.tag or place.digest:
        return place
    listener(Notice(f"{place.familiar} has no tag: taking latest"))
    return dataclasses.replace(place, tag="latest")


def _neighbours(here: Place, there: Place) -> Sequence[str]:
    """The repository of the same registry that the blobs are in already."""
    if isinstance(here, Reference) and isinstance(there, Reference) and here.registry == there.registry:
        return [here.repository]
    return []


def _names(there: Place, found: Found) -> Sequence[str]:
    if isinstance(there, Reference):
        return [there.tag or "latest"]
    return [there.name] if there.name else found.names


def _pinned(there: Place, digest: Digest) -> str:
    return str(there) if isinstance(there, ArchivePlace) else str(dataclasses.replace(there, digest=digest))
