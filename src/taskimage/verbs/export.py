"""`export` and `load`: an image of the store, written for other tools, or handed to an engine of this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from taskimage.adapters.images.archive_target import archive_target
from taskimage.adapters.images.store import store_source
from taskimage.adapters.settings import Settings
from taskimage.model.errors import BadInput
from taskimage.model.events import Listener, ignore
from taskimage.model.place import ArchivePlace, LayoutPlace, parse_place
from taskimage.verbs.places import for_this_machine, opened_target, single
from taskimage.verbs.tools import Tools
from taskimage.verbs.transfer import transfer

if TYPE_CHECKING:
    from taskimage.verbs.build import Built

__all__ = ["Output", "export", "load", "parse_output"]

Output: TypeAlias = LayoutPlace | ArchivePlace
"""Where an image is written to."""


def parse_output(text: str) -> Output:
    """The output that ``text`` writes. Raises BadInput."""
    place = parse_place(text) if text.startswith(("oci:", "docker-archive:")) else None
    if isinstance(place, ArchivePlace) or (isinstance(place, LayoutPlace) and not place.digest):
        return place
    raise BadInput(f"not an output: {text!r:.200}; wanted oci:DIR[:NAME] or docker-archive:FILE[:NAME]")


def export(
    built: Built, output: Output, *, settings: Settings | None = None, listener: Listener = ignore
) -> None:
    """Write an image to ``output``, under the name there or else its own first one.

    Raises BadInput (an index of several platforms for an archive, a folder that holds something else), NotFound,
    NotAllowed, IntegrityError (something of the store is damaged), CannotBuild (no space).
    """
    tools = Tools(settings or Settings.load(), listener)
    source = store_source(tools.store)
    root = single(source, built.root) if isinstance(output, ArchivePlace) else built.root
    with opened_target(tools, output) as target:
        transfer(source, target, root, names=[output.name or built.names[0]], listener=listener)


def load(built: Built, *, settings: Settings | None = None, listener: Listener = ignore) -> None:
    """Hand an image to the Docker, Podman or containerd of this machine, under all of its names.

    Of several platforms, that of this machine. Raises NotFound (no engine), CannotBuild (it does not take it).
    """
    from taskimage.adapters.images.engine import find_engine

    tools = Tools(settings or Settings.load(), listener)
    engine = find_engine(os.environ)
    source = store_source(tools.store)
    root = for_this_machine(source, built.root)
    with archive_target(engine.name, engine.loading(), layout=True) as target:
        transfer(source, target, root, names=built.names, listener=listener)
